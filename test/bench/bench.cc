// Measures crisp and containerd with runc side by side, one after the other in each round, with the
// same images, registry and network; and what the kernel alone needs. Times are printed, not
// judged: it passes if all calls worked.
//
//   bench [--quick] PROGRAMS OUTPUT
//
// PROGRAMS is the directory of containerd's and runc's programs; OUTPUT gets results.json and
// chart.svg.
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "bench/containerd.h"
#include "bench/execs.h"
#include "bench/interrupt.h"
#include "bench/kernel_floor.h"
#include "bench/loads.h"
#include "bench/peer.h"
#include "bench/pulls.h"
#include "bench/results.h"
#include "bench/rounds.h"
#include "bench/timeline.h"
#include "integration/pod.h"
#include "linux/spawn.h"

namespace crisp::bench {
namespace {

struct Amounts {
  int rounds = 8;  // of several pods
  int workers = 8;
  int pods_each = 10;  // of each worker
  int burst = 100;
  Crowd crowd = {.few = 100, .many = 500, .samples = 10};
  int exec_seconds = 5;
  int repeats = 3;
  int execs = 10'000;
  int mebibytes = 430;
  int pulls = 3;
};
constexpr Amounts kQuick = {.rounds = 1,
                            .workers = 4,
                            .pods_each = 2,
                            .burst = 10,
                            .crowd = {.few = 5, .many = 15, .samples = 3},
                            .exec_seconds = 2,
                            .repeats = 1,
                            .execs = 300,
                            .mebibytes = 40,
                            .pulls = 1};

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
      absl::StrAppend(&problems_, "FAILED ", name, ": ", error.what(), "\n");
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

void Must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string FirstLine(const std::string& path) {
  const std::string text = base::ReadFile(path).value_or("?");
  return text.substr(0, text.find('\n'));
}

void PrintHeader(const std::string& programs) {
  utsname kernel = {};
  uname(&kernel);
  absl::PrintF("kernel %s, %d CPUs, load %s; crisp's network by %s; %s\n", kernel.release,
               sysconf(_SC_NPROCESSORS_ONLN), FirstLine("/proc/loadavg"),
               getenv("CRISP_TEST_NATIVE") != nullptr ? "its engine" : "plugins",
               Containerd::Version(programs));
}

// The root file system of a pod's container with the program that the kernel alone executes.
std::string FloorRootfs(test::Daemon& daemon) {
  const std::string rootfs = daemon.dir() + "/floor-rootfs";
  Must(base::MakeDirs(rootfs, 0755));
  TimedPod model(daemon, /*host_network=*/true);
  model.Up();
  const std::string from = absl::StrCat("/proc/", model.container().pid, "/root/.");
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"cp", "-a", "--one-file-system", from, rootfs},
        {"cp", CRISP_BENCH_TRUE, rootfs + "/static_true"}}) {
    Must(linux::Run({.path = "/bin/cp", .args = args, .env = {}}, "", {}).status());
  }
  model.Down();
  return rootfs;
}

void Measure(const std::vector<Peer>& peers, const Amounts& amounts, KernelFloor& floor,
             test::Daemon& daemon, Checks& checks, Results& results) {
  std::string rootfs;
  if (!checks.Run("kernel floor", [&] { rootfs = FloorRootfs(daemon); })) return;
  const Floor alone = [&] {
    return static_cast<double>(floor.Measure(rootfs, daemon.dir() + "/floor")) / 1e6;
  };
  Timed timed;
  const bool rounds =
      checks.Run("rounds", [&] { timed = MeasureRounds(peers, amounts.rounds, alone, results); });
  checks.Run("pulls", [&] { MeasurePulls(peers, amounts.mebibytes, amounts.pulls, results); });
  // One runtime after the other for each, several times for those that are one value.
  const auto each = [&](const char* what, int times,
                        const std::function<void(const Peer&, size_t)>& measure) {
    for (int i = 0; i < times * static_cast<int>(peers.size()); ++i) {
      const size_t runtime = static_cast<size_t>(i) % peers.size();
      const Peer& peer = peers[runtime];
      const std::string name = absl::StrCat(peer.name, ": ", what);
      if (checks.Run(name, [&] { measure(peer, runtime); })) continue;
      checks.Run(name + ", removed", [&] { RemovePods(*peer.endpoint); });
    }
  };
  each("workers", amounts.repeats, [&](const Peer& peer, size_t runtime) {
    MeasureWorkers(peer, runtime, amounts.workers, amounts.pods_each, results);
  });
  each("burst", amounts.repeats, [&](const Peer& peer, size_t runtime) {
    MeasureBurst(peer, runtime, amounts.burst, results);
  });
  each("cost of execs", amounts.repeats, [&](const Peer& peer, size_t runtime) {
    MeasureExecCost(peer, runtime, amounts.exec_seconds, results);
  });
  each("growth by execs", 1, [&](const Peer& peer, size_t runtime) {
    MeasureExecGrowth(peer, runtime, amounts.execs, results);
  });
  std::vector<PodTimes> beside_many;
  each("many pods", 1, [&](const Peer& peer, size_t runtime) {
    std::vector<PodTimes> times = MeasureCrowd(peer, runtime, amounts.crowd, alone, results);
    if (runtime == 0) beside_many = std::move(times);
  });
  if (!beside_many.empty()) PrintTimeline("bridge, beside many pods", beside_many);
  if (!rounds) return;
  PrintTimeline("host network", timed.host_network);
  PrintTimeline("bridge", timed.bridge);
}

void Bench(const std::string& programs, const std::string& output, const Amounts& amounts,
           KernelFloor& floor, Checks& checks) {
  PrintHeader(programs);
  test::Daemon daemon;
  Containerd containerd(programs, getenv("CRISP_TEST_CERTS_DIR"));
  const std::vector<Peer> peers = {{.name = "crisp",
                                    .endpoint = &daemon,
                                    .daemon = [&] { return daemon.pid(); },
                                    .restart =
                                        [&] {
                                          daemon.Kill9();
                                          daemon.Start();
                                        },
                                    .data = daemon.root(),
                                    .certs = ""},
                                   {.name = "containerd",
                                    .endpoint = &containerd,
                                    .daemon = [&] { return containerd.pid(); },
                                    .restart = [&] { containerd.Restart(); },
                                    .data = containerd.data(),
                                    .certs = containerd.certs()}};
  for (const Peer& peer : peers) peer.endpoint->Pull(test::kBusybox);
  Results results({"crisp", "containerd"});
  Measure(peers, amounts, floor, daemon, checks, results);
  results.Print();
  Continue();
  Must(base::MakeDirs(output, 0755));
  Must(base::WriteFileAtomic(output + "/results.json", results.Json() + "\n", 0644));
  Must(base::WriteFileAtomic(output + "/chart.svg", results.Chart(), 0644));
}

int Main(int argc, char** argv) {
  const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
  if (argc != (quick ? 4 : 3)) {
    fprintf(stderr, "usage: bench [--quick] PROGRAMS OUTPUT\n");
    return 2;
  }
  CatchSignals();
  Checks checks;
  checks.Run("everything started and removed", [&] {
    KernelFloor floor;
    Bench(argv[argc - 2], argv[argc - 1], quick ? kQuick : Amounts(), floor, checks);
  });
  return checks.Finish();
}

}  // namespace
}  // namespace crisp::bench

int main(int argc, char** argv) { return crisp::bench::Main(argc, argv); }
