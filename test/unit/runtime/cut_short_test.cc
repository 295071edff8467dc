// What a crispd that is killed while it makes a bundle or installs pause leaves to the next one.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/file.h"
#include "runtime/bundle.h"
#include "runtime/pause_root.h"
#include "test/unit/killed_process.h"

namespace crisp::runtime {
namespace {

struct TempDir {
  std::string path = "/tmp/crisp-runtime-XXXXXX";
  TempDir() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~TempDir() { (void)base::RemoveTree(path); }
};

using Names = std::vector<std::string>;

TEST_CASE("a crispd that is killed while it installs pause leaves nothing of it") {
  TempDir dir;
  const std::string program = dir.path + "/program";
  const std::string root = dir.path + "/pause";
  REQUIRE(base::WriteFileAtomic(program, "one", 0755).ok());
  const auto install = [&] { return PauseRoot(root, program).Get().ok(); };
  const int changes = test::KillBeforeEachChange(
      [&] { REQUIRE(base::RemoveTree(root).ok()); }, install,
      [&](bool) {
        REQUIRE(install());
        CHECK(*base::ListDir(root) == Names{"dev", "etc", "pause", "proc"});
        CHECK(*base::ReadFile(root + "/pause") == "one");
        CHECK(access((root + "/pause").c_str(), X_OK) == 0);
      });
  CHECK(changes > 5);
}

TEST_CASE("a bundle that is written by a crispd that is killed can be written again") {
  TempDir dir;
  const std::string bundle = dir.path + "/containers/c";
  oci::Spec spec;
  spec.linux_.cgroups_path = "/pods/c";
  spec.linux_.seccomp = {.default_action = "SCMP_ACT_ERRNO",
                         .default_errno_ret = {},
                         .architectures = {},
                         .flags = {},
                         .syscalls = {}};
  const auto write = [&] { return WriteBundle(bundle, spec).ok(); };
  const auto remove = [&] { REQUIRE(base::RemoveTree(bundle).ok()); };
  const int changes = test::KillBeforeEachChange(remove, write, [&](bool killed) {
    // The spec is there as a whole, with the filter that it needs, or not at all.
    const bool there = ReadSpec(bundle).ok();
    CHECK((there || killed));
    if (there) CHECK(access((bundle + "/seccomp.bpf").c_str(), F_OK) == 0);
    CHECK(write());
    CHECK(BundleCgroup(bundle).value_or("") == "/pods/c");
    remove();  // as the next start does with a bundle that has no record
    CHECK(base::ListDir(dir.path + "/containers")->empty());
  });
  CHECK(changes > 6);
}

}  // namespace
}  // namespace crisp::runtime
