// Device rules, checked by a process in the group.
#include "cgroup/device_program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "kernel_fixture.h"

using namespace crisp;
using namespace crisp::cgroup_test;

namespace {

bool Opens(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

// EPERM is the kernel's answer for a forbidden device; another failure does not count.
bool Refuses(const char* path, int flags) { return !Opens(path, flags) && errno == EPERM; }

bool MakesNode(const std::string& path, mode_t type, dev_t device) {
  if (mknod(path.c_str(), type | 0600, device) != 0) return false;
  return unlink(path.c_str()) == 0;
}

}  // namespace

TEST_CASE("a process can open exactly the devices that the rules allow") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.devices = {
      {false, 'a', {}, {}, "rwm"}, {true, 'c', 1, 3, "rwm"}, {true, 'c', 1, 7, "r"}};
  REQUIRE(kernel.groups->Create(path, resources).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  CHECK(Wait(Start(*join, join->v2.get(), [] {
          return Opens("/dev/null", O_RDWR) && Opens("/dev/full", O_RDONLY) &&
                         Refuses("/dev/full", O_RDWR) && Refuses("/dev/zero", O_RDONLY)
                     ? 0
                     : 1;
        })) == 0);
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE("bad device rules are refused on v1 and v2") {
  Kernel kernel;
  Resources resources;
  resources.devices = {{true, 'x', 1, 3, "r"}};
  CHECK(absl::IsInvalidArgument(kernel.groups->Create(kernel.NewPath(), resources)));
  resources.devices = {{true, 'c', 1, 3, "q"}};
  CHECK(absl::IsInvalidArgument(kernel.groups->Create(kernel.NewPath(), resources)));
}

// The program works in any cgroup2 directory, so this test also runs on hybrid hosts.
TEST_CASE("the device program: the last matching rule decides each access") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  const cgroup::Directories directories = kernel.layout().At(path);
  const auto join = cgroup::OpenJoin(directories);
  REQUIRE(join.ok());
  const std::string node = absl::StrCat("/tmp/crisp-test-node-", getpid());
  // Everything is allowed without a program, so what fails below fails because of the program.
  CHECK(Wait(Start(*join, join->v2.get(), [&] {
          return Opens("/dev/null", O_RDWR) && Opens("/dev/zero", O_RDWR) &&
                         Opens("/dev/full", O_RDWR) && Opens("/dev/random", O_RDWR) &&
                         MakesNode(node, S_IFCHR, makedev(1, 8)) &&
                         MakesNode(node, S_IFBLK, makedev(7, 0))
                     ? 0
                     : 1;
        })) == 0);
  const std::vector<cgroup::DeviceRule> rules = {
      {false, 'a', {}, {}, "rwm"}, {true, 'c', {}, {}, "m"}, {true, 'c', 1, {}, "r"},
      {true, 'c', 1, 3, "rwm"},    {false, 'c', 1, 5, "w"},  {true, 'c', 1, 7, "w"},
      {false, 'c', 1, 8, "r"},     {true, 'b', 1, 8, "rw"}};
  const absl::Status attached =
      cgroup::AttachDeviceProgram(directories.v2, cgroup::CompileDeviceProgram(rules));
  INFO(attached);
  REQUIRE(attached.ok());
  // One bit per expectation, so that the exit code tells which failed.
  CHECK(Wait(Start(*join, join->v2.get(), [&] {
          const bool holds[] = {Opens("/dev/null", O_RDWR),
                                Opens("/dev/zero", O_RDONLY),
                                Refuses("/dev/zero", O_RDWR),
                                Opens("/dev/full", O_RDWR),
                                Refuses("/dev/random", O_RDONLY),
                                Refuses("/dev/random", O_WRONLY),
                                MakesNode(node, S_IFCHR, makedev(1, 8)),
                                !MakesNode(node, S_IFBLK, makedev(7, 0))};
          int failed = 0;
          for (size_t i = 0; i < std::size(holds); ++i) failed |= holds[i] ? 0 : 1 << i;
          return failed;
        })) == 0);
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}
