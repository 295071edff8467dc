// Many pods of one runtime: at once, and running. Failures throw std::runtime_error.
#pragma once

#include <vector>

#include "bench/kernel_floor.h"
#include "bench/peer.h"
#include "bench/pod_round.h"
#include "bench/results.h"

namespace crisp::bench {

// So many workers take so many pods each through their lives.
void MeasureWorkers(const Peer& peer, size_t runtime, int workers, int pods_each, Results& results);

// So many pods are asked for in the same moment.
void MeasureBurst(const Peer& peer, size_t runtime, int pods, Results& results);

// One more pod beside `few` and `many` that run; then what these cost, how long lists take, and how
// long a daemon that was killed is away.
struct Crowd {
  int few = 0;
  int many = 0;
  int samples = 0;  // of each time
};
// Answers the times of the pods beside many.
std::vector<PodTimes> MeasureCrowd(const Peer& peer, size_t runtime, const Crowd& crowd,
                                   const Floor& floor, Results& results);

}  // namespace crisp::bench
