#include "bench/loads.h"

#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "bench/interrupt.h"
#include "bench/memory.h"
#include "bench/pod_round.h"

namespace crisp::bench {
namespace {

using Runtime = v1::RuntimeService::Stub;
constexpr int kHelpers = 8;  // that make and remove what is not measured

double MillisSince(int64_t begin) {
  return static_cast<double>(base::MonotonicNanos() - begin) / 1e6;
}

// Runs `work` with 0 to count - 1, on so many threads; throws the first failure once all have
// ended.
void InParallel(int threads, int count, const std::function<void(int)>& work) {
  std::mutex mutex;
  std::string failure;
  int next = 0;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      while (true) {
        int mine = 0;
        {
          const std::lock_guard lock(mutex);
          if (next == count || !failure.empty() || interrupted != 0) return;
          mine = next++;
        }
        try {
          work(mine);
        } catch (const std::exception& error) {
          const std::lock_guard lock(mutex);
          if (failure.empty()) failure = error.what();
        }
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  Continue();
  if (!failure.empty()) throw std::runtime_error(failure);
}

// Pods that run.
class Pods {
 public:
  explicit Pods(const Peer& peer) : peer_(peer) {}

  void GrowTo(size_t count) {
    const size_t first = pods_.size();
    while (pods_.size() < count) pods_.emplace_back(*peer_.endpoint, /*host_network=*/false);
    InParallel(kHelpers, static_cast<int>(count - first),
               [&](int i) { pods_[first + static_cast<size_t>(i)].Up(); });
  }
  void Down() {
    InParallel(kHelpers, static_cast<int>(pods_.size()),
               [&](int i) { pods_[static_cast<size_t>(i)].Down(); });
    pods_.clear();
  }
  std::deque<TimedPod>& all() { return pods_; }

 private:
  const Peer& peer_;
  std::deque<TimedPod> pods_;
};

// For some seconds after their start the kernels of all pods ask for routers and neighbours, and
// the bridge carries each question to each pod.
constexpr absl::Duration kSettled = absl::Seconds(10);

std::vector<PodTimes> MeasureOneMore(const Peer& peer, size_t runtime, int samples, Figure figure,
                                     Results& results) {
  absl::SleepFor(kSettled);
  std::vector<PodTimes> all;
  for (int i = 0; i < samples; ++i) {
    TimedPod pod(*peer.endpoint, /*host_network=*/false);
    pod.Up();
    results.Add(figure, runtime, static_cast<double>(pod.times().Up()) / 1e6);
    pod.Down();
    all.push_back(pod.times());
  }
  return all;
}

void MeasureMemory(const Peer& peer, size_t runtime, Pods& pods, Results& results) {
  for (const TimedPod& pod : pods.all()) {
    // containerd has one shim, which is the parent of both.
    const int64_t pss = MemoryOf(pod.pod().pid).pss + MemoryOf(ParentOf(pod.container().pid)).pss;
    results.Add(Figure::kPodMemory, runtime, static_cast<double>(pss));
  }
  results.Add(Figure::kDaemonMemory, runtime, static_cast<double>(MemoryOf(peer.daemon()).pss));
}

void MeasureLists(const Peer& peer, size_t runtime, int samples, Results& results) {
  const auto take = [&](Figure figure, auto method, auto request) {
    const int64_t begin = base::MonotonicNanos();
    (void)peer.endpoint->Call(peer.endpoint->runtime(), method, request);
    results.Add(figure, runtime, MillisSince(begin));
  };
  for (int i = 0; i < samples; ++i) {
    take(Figure::kListPods, &Runtime::ListPodSandbox, v1::ListPodSandboxRequest());
    take(Figure::kListContainers, &Runtime::ListContainers, v1::ListContainersRequest());
    take(Figure::kPodStats, &Runtime::ListPodSandboxStats, v1::ListPodSandboxStatsRequest());
    take(Figure::kContainerStats, &Runtime::ListContainerStats, v1::ListContainerStatsRequest());
  }
}

// Until it lists what it has.
void MeasureRestart(const Peer& peer, size_t runtime, size_t pods, Results& results) {
  const int64_t begin = base::MonotonicNanos();
  peer.restart();
  const auto listed = peer.endpoint->Call(peer.endpoint->runtime(), &Runtime::ListPodSandbox,
                                          v1::ListPodSandboxRequest());
  results.Add(Figure::kRestart, runtime, MillisSince(begin));
  if (static_cast<size_t>(listed.items_size()) != pods)
    throw std::runtime_error("pods are missing after a restart");
}

}  // namespace

void MeasureWorkers(const Peer& peer, size_t runtime, int workers, int pods_each,
                    Results& results) {
  const int count = workers * pods_each;
  const int64_t begin = base::MonotonicNanos();
  InParallel(workers, count, [&](int) {
    TimedPod pod(*peer.endpoint, /*host_network=*/false);
    pod.Up();
    pod.Down();
  });
  results.Add(Figure::kWorkers, runtime, count * 1e3 / MillisSince(begin));
}

void MeasureBurst(const Peer& peer, size_t runtime, int pods, Results& results) {
  std::deque<TimedPod> burst;
  for (int i = 0; i < pods; ++i) burst.emplace_back(*peer.endpoint, /*host_network=*/false);
  const int64_t begin = base::MonotonicNanos();
  InParallel(pods, pods, [&](int i) { burst[static_cast<size_t>(i)].Up(); });
  results.Add(Figure::kBurst, runtime, MillisSince(begin) / pods);
  InParallel(kHelpers, pods, [&](int i) { burst[static_cast<size_t>(i)].Down(); });
}

std::vector<PodTimes> MeasureCrowd(const Peer& peer, size_t runtime, const Crowd& crowd,
                                   const Floor& floor, Results& results) {
  Pods pods(peer);
  pods.GrowTo(static_cast<size_t>(crowd.few));
  MeasureOneMore(peer, runtime, crowd.samples, Figure::kUpBesideFew, results);
  pods.GrowTo(static_cast<size_t>(crowd.many));
  std::vector<PodTimes> beside_many =
      MeasureOneMore(peer, runtime, crowd.samples, Figure::kUpBesideMany, results);
  const std::vector<double>& alone = results.Values(Figure::kBridgeUp, runtime);
  if (!alone.empty()) {
    results.Add(
        Figure::kUpManyToOne, runtime,
        Percentile(results.Values(Figure::kUpBesideMany, runtime), 50) / Percentile(alone, 50));
  }
  for (int i = 0; i < crowd.samples; ++i) results.Add(Figure::kFloorBesideMany, runtime, floor());
  MeasureMemory(peer, runtime, pods, results);
  MeasureLists(peer, runtime, crowd.samples, results);
  MeasureRestart(peer, runtime, pods.all().size(), results);
  pods.Down();
  return beside_many;
}

}  // namespace crisp::bench
