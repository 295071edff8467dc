#include "service/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"

using namespace crisp;

TEST_CASE("an entry of the journal has its level as priority and each field by its name") {
  using Fields = std::vector<std::string>;
  CHECK(service::JournalFields(base::LogLevel::kWarning, "text id=4f cgroup-path=/a",
                               {{"id", "4f"}, {"cgroup-path", "/a"}}) ==
        Fields{"MESSAGE=text id=4f cgroup-path=/a", "PRIORITY=4", "SYSLOG_IDENTIFIER=crispd",
               "CRISP_ID=4f", "CRISP_CGROUP_PATH=/a"});
  const auto priority = [](base::LogLevel level) {
    return service::JournalFields(level, "", {})[1];
  };
  CHECK(priority(base::LogLevel::kDebug) == "PRIORITY=7");
  CHECK(priority(base::LogLevel::kInfo) == "PRIORITY=6");
  CHECK(priority(base::LogLevel::kError) == "PRIORITY=3");
}

TEST_CASE("a value of the journal is one line that people can read") {
  CHECK(service::JournalFields(base::LogLevel::kInfo, "t", {{"error", "a\nb\xff"}})[3] ==
        "CRISP_ERROR=a\\nb\\xff");
}

TEST_CASE("stderr is the journal if it is the stream that JOURNAL_STREAM names") {
  struct stat info;
  REQUIRE(fstat(STDERR_FILENO, &info) == 0);
  REQUIRE(unsetenv("JOURNAL_STREAM") == 0);
  CHECK_FALSE(service::StderrIsJournal());
  setenv("JOURNAL_STREAM", absl::StrCat(info.st_dev, ":", info.st_ino).c_str(), 1);
  CHECK(service::StderrIsJournal());
  // As when the unit's stderr was redirected to a file.
  setenv("JOURNAL_STREAM", absl::StrCat(info.st_dev, ":", info.st_ino + 1).c_str(), 1);
  CHECK_FALSE(service::StderrIsJournal());
  REQUIRE(unsetenv("JOURNAL_STREAM") == 0);
}
