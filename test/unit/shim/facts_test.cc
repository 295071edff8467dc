// What the shim writes into the bundle, on disks that have no space left.
#include "shim/facts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "test/unit/small_disk.h"

namespace crisp::shim {
namespace {

constexpr ipc::ExitRecord kEnd = {.exit_code = 3, .oom_killed = true, .finished_at_ns = INT64_MAX};

base::UniqueFd OpenDirectory(const std::string& dir) {
  return base::UniqueFd(open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

std::string ExitCodeIn(const std::string& dir) {
  const absl::StatusOr<std::string> text = base::ReadFile(dir + "/exit.json");
  if (!text.ok()) return std::string(text.status().message());
  const absl::StatusOr<ipc::ExitRecord> record = ipc::DecodeExit(*text);
  return record.ok() ? absl::StrCat(record->exit_code) : std::string(record.status().message());
}

TEST_CASE("an exit code is recorded on a disk that got full after the start") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    const base::UniqueFd bundle = OpenDirectory(dir);
    ExitFile file;
    const absl::Status reserved = file.Reserve(bundle.get());
    if (!reserved.ok()) return absl::StrCat("reserve: ", reserved.message());
    test::FillUp(dir);
    if (WriteInit(bundle.get(), {}).ok()) return "the disk is not full";
    const absl::Status written = file.Write(bundle.get(), kEnd);
    if (!written.ok()) return absl::StrCat("write: ", written.message());
    const std::string code = ExitCodeIn(dir);
    return code == "3" ? "" : code;
  });
}

TEST_CASE("a container does not start when there is no space to record its end") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    test::FillUp(dir);
    ExitFile file;
    const absl::Status reserved = file.Reserve(OpenDirectory(dir).get());
    return absl::IsResourceExhausted(reserved) ? "" : reserved.ToString();
  });
}

TEST_CASE("space that is only reserved is not taken for an exit record") {
  char dir[] = "/tmp/crisp-facts-XXXXXX";
  REQUIRE(mkdtemp(dir) != nullptr);
  const base::UniqueFd bundle = OpenDirectory(dir);
  for (int i = 0; i < 2; ++i) {  // again by the shim of a start after one that was abandoned
    ExitFile file;
    REQUIRE(file.Reserve(bundle.get()).ok());
    CHECK(access((std::string(dir) + "/exit.json").c_str(), F_OK) != 0);
  }
  ExitFile file;
  REQUIRE(file.Reserve(bundle.get()).ok());
  REQUIRE(file.Write(bundle.get(), kEnd).ok());
  CHECK(ExitCodeIn(dir) == "3");
  CHECK(base::ListDir(dir)->size() == 1);
  (void)base::RemoveTree(dir);
}

}  // namespace
}  // namespace crisp::shim
