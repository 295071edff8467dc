#include "cgroup/settings.h"

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"

using namespace crisp;
using cgroup::Resources;
using Lines = std::vector<std::string>;
using Files = std::map<std::string, std::string>;

namespace {

cgroup::Layout V2() {
  cgroup::Layout layout;
  layout.v2 = {"/c", {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}};
  return layout;
}

cgroup::Layout V1() {
  cgroup::Layout layout;
  layout.v1 = {{"/c/cpu", {"cpu"}},
               {"/c/cpuset", {"cpuset"}},
               {"/c/memory", {"memory"}},
               {"/c/pids", {"pids"}},
               {"/c/devices", {"devices"}}};
  layout.v2 = {"/c/unified", {}};
  return layout;
}

// The files of a new v1 group.
const Files kV1New = {{"cpu.cfs_period_us", "100000"},
                      {"cpu.cfs_quota_us", "-1"},
                      {"memory.limit_in_bytes", "9223372036854771712"},
                      {"memory.memsw.limit_in_bytes", "9223372036854771712"}};
const Files kV2New = {{"cpu.max", "max 100000"}, {"memory.max", "max"}, {"memory.swap.max", "max"}};

absl::StatusOr<Lines> Plan(const cgroup::Layout& layout, const Resources& resources,
                           const Files& files) {
  const auto current = [&](absl::string_view, absl::string_view file) {
    const auto found = files.find(std::string(file));
    return found == files.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  const auto settings = cgroup::PlanSettings(layout, resources, current);
  if (!settings.ok()) return settings.status();
  Lines lines;
  for (const auto& setting : *settings) {
    lines.push_back(absl::StrCat(setting.file, "=", setting.value));
  }
  return lines;
}

Resources Memory(int64_t limit, int64_t total) {
  Resources resources;
  resources.memory_limit_bytes = limit;
  resources.memory_swap_limit_bytes = total;
  return resources;
}

}  // namespace

TEST_CASE("cpu.weight follows the quadratic conversion of runc and kubelet") {
  const std::pair<uint64_t, uint64_t> table[] = {
      {0, 1},      {1, 1},      {2, 1},       {3, 2},          {100, 17},
      {102, 17},   {512, 59},   {1023, 100},  {1024, 100},     {1025, 101},
      {2048, 174}, {4096, 303}, {10240, 639}, {262144, 10000}, {1u << 30, 10000}};
  for (const auto& [shares, weight] : table) {
    INFO(shares);
    CHECK(cgroup::CpuWeight(shares) == weight);
  }
}

TEST_CASE("absent and zero limits write nothing") {
  Resources zero = Memory(0, 0);
  zero.cpu_shares = 0;
  zero.cpu_quota_us = 0;
  zero.cpu_period_us = 0;
  zero.cpuset_cpus = "";
  zero.pids_limit = 0;
  zero.hugepage_limits = {{"2MB", 0}, {"1GB", 0}};  // 0 is accepted without the controller
  CHECK(Plan(V1(), zero, kV1New)->empty());
  CHECK(Plan(V2(), zero, kV2New)->empty());
}

TEST_CASE("CPU quota and period are written in an order that the kernel accepts") {
  Resources both;
  both.cpu_quota_us = 50000;
  both.cpu_period_us = 200000;
  CHECK(*Plan(V2(), both, kV2New) == Lines{"cpu.max=50000 200000"});
  // A longer period is written first, a shorter one last: the share never exceeds both old and new.
  CHECK(*Plan(V1(), both, kV1New) == Lines{"cpu.cfs_period_us=200000", "cpu.cfs_quota_us=50000"});
  both.cpu_period_us = 10000;
  both.cpu_quota_us = 5000;
  CHECK(*Plan(V1(), both, kV1New) == Lines{"cpu.cfs_quota_us=5000", "cpu.cfs_period_us=10000"});

  Resources period;
  period.cpu_period_us = 50000;
  CHECK(*Plan(V2(), period, {{"cpu.max", "20000 100000"}}) == Lines{"cpu.max=20000 50000"});
  CHECK(*Plan(V1(), period, kV1New) == Lines{"cpu.cfs_period_us=50000"});

  Resources quota;
  quota.cpu_quota_us = -1;
  CHECK(*Plan(V2(), quota, {{"cpu.max", "20000 50000"}}) == Lines{"cpu.max=max 50000"});
  CHECK(Plan(V1(), quota, kV1New)->empty());  // already in force
  quota.cpu_quota_us = 10000;
  CHECK(*Plan(V2(), quota, {{"cpu.max", "20000 50000"}, {"cpu.max.burst", "15000"}}) ==
        Lines{"cpu.max.burst=0", "cpu.max=10000 50000"});
  quota.cpu_quota_us = -2;
  CHECK(absl::IsInvalidArgument(Plan(V1(), quota, kV1New).status()));
}

TEST_CASE("v1 memory: memory + swap is never below memory") {
  const auto at = [](int64_t memory, int64_t total) {
    return Files{{"memory.limit_in_bytes", absl::StrCat(memory)},
                 {"memory.memsw.limit_in_bytes", absl::StrCat(total)}};
  };
  const std::string m = "memory.limit_in_bytes=", s = "memory.memsw.limit_in_bytes=";
  CHECK(*Plan(V1(), Memory(100, 100), kV1New) == Lines{m + "100", s + "100"});
  CHECK(*Plan(V1(), Memory(200, 300), at(100, 100)) == Lines{s + "300", m + "200"});
  CHECK(*Plan(V1(), Memory(50, 80), at(100, 100)) == Lines{m + "50", s + "80"});
  CHECK(*Plan(V1(), Memory(-1, -1), at(100, 100)) == Lines{s + "-1", m + "-1"});
  // A memory limit alone keeps the amount of swap, here 50, as on v2, where swap has its own file.
  CHECK(*Plan(V1(), Memory(200, 0), at(100, 150)) == Lines{s + "250", m + "200"});
  CHECK(*Plan(V1(), Memory(60, 0), at(100, 150)) == Lines{m + "60", s + "110"});
  CHECK(*Plan(V1(), Memory(60, 0), kV1New) == Lines{m + "60"});
  CHECK(*Plan(V1(), Memory(0, 120), at(100, 150)) == Lines{s + "120"});
}

TEST_CASE("v2 memory: swap is the total less memory") {
  CHECK(*Plan(V2(), Memory(100, 100), kV2New) == Lines{"memory.max=100", "memory.swap.max=0"});
  CHECK(*Plan(V2(), Memory(100, 150), kV2New) == Lines{"memory.max=100", "memory.swap.max=50"});
  CHECK(*Plan(V2(), Memory(100, -1), kV2New) == Lines{"memory.max=100", "memory.swap.max=max"});
  CHECK(*Plan(V2(), Memory(-1, 0), kV2New) == Lines{"memory.max=max"});
  CHECK(*Plan(V2(), Memory(0, 150), {{"memory.max", "100"}, {"memory.swap.max", "0"}}) ==
        Lines{"memory.swap.max=50"});
}

TEST_CASE("memory limits that contradict each other are refused") {
  for (const auto& layout : {V1(), V2()}) {
    const Files& files = layout.v2_only() ? kV2New : kV1New;
    CHECK(absl::IsInvalidArgument(Plan(layout, Memory(100, 50), files).status()));
    CHECK(absl::IsInvalidArgument(Plan(layout, Memory(-1, 50), files).status()));
    CHECK(absl::IsInvalidArgument(Plan(layout, Memory(0, 50), files).status()));
    CHECK(absl::IsInvalidArgument(Plan(layout, Memory(-7, 0), files).status()));
  }
  // Without swap accounting a limit that allows no swap is accepted, and one that allows some is
  // not.
  CHECK(*Plan(V2(), Memory(100, 100), {}) == Lines{"memory.max=100"});
  CHECK(absl::IsFailedPrecondition(Plan(V2(), Memory(100, 150), {}).status()));
}

TEST_CASE("limits of pids, cpusets and huge pages") {
  Resources resources;
  resources.pids_limit = -1;
  resources.cpuset_cpus = "0-1,3";
  CHECK(*Plan(V1(), resources, kV1New) == Lines{"cpuset.cpus=0-1,3", "pids.max=max"});
  resources.cpuset_cpus = "0\n1";
  CHECK(absl::IsInvalidArgument(Plan(V1(), resources, kV1New).status()));

  Resources huge;
  huge.hugepage_limits = {{"2MB", 4194304}};
  CHECK(*Plan(V2(), huge, {{"hugetlb.2MB.max", "max"}, {"hugetlb.2MB.rsvd.max", "max"}}) ==
        Lines{"hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304"});
  const absl::Status missing = Plan(V1(), huge, {}).status();
  CHECK(absl::IsFailedPrecondition(missing));
  CHECK(std::string(missing.message()).find("hugetlb.2MB.limit_in_bytes") != std::string::npos);
  huge.hugepage_limits = {{"../x", 0}};
  CHECK(absl::IsInvalidArgument(Plan(V2(), huge, {}).status()));
}

TEST_CASE("values of unified are written unchanged on v2 and override other limits") {
  Resources resources = Memory(100, 150);
  resources.unified = {{"memory.swap.max", "7"}, {"memory.oom.group", "1"}};
  CHECK(*Plan(V2(), resources, kV2New) ==
        Lines{"memory.max=100", "memory.oom.group=1", "memory.swap.max=7"});
  CHECK(absl::IsInvalidArgument(Plan(V1(), resources, kV1New).status()));
  for (const char* key : {"memory/../x", "../cgroup.kill", "cgroup.kill", "rdma.max", "memory", "",
                          "memory.a b", "memory.\n"}) {
    INFO(key);
    Resources bad;
    bad.unified = {{key, "1"}};
    const absl::Status status = Plan(V2(), bad, kV2New).status();
    CHECK(absl::IsInvalidArgument(status));
  }
  Resources empty;
  empty.unified = {{"memory.high", ""}};
  CHECK(absl::IsInvalidArgument(Plan(V2(), empty, kV2New).status()));
  empty.unified = {{"memory.high", std::string(5000, '1')}};
  CHECK(absl::IsInvalidArgument(Plan(V2(), empty, kV2New).status()));
}

TEST_CASE("device rules keep their order") {
  Resources resources;
  resources.devices = {{false, 'a', {}, {}, "rwm"},
                       {true, 'c', 1, 3, "rwm"},
                       {true, 'c', 136, {}, "rw"},
                       {false, 'c', 136, 1, "w"},
                       {true, 'b', {}, {}, "m"}};
  CHECK(*Plan(V1(), resources, kV1New) == Lines{"devices.deny=a *:* rwm",
                                                "devices.allow=c 1:3 rwm\nc 136:* rw",
                                                "devices.deny=c 136:1 w", "devices.allow=b *:* m"});
  resources.devices = {{true, 'c', 1, 3, "rwx"}};
  CHECK(absl::IsInvalidArgument(Plan(V1(), resources, kV1New).status()));
}
