#include "bench/rounds.h"

#include "absl/time/clock.h"
#include "bench/interrupt.h"

namespace crisp::bench {
namespace {

double Millis(int64_t ns) { return static_cast<double>(ns) / 1e6; }

// What a runtime and the kernel have put off must not fall into another's turn, but into its own:
// so a turn has several pods, one after the other without a rest, as a node is given them.
constexpr absl::Duration kRest = absl::Milliseconds(500);
constexpr int kPodsInTurn = 5;

PodTimes Round(const Peer& peer, bool host_network) {
  TimedPod pod(*peer.endpoint, host_network);
  pod.Up();
  pod.Exec();
  pod.Down();
  return pod.times();
}

void AddHost(const PodTimes& times, size_t runtime, Results& results) {
  results.Add(Figure::kHostRun, runtime, Millis(times.run_pod));
  results.Add(Figure::kHostUp, runtime, Millis(times.Up()));
  results.Add(Figure::kHostDown, runtime, Millis(times.Down()));
}

void AddBridge(const PodTimes& times, size_t runtime, Results& results) {
  results.Add(Figure::kBridgeRun, runtime, Millis(times.run_pod));
  results.Add(Figure::kBridgeUp, runtime, Millis(times.Up()));
  results.Add(Figure::kBridgeDown, runtime, Millis(times.Down()));
  results.Add(Figure::kCreate, runtime, Millis(times.create));
  results.Add(Figure::kStart, runtime, Millis(times.start));
  results.Add(Figure::kExec, runtime, Millis(times.exec));
  results.Add(Figure::kStop, runtime, Millis(times.stop));
  results.Add(Figure::kRemove, runtime, Millis(times.remove));
  results.Add(Figure::kStopPod, runtime, Millis(times.stop_pod));
  results.Add(Figure::kRemovePod, runtime, Millis(times.remove_pod));
}

}  // namespace

Timed MeasureRounds(const std::vector<Peer>& peers, int rounds, const Floor& floor,
                    Results& results) {
  Timed timed;
  const auto pods = [&](size_t runtime, bool counts) {
    absl::SleepFor(kRest);
    for (int i = 0; i < kPodsInTurn; ++i) {
      Continue();
      const PodTimes host = Round(peers[runtime], /*host_network=*/true);
      const PodTimes bridge = Round(peers[runtime], /*host_network=*/false);
      if (!counts) continue;
      AddHost(host, runtime, results);
      AddBridge(bridge, runtime, results);
      if (runtime != 0) continue;
      timed.host_network.push_back(host);
      timed.bridge.push_back(bridge);
    }
  };
  // The first round fills caches and makes the bridges, and does not count.
  for (int round = -1; round < rounds; ++round) {
    const bool counts = round >= 0;
    absl::SleepFor(kRest);
    for (int i = 0; i < kPodsInTurn; ++i) {
      const double alone = floor();
      if (counts) results.AddFloor(alone);
    }
    for (size_t turn = 0; turn < peers.size(); ++turn)
      pods(round % 2 == 0 ? turn : peers.size() - 1 - turn, counts);
  }
  const double alone = Percentile(results.floor(), 50);
  for (size_t runtime = 0; runtime < peers.size(); ++runtime) {
    const double start = Percentile(results.Values(Figure::kStart, runtime), 50);
    results.Add(Figure::kStartToFloor, runtime, start / alone);
  }
  return timed;
}

}  // namespace crisp::bench
