#include "shim_client/facts.h"

#include "temp_dir.h"

namespace crisp::shim_client {
namespace {

void Write(const TempDir& dir, const char* name, const std::string& text) {
  REQUIRE(base::WriteFileAtomic(dir.path + "/" + name, text, 0600).ok());
}

TEST_CASE("what a shim wrote is read, what is not there is kNotFound") {
  const TempDir dir;
  CHECK(absl::IsNotFound(ReadInit(dir.path).status()));
  CHECK(absl::IsNotFound(ReadExit(dir.path).status()));
  Write(dir, "init.json",
        R"({"pid": 42, "start_ticks": 7, "started_at_ns": 9, "shim_pid": 41,
            "shim_start_ticks": 6, "phases": [{"name": "clone", "duration_ns": 5}],
            "of a newer shim": true})");
  const auto started = ReadInit(dir.path);
  REQUIRE(started.ok());
  CHECK(started->pid() == 42);
  CHECK(started->start_ticks() == 7);
  CHECK(started->started_at_ns() == 9);
  CHECK(started->shim_pid() == 41);
  CHECK(started->shim_start_ticks() == 6);
  REQUIRE(started->phases_size() == 1);
  CHECK(started->phases(0).name() == "clone");
  CHECK(started->phases(0).duration_ns() == 5);

  Write(dir, "exit.json", R"({"exit_code": 137, "oom_killed": true, "finished_at_ns": 11})");
  const auto exit = ReadExit(dir.path);
  REQUIRE(exit.ok());
  CHECK(exit->exit_code == 137);
  CHECK(exit->oom_killed);
  CHECK(exit->finished_at_ns == 11);
}

TEST_CASE("a damaged file is neither a fact nor the absence of one") {
  const TempDir dir;
  for (const char* text : {"", "{", "[]", "null", R"({"exit_code": "137"})", R"({"exit_code": 1})",
                           R"({"pid": [1], "start_ticks": 1, "started_at_ns": 1, "shim_pid": 1,
                               "shim_start_ticks": 1, "phases": []})"}) {
    INFO(text);
    Write(dir, "init.json", text);
    Write(dir, "exit.json", text);
    CHECK(absl::IsInvalidArgument(ReadInit(dir.path).status()));
    CHECK(absl::IsInvalidArgument(ReadExit(dir.path).status()));
  }
}

}  // namespace
}  // namespace crisp::shim_client
