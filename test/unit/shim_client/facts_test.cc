#include "shim_client/facts.h"

#include "temp_dir.h"

namespace crisp::shim_client {
namespace {

void Write(const TempDir& dir, const char* name, const std::string& text) {
  REQUIRE(base::WriteFileAtomic(dir.path + "/" + name, text, 0600).ok());
}

TEST_CASE("a file the shim has not written is kNotFound") {
  const TempDir dir;
  CHECK(absl::IsNotFound(ReadInit(dir.path).status()));
  CHECK(absl::IsNotFound(ReadExit(dir.path).status()));
}

TEST_CASE("the files of a bundle are read") {
  const TempDir dir;
  ipc::InitRecord init;
  init.set_pid(42);
  Write(dir, "init.json", ipc::EncodeInit(init));
  Write(dir, "exit.json", ipc::EncodeExit({.exit_code = 137}));
  const auto started = ReadInit(dir.path);
  REQUIRE(started.ok());
  CHECK(started->pid() == 42);
  const auto exit = ReadExit(dir.path);
  REQUIRE(exit.ok());
  CHECK(exit->exit_code == 137);
}

TEST_CASE("a damaged file is an error of its own, not a missing file") {
  const TempDir dir;
  Write(dir, "init.json", "{");
  Write(dir, "exit.json", "");
  CHECK(absl::IsInvalidArgument(ReadInit(dir.path).status()));
  CHECK(absl::IsInvalidArgument(ReadExit(dir.path).status()));
}

}  // namespace
}  // namespace crisp::shim_client
