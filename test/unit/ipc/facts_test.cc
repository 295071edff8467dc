#include "ipc/facts.h"

#include <catch2/catch.hpp>

namespace crisp::ipc {

TEST_CASE("init.json is read as it was written") {
  InitRecord record;
  record.set_pid(42);
  record.set_start_ticks(UINT64_MAX);
  record.set_started_at_ns(INT64_MAX);
  record.set_shim_pid(41);
  record.set_shim_start_ticks(6);
  for (const char* name : {"clone", "a \"quoted\"\nname"}) {
    record.add_phases()->set_name(name);
    record.mutable_phases(record.phases_size() - 1)->set_duration_ns(record.phases_size());
  }
  const absl::StatusOr<InitRecord> read = DecodeInit(EncodeInit(record));
  REQUIRE(read.ok());
  CHECK(read->SerializeAsString() == record.SerializeAsString());
}

TEST_CASE("exit.json is read as it was written") {
  const absl::StatusOr<ExitRecord> read =
      DecodeExit(EncodeExit({.exit_code = 137, .oom_killed = true, .finished_at_ns = INT64_MAX}));
  REQUIRE(read.ok());
  CHECK(read->exit_code == 137);
  CHECK(read->oom_killed);
  CHECK(read->finished_at_ns == INT64_MAX);
}

TEST_CASE("files of older and newer shims are read") {
  const auto init = DecodeInit(
      R"({"pid": 42, "start_ticks": 7, "started_at_ns": 9, "shim_pid": 41, "shim_start_ticks": 6,
          "phases": [{"name": "clone", "duration_ns": 5}], "of a newer shim": true})");
  REQUIRE(init.ok());
  CHECK(init->pid() == 42);
  CHECK(init->start_ticks() == 7);
  CHECK(init->started_at_ns() == 9);
  CHECK(init->shim_pid() == 41);
  CHECK(init->shim_start_ticks() == 6);
  REQUIRE(init->phases_size() == 1);
  CHECK(init->phases(0).name() == "clone");
  CHECK(init->phases(0).duration_ns() == 5);
  // As shims wrote it that also recorded the signal, the pid and the number of dropped log lines.
  const auto exit =
      DecodeExit(R"({"exit_code":137,"signal":9,"oom_killed":true,"finished_at_ns":11,"pid":7,)"
                 R"("dropped_log_lines":0})");
  REQUIRE(exit.ok());
  CHECK(exit->exit_code == 137);
  CHECK(exit->oom_killed);
  CHECK(exit->finished_at_ns == 11);
}

TEST_CASE("a damaged file is an error that names the file") {
  for (const char* text : {"", "{", "[]", "null", R"({"exit_code": "137"})", R"({"exit_code": 1})",
                           R"({"pid": [1], "start_ticks": 1, "started_at_ns": 1, "shim_pid": 1,
                               "shim_start_ticks": 1, "phases": []})"}) {
    INFO(text);
    CHECK(absl::IsInvalidArgument(DecodeInit(text).status()));
    CHECK(absl::IsInvalidArgument(DecodeExit(text).status()));
    CHECK_THAT(std::string(DecodeInit(text).status().message()), Catch::StartsWith("init.json: "));
    CHECK_THAT(std::string(DecodeExit(text).status().message()), Catch::StartsWith("exit.json: "));
  }
}

}  // namespace crisp::ipc
