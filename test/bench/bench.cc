// Measures the times of pods through CRI, of runc and of the kernel alone in one run, and the
// memory of running pods. Passes if all calls worked: the times are printed, not judged.
//
//   bench [ROUNDS [PODS]]      default 50 rounds, 40 pods
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <list>
#include <stdexcept>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "bench/kernel_floor.h"
#include "bench/memory.h"
#include "bench/pod_round.h"
#include "bench/report.h"
#include "bench/runc.h"
#include "integration/pod.h"

namespace crisp::bench {
namespace {

constexpr int64_t kShimBudgetKib = 128;

volatile sig_atomic_t interrupted = 0;

// A signal only ends the loops, because everything that was made must be removed.
void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void Continue() {
  if (interrupted != 0) throw std::runtime_error("interrupted");
}

std::string Load() {
  const std::string text = base::ReadFile("/proc/loadavg").value_or("?");
  return text.substr(0, text.find(' '));
}

// Counts passes and failures for the last line of the output.
class Checks {
 public:
  // Returns whether `body` reached its end.
  bool Run(const std::string& name, const std::function<void()>& body) {
    try {
      body();
      ++passed_;
      return true;
    } catch (const std::exception& error) {
      ++failed_;
      problems_ += absl::StrCat("FAILED ", name, ": ", error.what(), "\n");
      return false;
    }
  }
  // Prints problems and the line test/run reads.
  int Finish() const {
    absl::PrintF("\n%s%d passed, %d failed, 0 skipped\n", problems_, passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  int passed_ = 0;
  int failed_ = 0;
  std::string problems_;
};

PodTimes PodRound(test::Daemon& daemon, bool host_network) {
  TimedPod pod(daemon, host_network);
  pod.Up();
  pod.Exec();
  pod.Down();
  return pod.times();
}

void MeasureRounds(test::Daemon& daemon, KernelFloor& floor, int count, Rounds& rounds) {
  // runc uses its root file system and mounts too.
  TimedPod model(daemon, /*host_network=*/true);
  model.Up();
  Runc runc(daemon.dir() + "/runc", model.container().pid, model.container().spec);
  runc.AddProgram(CRISP_BENCH_TRUE, "static_true");
  for (int round = -1; round < count; ++round) {
    Continue();
    const int64_t floor_ns = floor.Measure(runc.rootfs(), daemon.dir() + "/floor");
    const int64_t host_runc = runc.RunTrue(/*own_network=*/false);
    const PodTimes host_pod = PodRound(daemon, /*host_network=*/true);
    const int64_t bridge_runc = runc.RunTrue(/*own_network=*/true);
    const PodTimes bridge_pod = PodRound(daemon, /*host_network=*/false);
    if (round < 0) continue;  // the first round fills caches and makes the bridge
    rounds.floor.push_back(floor_ns);
    rounds.host.runc.push_back(host_runc);
    rounds.host.pods.push_back(host_pod);
    rounds.bridge.runc.push_back(bridge_runc);
    rounds.bridge.pods.push_back(bridge_pod);
  }
  model.Down();
}

void MeasureMemory(test::Daemon& daemon, int count, MemoryUse& use) {
  std::list<TimedPod> pods;
  for (int i = 0; i < count; ++i) {
    Continue();
    pods.emplace_back(daemon, /*host_network=*/true).Up();
  }
  for (TimedPod& pod : pods) {
    const Memory pause = MemoryOf(pod.pod().pid);
    const Memory shim = MemoryOf(ParentOf(pod.container().pid));
    use.pods.push_back({.pss = pause.pss + shim.pss, .private_ = pause.private_ + shim.private_});
    use.shims.push_back(shim.private_);
  }
  use.crispd_rss = MemoryOf(daemon.pid()).rss;
  for (TimedPod& pod : pods) pod.Down();
}

void CheckShims(const MemoryUse& use) {
  const int64_t most = Percentile(use.shims, 100);
  if (most > kShimBudgetKib) {
    throw std::runtime_error(absl::StrCat(most, " KiB, allowed ", kShimBudgetKib));
  }
}

void PrintHeader(int rounds) {
  utsname kernel = {};
  uname(&kernel);
  absl::PrintF("crisp bench: %d rounds, kernel %s, %d CPUs, %s, load %s\n", rounds, kernel.release,
               sysconf(_SC_NPROCESSORS_ONLN), Runc::Version(), Load());
}

void Bench(int count, int pods, KernelFloor& floor, Checks& checks) {
  test::Daemon daemon;
  PrintHeader(count);
  daemon.Pull(test::kBusybox);
  Rounds rounds;
  MemoryUse use;
  const bool timed = checks.Run("rounds", [&] { MeasureRounds(daemon, floor, count, rounds); });
  absl::PrintF("load after the rounds %s\n", Load());
  const bool weighed = checks.Run("memory of pods", [&] { MeasureMemory(daemon, pods, use); });
  if (timed) {
    PrintTimes(rounds);
    PrintTimeline(rounds.host);
    PrintTimeline(rounds.bridge);
  }
  if (weighed) {
    PrintMemory(use);
    checks.Run("private memory of an idle shim", [&] { CheckShims(use); });
  }
  if (timed) PrintExpectations(rounds, weighed ? &use : nullptr);
}

int Main(int argc, char** argv) {
  int rounds = 50;
  int pods = 40;
  if (argc > 3 || (argc > 1 && (!absl::SimpleAtoi(argv[1], &rounds) || rounds < 1)) ||
      (argc > 2 && (!absl::SimpleAtoi(argv[2], &pods) || pods < 1))) {
    fprintf(stderr, "usage: bench [ROUNDS [PODS]]\n");
    return 2;
  }
  CatchSignals();
  Checks checks;
  checks.Run("everything started and removed", [&] {
    KernelFloor floor;
    Bench(rounds, pods, floor, checks);
  });
  return checks.Finish();
}

}  // namespace
}  // namespace crisp::bench

int main(int argc, char** argv) { return crisp::bench::Main(argc, argv); }
