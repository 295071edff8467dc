// Logs: lines of CRI's format, and following the files of several runs.
#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/id.h"
#include "cli/log_follow.h"
#include "cli/log_lines.h"

namespace crisp::cli {
namespace {

std::string Line(const std::string& text, const std::string& tag = "F") {
  return absl::StrCat("2026-11-29T00:17:09.669794202Z stdout ", tag, " ", text);
}

struct Logs {
  ~Logs() { CHECK(base::RemoveTree(directory).ok()); }
  void Write(const std::string& file, const std::string& text) {
    const std::string path = base::JoinPath(directory, file);
    REQUIRE(base::MakeDirs(path.substr(0, path.rfind('/')), 0755).ok());
    const absl::StatusOr<base::UniqueFd> fd = base::Open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    REQUIRE(fd.ok());
    REQUIRE(base::WriteAll(fd->get(), text).ok());
  }
  const std::string directory = absl::StrCat("/tmp/crisp-log-", base::NewId());
};

bool IsReadable(const LogFollower& follower) {
  pollfd polled = {.fd = follower.fd(), .events = POLLIN, .revents = 0};
  return poll(&polled, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a line of a log is its text without time and tags") {
  CHECK(ParseLogLine(Line("a b"))->text == "a b");
  CHECK(ParseLogLine(Line(""))->text == "");
  CHECK(ParseLogLine(Line("a", "P"))->is_part);
  CHECK_FALSE(ParseLogLine(Line("a"))->is_part);
  for (const char* line : {"", "text", "2026-11-29T00:17:09Z stdin F a", "a stdout F b",
                           "2026-11-29T00:17:09Z stdout X a"}) {
    CAPTURE(line);
    CHECK_FALSE(ParseLogLine(line).has_value());
  }
}

TEST_CASE("parts of a line are put together, and names stand before it where there are several") {
  LogFormat one({"web"}, true);
  CHECK(one.Format(0, Line("a", "P")) == "");
  CHECK(one.Format(0, Line("b")) == "ab\n");
  CHECK(one.Format(0, "not a log line") == "not a log line\n");
  LogFormat two({"web", "x"}, false);
  CHECK(two.Format(0, Line("a", "P")) == "");
  CHECK(two.Format(1, Line("c")) == "x   | c\n");
  CHECK(two.Format(0, Line("b")) == "web | ab\n");
  LogFormat colors({"web", "x"}, true);
  CHECK(colors.Format(0, Line("a")) == "\x1b[36mweb |\x1b[0m a\n");
  CHECK(colors.Format(1, Line("a")) == "\x1b[33mx   |\x1b[0m a\n");
}

TEST_CASE("logs are followed from run to run, and a line once it is complete") {
  Logs logs;
  auto follower = LogFollower::Open(logs.directory, {"web", "x"}, false);
  REQUIRE(follower.ok());
  CHECK(follower->Read().value() == "");
  logs.Write("web/0.log", Line("one\n") + Line("tw"));
  CHECK(IsReadable(*follower));  // the directory of the container is new
  CHECK(follower->Read().value() == "web | one\n");
  CHECK_FALSE(IsReadable(*follower));
  logs.Write("web/0.log", "o\n");
  CHECK(IsReadable(*follower));
  CHECK(follower->Read().value() == "web | two\n");
  logs.Write("web/0.log", Line("three\n"));
  logs.Write("web/1.log", Line("again\n"));
  logs.Write("x/0.log", Line("other\n"));
  CHECK(follower->Read().value() == "web | three\nweb | again\nx   | other\n");
}

TEST_CASE("a log of any length is followed piece by piece, and others have their turn") {
  Logs logs;
  auto follower = LogFollower::Open(logs.directory, {"a", "b"}, false);
  REQUIRE(follower.ok());
  std::string all;
  for (int i = 0; i < 30'000; ++i) absl::StrAppend(&all, Line(absl::StrCat("line ", i)), "\n");
  logs.Write("a/0.log", all);
  logs.Write("b/0.log", Line("other\n"));
  std::string text = follower->Read().value();
  CHECK(follower->has_more());
  CHECK_THAT(text, Catch::EndsWith("b | other\n"));
  for (int i = 0; i < 10 && follower->has_more(); ++i) text += follower->Read().value();
  CHECK_FALSE(follower->has_more());
  CHECK_THAT(text, Catch::EndsWith("a | line 29999\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 30'001);
}

TEST_CASE("a log that is rotated is followed to its end, and then in its new file") {
  Logs logs;
  auto follower = LogFollower::Open(logs.directory, {"web"}, false);
  REQUIRE(follower.ok());
  logs.Write("web/0.log", Line("one\n"));
  CHECK(follower->Read().value() == "one\n");
  logs.Write("web/0.log", Line("two\n"));
  const std::string path = logs.directory + "/web/0.log";
  REQUIRE(rename(path.c_str(), (path + ".20261129-001709").c_str()) == 0);
  logs.Write("web/0.log", Line("three\n"));
  logs.Write("web/1.log", Line("four\n"));
  CHECK(follower->Read().value() == "two\nthree\nfour\n");
  CHECK(follower->Read().value() == "");
}

TEST_CASE("the end of a log is its last lines as they were written") {
  const std::string log =
      absl::StrCat("rest of a line\n", Line("a\n"), Line("b", "P"), "\n", Line("c\n"), Line("d\n"));
  CHECK(LastLines(log, 10, 100) == "a\nbc\nd");
  CHECK(LastLines(log, 1, 100) == "d");
  CHECK(LastLines(log, 10, 3) == "c\nd");
  CHECK(LastLines("", 10, 100) == "");
}

}  // namespace crisp::cli
