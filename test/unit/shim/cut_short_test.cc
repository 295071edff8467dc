// What a shim that is killed leaves to crispd, and to the shim of the next start of its container.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "shim/container_log.h"
#include "shim/facts.h"
#include "shim_client/facts.h"
#include "test/unit/killed_process.h"

namespace crisp::shim {
namespace {

struct TempDir {
  std::string path = "/tmp/crisp-shim-XXXXXX";
  TempDir() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~TempDir() { (void)base::RemoveTree(path); }
};

constexpr ipc::ExitRecord kExit = {.exit_code = 3, .oom_killed = true, .finished_at_ns = INT64_MAX};

// All that the shim of one container writes into its bundle.
bool WriteFacts(const std::string& bundle) {
  const base::UniqueFd fd(open(bundle.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ExitFile end;
  ipc::InitRecord init;
  init.set_pid(7);
  return end.Reserve(fd.get()).ok() && WriteInit(fd.get(), init).ok() &&
         end.Write(fd.get(), kExit).ok();
}

TEST_CASE("a fact of a shim that is killed is there as a whole or not, and stops no other shim") {
  TempDir dir;
  const auto bundle = [&] { return dir.path + "/bundle"; };
  const int changes = test::KillBeforeEachChange(
      [&] { REQUIRE(base::MakeDirs(bundle(), 0700).ok()); }, [&] { return WriteFacts(bundle()); },
      [&](bool killed) {
        const auto init = shim_client::ReadInit(bundle());
        const auto end = shim_client::ReadExit(bundle());
        CHECK((init.ok() || (killed && absl::IsNotFound(init.status()))));
        CHECK((end.ok() || (killed && absl::IsNotFound(end.status()))));
        if (end.ok()) CHECK(end->exit_code == 3);
        CHECK(WriteFacts(bundle()));
        CHECK(*base::ListDir(bundle()) == std::vector<std::string>{"exit.json", "init.json"});
        REQUIRE(base::RemoveTree(bundle()).ok());
      });
  CHECK(changes >= 7);
}

TEST_CASE("no line that was written is lost when a shim is killed while its log is rotated") {
  TempDir dir;
  const std::string path = dir.path + "/0.log";
  const std::string rotated = dir.path + "/0.log.1";
  const auto lines = [](const std::string& file) {
    const std::string text = base::ReadFile(file).value_or("");
    CHECK((text.empty() || text.back() == '\n'));
    return std::count(text.begin(), text.end(), '\n');
  };
  const int changes = test::KillBeforeEachChange(
      [&] {
        REQUIRE(base::RemoveTree(path).ok());
        REQUIRE(base::RemoveTree(rotated).ok());
      },
      [&] {
        ContainerLog log;
        if (!log.Open(path)) return false;
        (void)log.Write(Stream::kStdout, "one\n", 4, false);
        if (rename(path.c_str(), rotated.c_str()) != 0) return false;  // as kubelet does
        (void)log.Write(Stream::kStdout, "two\n", 4, false);
        if (!log.Reopen()) return false;
        (void)log.Write(Stream::kStdout, "three\n", 6, false);
        return true;
      },
      [&](bool killed) {
        const auto before = lines(path) + lines(rotated);
        CHECK((killed || before == 3));
        ContainerLog next;
        REQUIRE(next.Open(path));
        (void)next.Write(Stream::kStdout, "next\n", 5, false);
        CHECK(lines(path) + lines(rotated) == before + 1);
      });
  CHECK(changes >= 6);
}

}  // namespace
}  // namespace crisp::shim
