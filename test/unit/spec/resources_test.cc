#include "spec/resources.h"

#include <google/protobuf/util/message_differencer.h>

#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using ::runtime::v1::LinuxContainerResources;

LinuxContainerResources Parse(const std::string& text) {
  return Proto<LinuxContainerResources>(text);
}

TEST_CASE("resources as kubelet sends them become cgroup limits") {
  const LinuxContainerResources resources = Parse(R"(
      cpu_period: 100000 cpu_quota: 50000 cpu_shares: 512 memory_limit_in_bytes: 104857600
      oom_score_adj: 991 cpuset_cpus: "0-1,3" cpuset_mems: "0"
      hugepage_limits { page_size: "2MB" limit: 0 } hugepage_limits { page_size: "1GB" limit: 7 }
      unified { key: "memory.oom.group" value: "1" })");
  oci::Linux linux_;
  linux_.resources = *OciResources(resources);
  linux_.resources->devices.push_back(
      {.allow = true, .type = 'c', .major = 1, .minor = std::nullopt, .access = "r"});
  const cgroup::Resources limits = *CgroupResources(resources, linux_);
  CHECK(limits.cpu_period_us == 100000u);
  CHECK(limits.cpu_quota_us == 50000);
  CHECK(limits.cpu_shares == 512u);
  CHECK(limits.memory_limit_bytes == 104857600);
  CHECK(limits.memory_swap_limit_bytes == 104857600);  // no swap
  CHECK(limits.cpuset_cpus == "0-1,3");
  CHECK(limits.cpuset_mems == "0");
  REQUIRE(limits.hugepage_limits.size() == 2);
  CHECK(limits.hugepage_limits[0].page_size == "2MB");
  CHECK(limits.hugepage_limits[0].limit_bytes == 0);
  CHECK(limits.hugepage_limits[1].limit_bytes == 7);
  CHECK(limits.unified == std::map<std::string, std::string>{{"memory.oom.group", "1"}});
  REQUIRE(limits.devices.size() == 1);
  CHECK(limits.devices[0].allow);
  CHECK(limits.devices[0].major == 1u);
  CHECK_FALSE(limits.devices[0].minor.has_value());
  CHECK(limits.devices[0].access == "r");
  CHECK(linux_.resources->memory_swap == 104857600);
  CHECK(linux_.resources->cpu_shares == 512u);
  CHECK(linux_.resources->hugepage_limits.size() == 2);
  CHECK(linux_.resources->unified.size() == 1);
}

TEST_CASE("absent resources set no limit") {
  const cgroup::Resources limits = *CgroupResources({}, {});
  CHECK_FALSE(limits.cpu_shares.has_value());
  CHECK_FALSE(limits.cpu_quota_us.has_value());
  CHECK_FALSE(limits.cpu_period_us.has_value());
  CHECK_FALSE(limits.memory_limit_bytes.has_value());
  CHECK_FALSE(limits.memory_swap_limit_bytes.has_value());
  CHECK_FALSE(limits.cpuset_cpus.has_value());
  CHECK_FALSE(limits.pids_limit.has_value());
  CHECK(limits.devices.empty());
}

TEST_CASE("cpu shares beyond the kernel's bounds are the nearest ones, as for the kernel") {
  const auto shares = [](const std::string& text) {
    const uint64_t of_create = OciResources(Parse(text))->cpu_shares.value_or(0);
    CHECK(CgroupUpdate(Parse(text))->cpu_shares.value_or(0) == of_create);
    return of_create;
  };
  CHECK(shares("cpu_shares: 1") == 2);
  CHECK(shares("cpu_shares: 2") == 2);
  CHECK(shares("cpu_shares: 262144") == 262144);
  CHECK(shares("cpu_shares: 262145") == 262144);
  CHECK(shares("cpu_shares: 9223372036854775807") == 262144);
  CHECK(shares("") == 0);
}

TEST_CASE("a memory limit without a swap limit allows no swap") {
  const auto swap = [](const std::string& text) {
    return CgroupResources(Parse(text), {})->memory_swap_limit_bytes;
  };
  CHECK(swap("memory_limit_in_bytes: 8192") == 8192);
  CHECK(swap("memory_limit_in_bytes: 8192 memory_swap_limit_in_bytes: 9192") == 9192);
  CHECK(swap("memory_limit_in_bytes: 8192 memory_swap_limit_in_bytes: -1") == -1);
  CHECK(swap("memory_limit_in_bytes: -1") == -1);
  // An update may change one and leave the other.
  CHECK_FALSE(
      CgroupUpdate(Parse("memory_limit_in_bytes: 8192"))->memory_swap_limit_bytes.has_value());
  CHECK(CgroupUpdate(Parse("memory_swap_limit_in_bytes: 8192"))->memory_swap_limit_bytes == 8192);
}

