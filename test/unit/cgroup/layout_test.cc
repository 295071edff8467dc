#include "cgroup/layout.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cgroup/join.h"

using namespace crisp;
using Names = std::vector<std::string>;

namespace {

constexpr char kHybrid[] =
    "23 1 0:22 / / rw - ext4 /dev/root rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "99 31 0:32 / /mnt/second\\040memory rw,relatime - cgroup cgroup rw,memory\n";

constexpr char kV2[] =
    "24 1 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

}  // namespace

TEST_CASE("a hybrid host: controllers on v1, cgroup2 beside them") {
  const auto layout = cgroup::ParseLayout(kHybrid, "hugetlb\n");
  REQUIRE(layout.ok());
  CHECK_FALSE(layout->v2_only());
  REQUIRE(layout->v1.size() == 4);  // neither freezer nor name=systemd nor the second memory mount
  CHECK(layout->v1[3].mount_point == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(layout->v1[3].controllers == Names{"cpu", "cpuacct"});
  CHECK(layout->Find("cpuacct") == &layout->v1[3]);
  CHECK(layout->Find("hugetlb") == &layout->v2);
  CHECK(layout->Find("freezer") == nullptr);
  const cgroup::Directories directories = layout->At("/p/c");
  CHECK(directories.v2 == "/sys/fs/cgroup/unified/p/c");
  CHECK(directories.v1 == Names{"/sys/fs/cgroup/cpuset/p/c", "/sys/fs/cgroup/memory/p/c",
                                "/sys/fs/cgroup/pids/p/c", "/sys/fs/cgroup/cpu,cpuacct/p/c"});
  CHECK(directories.oom_file == "/sys/fs/cgroup/memory/p/c/memory.oom_control");
}

TEST_CASE("a process enters the v1 hierarchy with the CPU quota last, wherever it is mounted") {
  const std::string root = absl::StrCat("/tmp/crisp-layout-test-", getpid());
  const auto mount = [&](absl::string_view name) {
    return absl::StrCat("3 1 0:2 / ", root, "/", name, " rw - cgroup cgroup rw,", name, "\n");
  };
  const std::string unified = absl::StrCat("4 1 0:3 / ", root, "/unified rw - cgroup2 none rw\n");
  for (const Names& mounts :
       {Names{"cpu", "cpuacct", "memory", "pids"}, Names{"memory", "cpuacct,cpu", "pids", "blkio"},
        Names{"cpuset", "memory", "pids", "cpu"}}) {
    std::string mountinfo = unified;
    for (const std::string& name : mounts) mountinfo += mount(name);
    INFO(mountinfo);
    const auto layout = cgroup::ParseLayout(mountinfo, "");
    REQUIRE(layout.ok());
    REQUIRE(layout->v1.size() == mounts.size());
    // The order in which the shim opens them is the one in which its child enters them.
    cgroup::Directories directories = layout->At("/c");
    directories.oom_file.clear();
    REQUIRE(base::MakeDirs(directories.v2, 0755).ok());
    for (const std::string& directory : directories.v1) {
      REQUIRE(base::MakeDirs(directory, 0755).ok());
      REQUIRE(base::WriteFileAtomic(directory + "/tasks", "", 0600).ok());
    }
    const auto join = cgroup::OpenJoin(directories);
    INFO(join.status());
    REQUIRE(join.ok());
    REQUIRE(join->tasks.size() == mounts.size());
    for (size_t i = 0; i < mounts.size(); ++i) {
      const bool last = i + 1 == mounts.size();
      const std::string file =
          std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", join->tasks[i].get()));
      INFO(file);
      CHECK(layout->v1[i].Has("cpu") == last);
      CHECK(file == directories.v1[i] + "/tasks");
    }
    REQUIRE(base::RemoveTree(root).ok());
  }
}

TEST_CASE("a v2 host has one hierarchy") {
  const auto layout = cgroup::ParseLayout(kV2, "cpuset cpu io memory hugetlb pids rdma misc\n");
  REQUIRE(layout.ok());
  CHECK(layout->v2_only());
  CHECK(layout->v2.controllers == Names{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"});
  CHECK(layout->At("/p").v1.empty());
  CHECK(layout->At("/p").oom_file == "/sys/fs/cgroup/p/memory.events");
}

TEST_CASE("hosts without cgroup2 or a needed controller are refused") {
  CHECK(absl::IsFailedPrecondition(cgroup::ParseLayout("", "").status()));
  CHECK(absl::IsFailedPrecondition(cgroup::ParseLayout(kV2, "cpu pids").status()));  // no memory
  // Truncated lines are skipped.
  CHECK_FALSE(cgroup::ParseLayout("1 2 - cgroup2\n - cgroup\n - cgroup2 x", "cpu").ok());
}

TEST_CASE("mount points with spaces are decoded") {
  CHECK(cgroup::FindV2Mount("1 2 0:3 / /a\\040b\\134 rw - cgroup2 none rw\n") == "/a b\\");
  CHECK(cgroup::FindV2Mount("1 2 0:3 / /a\\04 rw - cgroup2 none rw\n") == "/a\\04");
}

TEST_CASE("nsdelegate is an option of the first cgroup2 mount, and a whole word") {
  const auto has = [](const char* options) {
    return cgroup::HasNsdelegate(
        absl::StrCat("1 2 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,nsdelegate\n"
                     "1 2 0:3 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 ",
                     options, "\n1 2 0:4 / /other rw - cgroup2 none rw,nsdelegate\n"));
  };
  CHECK(has("rw,nsdelegate,memory_recursiveprot"));
  CHECK(has("nsdelegate"));
  CHECK_FALSE(has("rw,memory_recursiveprot"));
  CHECK_FALSE(has("rw,nsdelegate2"));
  CHECK_FALSE(cgroup::HasNsdelegate(""));
}

TEST_CASE("huge page sizes are written as in hugetlb's file names") {
  CHECK(cgroup::HugepageSize("hugepages-2048kB") == "2MB");
  CHECK(cgroup::HugepageSize("hugepages-1048576kB") == "1GB");
  CHECK(cgroup::HugepageSize("hugepages-64kB") == "64KB");
  CHECK(cgroup::HugepageSize("hugepages-x") == "");
}

TEST_CASE("paths of groups are absolute and normalized, or refused") {
  CHECK(cgroup::CheckPath("/kubepods/burstable/pod1/c").ok());
  CHECK(cgroup::CheckPath("/a.slice/b:c").ok());
  for (const char* bad : {"", "/", "a", "//a", "/a/", "/a/../b", "/a/./b", "/a\nb"}) {
    INFO(bad);
    CHECK(absl::IsInvalidArgument(cgroup::CheckPath(bad)));
  }
  CHECK_FALSE(cgroup::CheckPath("/" + std::string(256, 'a')).ok());
  CHECK(cgroup::PathPrefixes("/a/b/c") == Names{"/a", "/a/b", "/a/b/c"});
  CHECK(cgroup::PathPrefixes("").empty());
}
