// Stats while containers work against them, and of many pods.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/file.h"
#include "fault/amount.h"
#include "fault/hostile_parts.h"
#include "fault/times.h"
#include "integration/pod.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

using Runtime = v1::RuntimeService::Stub;

v1::ContainerStats StatsOf(Pod& pod, const std::string& container) {
  v1::ContainerStatsRequest request;
  request.set_container_id(container);
  return pod.daemon().Call(pod.daemon().runtime(), &Runtime::ContainerStats, request).stats();
}

// Of crispd, since it was started.
absl::Duration CpuTime(const Daemon& daemon) {
  const std::string stat = *base::ReadFile(absl::StrCat("/proc/", daemon.pid(), "/stat"));
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(stat.rfind(')') + 2), ' ');
  int64_t user = 0, system = 0;
  REQUIRE(absl::SimpleAtoi(fields[11], &user));
  REQUIRE(absl::SimpleAtoi(fields[12], &system));
  return absl::Milliseconds((user + system) * 1000 / sysconf(_SC_CLK_TCK));
}

constexpr absl::Duration kPause = absl::Milliseconds(100);  // what asks must not be a load itself
constexpr int kDirectories = 500;
constexpr uint64_t kInodes = kDirectories * 101;

struct Calls {
  Times took;
  int without_layer = 0;
  uint64_t most_inodes = 0;
};

// Asks for the stats of all containers for `span`.
Calls Watch(Daemon& daemon, absl::Duration span) {
  Calls calls;
  const int64_t end = base::MonotonicNanos() + absl::ToInt64Nanoseconds(span);
  while (base::MonotonicNanos() < end) {
    v1::ListContainerStatsResponse all;
    calls.took.Take([&] { all = daemon.Call(daemon.runtime(), &Runtime::ListContainerStats, {}); });
    for (const v1::ContainerStats& stats : all.stats()) {
      calls.without_layer += !stats.has_writable_layer();
      calls.most_inodes = std::max(calls.most_inodes, stats.writable_layer().inodes_used().value());
    }
    absl::SleepFor(absl::Milliseconds(100));
  }
  return calls;
}

}  // namespace

TEST_CASE("a container that moves directories ahead of the walk gets no stats wrong or late") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run(Mover(kDirectories));
  CHECK(StatsOf(pod, container).has_writable_layer());
  REQUIRE(Eventually([&] { return pod.LogText(container) == "ready\n"; }, 60, kPause));
  const absl::Duration before = CpuTime(daemon);
  const absl::Duration span = absl::Seconds(Amount(10, 30));
  Calls calls = Watch(daemon, span);
  CHECK(calls.without_layer == 0);
  CHECK(calls.most_inodes > kInodes / 2);
  CHECK(calls.most_inodes < kInodes + kInodes / 10);
  CHECK(calls.took.Quantile(0.5) < absl::Milliseconds(50));
  CHECK(calls.took.Quantile(1) < absl::Seconds(1));
  CHECK(CpuTime(daemon) - before < span / 10);  // a tenth of a core
}

TEST_CASE("what a container writes is in its stats within a minute, also after a restart") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container =
      pod.Run({"sh", "-c", "dd if=/dev/zero of=/f bs=1M count=5; sleep 999"});
  const v1::FilesystemUsage first = StatsOf(pod, container).writable_layer();
  CHECK(first.timestamp() > 0);
  const auto sees = [&] {
    return StatsOf(pod, container).writable_layer().used_bytes().value() >= (5 << 20);
  };
  REQUIRE(Eventually(sees, 60, kPause));
  CHECK(StatsOf(pod, container).writable_layer().timestamp() > first.timestamp());
  daemon.Kill9();
  daemon.Start();
  CHECK(Eventually(sees, 60, kPause));
}

// In CPU time, and compared with reading one file of a cgroup, so that it holds on any machine.
TEST_CASE("stats of a hundred pods cost no more than reading 25 files for each") {
  constexpr int kCalls = 100, kReads = 2000;
  const int pod_count = Amount(30, 100);
  Daemon daemon;
  std::vector<std::unique_ptr<Pod>> pods;
  for (int i = 0; i < pod_count; ++i) {
    pods.push_back(std::make_unique<Pod>(daemon));
    pods.back()->Run({"sleep", "1000"});
  }
  const std::string file = pods[0]->CgroupDirectory(pods[0]->id(), "memory") + "/memory.stat";
  const auto own_cpu = [] {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return absl::DurationFromTimespec(now);
  };
  const absl::Duration own_before = own_cpu();
  for (int i = 0; i < kReads; ++i) REQUIRE(base::ReadFile(file).ok());
  const absl::Duration one_read = (own_cpu() - own_before) / kReads;
  const absl::Duration before = CpuTime(daemon);
  for (int i = 0; i < kCalls; ++i)
    CHECK(daemon.Call(daemon.runtime(), &Runtime::ListPodSandboxStats, {}).stats_size() ==
          pod_count);
  const absl::Duration call = (CpuTime(daemon) - before) / kCalls;
  INFO("a call costs " << absl::FormatDuration(call) << ", reading a file "
                       << absl::FormatDuration(one_read));
  CHECK(call / pod_count < 25 * one_read);
}
