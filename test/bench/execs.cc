#include "bench/execs.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/file.h"
#include "bench/interrupt.h"
#include "bench/memory.h"
#include "bench/pod_round.h"

namespace crisp::bench {
namespace {

constexpr int kPerSecond = 40;
constexpr int kWarm = 200;  // execs after which caches and pools are filled

// Of all processors, in milliseconds: all times but idle and iowait (proc_stat(5)).
double BusyMillis() {
  const std::string stat = base::ReadFile("/proc/stat", 1 << 20).value_or("");
  const std::string line = stat.substr(0, stat.find('\n'));
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  if (words.size() < 9) throw std::runtime_error("/proc/stat: too few words");
  int64_t ticks = 0;
  for (const size_t place : {1, 2, 3, 6, 7, 8}) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(words[place], &value)) throw std::runtime_error("/proc/stat");
    ticks += value;
  }
  return static_cast<double>(ticks) * 1000 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// This program takes as much whatever the runtime does.
double OwnMillis() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) throw std::runtime_error("getrusage");
  return absl::ToDoubleMilliseconds(absl::DurationFromTimeval(usage.ru_utime) +
                                    absl::DurationFromTimeval(usage.ru_stime));
}

}  // namespace

void MeasureExecCost(const Peer& peer, size_t runtime, int seconds, Results& results) {
  TimedPod pod(*peer.endpoint, /*host_network=*/true);
  pod.Up();
  for (int i = 0; i < kPerSecond; ++i) pod.Exec();
  const double before = BusyMillis();
  absl::SleepFor(absl::Seconds(seconds));  // what the machine does by itself
  const double idle_per_ns = (BusyMillis() - before) / (seconds * 1e9);
  const int count = seconds * kPerSecond;
  const double begin = BusyMillis() - OwnMillis();
  const int64_t begin_ns = base::MonotonicNanos();
  for (int i = 0; i < count; ++i) {
    Continue();
    pod.Exec();
    const int64_t next_ns = begin_ns + int64_t{i + 1} * 1'000'000'000 / kPerSecond;
    absl::SleepFor(absl::Nanoseconds(std::max<int64_t>(0, next_ns - base::MonotonicNanos())));
  }
  // A runtime whose exec takes longer than its slot takes longer for all of them.
  const double idle = idle_per_ns * static_cast<double>(base::MonotonicNanos() - begin_ns);
  const double end = BusyMillis() - OwnMillis();
  results.Add(Figure::kCpuPerExec, runtime, (end - begin - idle) / count);
  pod.Down();
}

void MeasureExecGrowth(const Peer& peer, size_t runtime, int execs, Results& results) {
  TimedPod pod(*peer.endpoint, /*host_network=*/true);
  pod.Up();
  for (int i = 0; i < kWarm; ++i) pod.Exec();
  const int64_t before = MemoryOf(peer.daemon()).rss;
  for (int i = 0; i < execs; ++i) {
    Continue();
    pod.Exec();
  }
  results.Add(Figure::kExecGrowth, runtime,
              static_cast<double>(MemoryOf(peer.daemon()).rss - before));
  pod.Down();
}

}  // namespace crisp::bench
