// One pod at a time, some of each runtime in turn. Failures throw std::runtime_error.
#pragma once

#include <vector>

#include "bench/kernel_floor.h"
#include "bench/peer.h"
#include "bench/pod_round.h"
#include "bench/results.h"

namespace crisp::bench {

// The pods of crisp, for their timelines.
struct Timed {
  std::vector<PodTimes> host_network;
  std::vector<PodTimes> bridge;
};

Timed MeasureRounds(const std::vector<Peer>& peers, int rounds, const Floor& floor,
                    Results& results);

}  // namespace crisp::bench
