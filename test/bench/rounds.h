// One pod at a time, some of each runtime in turn. Failures throw std::runtime_error.
#pragma once

#include <string>
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

// `rootfs` and `directory` are the kernel's: see kernel_floor.h.
Timed MeasureRounds(const std::vector<Peer>& peers, int rounds, KernelFloor& floor,
                    const std::string& rootfs, const std::string& directory, Results& results);

}  // namespace crisp::bench