TEST_CASE("resources out of range or malformed are refused, naming the field") {
  const std::pair<const char*, const char*> cases[] = {
      {"cpu_shares: -1", "cpu_shares -1"},
      {"cpu_period: 999", "cpu_period 999"},
      {"cpu_period: 1000001", "cpu_period 1000001"},
      {"cpu_quota: -2", "cpu_quota -2"},
      {"cpu_quota: 999", "cpu_quota 999"},
      {"cpu_quota: 9223372036854775807", "cpu_quota 9223372036854775807"},
      {"memory_limit_in_bytes: -2", "limits.memory -2"},
      {"memory_limit_in_bytes: 1", "limits.memory 1"},
      {"memory_swap_limit_in_bytes: -2", "memory_swap_limit_in_bytes -2"},
      {"memory_limit_in_bytes: 8192 memory_swap_limit_in_bytes: 8191", "swap_limit_in_bytes 8191"},
      {"memory_limit_in_bytes: -1 memory_swap_limit_in_bytes: 8191", "swap_limit_in_bytes 8191"},
      {"oom_score_adj: 1001", "oom_score_adj 1001"},
      {"oom_score_adj: -1001", "oom_score_adj -1001"},
      {"cpuset_cpus: '0\\n1'", "cpuset_cpus \"0\\n1\""},
      {"cpuset_cpus: 'all'", "cpuset_cpus \"all\""},
      {"cpuset_mems: '0 1'", "cpuset_mems \"0 1\""},
      {"hugepage_limits { page_size: '' }", "page_size"},
      {"hugepage_limits { page_size: 'MB' }", "page_size \"MB\""},
      {"hugepage_limits { page_size: '2M' }", "page_size \"2M\""},
      {"hugepage_limits { page_size: '../2MB' }", "page_size"},
      {"hugepage_limits { page_size: '2MB/x' }", "page_size"},
      {"unified { key: 'memory/max' value: '1' }", "unified \"memory/max\""},
      {"unified { key: '../memory.max' value: '1' }", "unified"},
      {"unified { key: '..' value: '1' }", "unified"},
      {"unified { key: '' value: '1' }", "unified"},
      {"unified { key: 'tasks' value: '1' }", "unified"},
      {"unified { key: 'cgroup.procs' value: '1' }", "unified \"cgroup.procs\""},
      {"unified { key: 'cgroup.kill' value: '1' }", "unified \"cgroup.kill\""},
      {"unified { key: 'memory.max\\n' value: '1' }", "unified"},
      {"unified { key: 'memory.max' value: '1\\0' }", "unified[\"memory.max\"]"},
  };
  for (const auto& [text, part] : cases) {
    CAPTURE(text);
    CheckRefused(CgroupResources(Parse(text), {}).status(), part);
    CheckRefused(CgroupUpdate(Parse(text)).status(), part);
  }
  // Only for new containers: an update leaves the memory limit as it is.
  CheckRefused(CgroupResources(Parse("memory_swap_limit_in_bytes: 8192"), {}).status(),
               "needs memory_limit_in_bytes");
}

TEST_CASE("an update changes only the limits it sets") {
  const LinuxContainerResources current = Parse(R"(
      cpu_period: 100000 cpu_quota: 50000 cpu_shares: 512 memory_limit_in_bytes: 10000
      memory_swap_limit_in_bytes: 12000 oom_score_adj: 5 cpuset_cpus: "0"
      hugepage_limits { page_size: "2MB" limit: 4 } unified { key: "a.b" value: "1" })");
  const auto same = [](const LinuxContainerResources& a, const LinuxContainerResources& b) {
    return google::protobuf::util::MessageDifferencer::Equals(a, b);
  };
  CHECK(same(Merge(current, {}), current));
  CHECK(same(Merge(current, Parse(R"(
      cpu_quota: -1 memory_limit_in_bytes: 20000 oom_score_adj: 9 cpuset_mems: "1"
      hugepage_limits { page_size: "2MB" limit: 0 } hugepage_limits { page_size: "1GB" limit: 1 }
      unified { key: "a.b" value: "2" } unified { key: "a.c" value: "3" })")),
             Parse(R"(
      cpu_period: 100000 cpu_quota: -1 cpu_shares: 512 memory_limit_in_bytes: 20000
      memory_swap_limit_in_bytes: 22000 oom_score_adj: 5 cpuset_cpus: "0" cpuset_mems: "1"
      hugepage_limits { page_size: "2MB" limit: 0 } hugepage_limits { page_size: "1GB" limit: 1 }
      unified { key: "a.b" value: "2" } unified { key: "a.c" value: "3" })")));
  CHECK(same(Merge(current, Parse("cpu_period: 5000 cpu_shares: 3 cpuset_cpus: '1' "
                                  "memory_limit_in_bytes: 5000 memory_swap_limit_in_bytes: 5000")),
             Parse(R"(
      cpu_period: 5000 cpu_quota: 50000 cpu_shares: 3 memory_limit_in_bytes: 5000
      memory_swap_limit_in_bytes: 5000 oom_score_adj: 5 cpuset_cpus: "1"
      hugepage_limits { page_size: "2MB" limit: 4 } unified { key: "a.b" value: "1" })")));
  // Without a memory limit the kernel has no limit on memory and swap together.
  CHECK(same(Merge(Parse("memory_limit_in_bytes: 10000 memory_swap_limit_in_bytes: 12000"),
                   Parse("memory_limit_in_bytes: -1")),
             Parse("memory_limit_in_bytes: -1 memory_swap_limit_in_bytes: -1")));
}

}  // namespace
}  // namespace crisp::spec
