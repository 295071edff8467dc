// ContainerLog alone: lines, pieces of lines, and what is left for the next write.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "shim/container_log.h"

namespace crisp::shim {
namespace {

struct TemporaryLog {
  TemporaryLog() {
    REQUIRE(mkdtemp(directory) != nullptr);
    path = absl::StrCat(directory, "/log");
    REQUIRE(log.Open(path));
  }
  ~TemporaryLog() { (void)base::RemoveTree(directory); }

  // Lines without the time.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    const std::string text = *base::ReadFile(path);
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      REQUIRE(line.size() > 31);
      REQUIRE(line[10] == 'T');
      REQUIRE(line.substr(29, 2) == "Z ");
      lines.emplace_back(line.substr(31));
    }
    return lines;
  }

  char directory[32] = "/tmp/crisp-log-test-XXXXXX";
  std::string path;
  ContainerLog log;
};

size_t Write(TemporaryLog& log, const std::string& text, bool at_end = false) {
  return log.log.Write(Stream::kStdout, text.data(), text.size(), at_end);
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a line is written once it is complete") {
  TemporaryLog log;
  CHECK(Write(log, "a\nb\n\nc") == 5);
  CHECK(log.Lines() == Strings{"stdout F a", "stdout F b", "stdout F "});
  CHECK(Write(log, "c") == 0);
  CHECK(Write(log, "cd\n") == 3);
  CHECK(Write(log, "end", true) == 3);
  CHECK(Write(log, "", true) == 0);
  CHECK(log.log.Write(Stream::kStderr, "e\n", 2, false) == 2);
  CHECK(log.Lines() == Strings{"stdout F a", "stdout F b", "stdout F ", "stdout F cd",
                               "stdout P end", "stderr F e"});
}

TEST_CASE("a line of the maximum length is whole, a longer one is split") {
  constexpr size_t kMax = ContainerLog::kMaxLine;
  const std::string full(kMax, 'x');
  TemporaryLog log;
  CHECK(Write(log, full) == 0);
  CHECK(Write(log, full + "\n") == kMax + 1);
  CHECK(Write(log, full + "y") == kMax);
  CHECK(Write(log, "y\n") == 2);
  CHECK(Write(log, full + full + "\n") == 2 * kMax + 1);
  CHECK(Write(log, full, true) == kMax);
  CHECK(log.Lines() == Strings{"stdout F " + full, "stdout P " + full, "stdout F y",
                               "stdout P " + full, "stdout F " + full, "stdout P " + full});
}

TEST_CASE("more lines than one writev takes stay in order") {
  TemporaryLog log;
  std::string text;
  Strings wanted;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, i, "\n");
    wanted.push_back(absl::StrCat("stdout F ", i));
  }
  CHECK(Write(log, text) == text.size());
  CHECK(log.Lines() == wanted);
}

TEST_CASE("lines have the time in UTC") {
  TemporaryLog log;
  const time_t before = time(nullptr);
  Write(log, "x\n");
  tm date = {};
  REQUIRE(strptime(base::ReadFile(log.path)->c_str(), "%Y-%m-%dT%H:%M:%S", &date) != nullptr);
  const time_t written = timegm(&date);
  CHECK(written >= before);
  CHECK(written <= time(nullptr));
}

TEST_CASE("without a log path everything is dropped") {
  ContainerLog log;
  CHECK(log.Open(""));
  CHECK(log.Reopen());
  CHECK(log.Write(Stream::kStdout, "abc", 3, false) == 3);
  CHECK_FALSE(log.Open("relative"));
  CHECK_FALSE(log.Open("/tmp/"));
}

TEST_CASE("lines that find no room are dropped whole") {
  ContainerLog log;
  REQUIRE_FALSE(log.Open("/dev/full"));  // not a regular file
  TemporaryLog small;
  // RLIMIT_FSIZE acts like a full disk: EFBIG after a short write.
  REQUIRE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  const rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
  rlimit old;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHECK(Write(small, "one\ntwo\nthree\nfour\n") == 19);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
  CHECK(Write(small, "five\n") == 5);
  CHECK(small.Lines() == Strings{"stdout F one", "stdout F two", "stdout F five"});
}

}  // namespace crisp::shim
