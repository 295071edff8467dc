// Prints the numbers of a run as tables on standard output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/pod_round.h"

namespace crisp::bench {

// The p-th percentile (nearest rank) of a set that is not empty; 50 is the median.
int64_t Percentile(std::vector<int64_t> values, int p);

struct Network {
  std::string name;
  std::vector<PodTimes> pods;
  std::vector<int64_t> runc;  // `runc run` of `true` with the same network namespace
};

struct Rounds {
  Network host{.name = "host network", .pods = {}, .runc = {}};
  Network bridge{.name = "bridge conflist", .pods = {}, .runc = {}};
  std::vector<int64_t> floor;
};

struct PodMemory {  // KiB
  int64_t pss = 0;
  int64_t private_ = 0;
};

struct MemoryUse {              // KiB
  std::vector<PodMemory> pods;  // pause and the container's shim, not the container's processes
  std::vector<int64_t> shims;   // private memory
  int64_t crispd_rss = 0;
};

// Medians, p95 and their ratios to runc and to the kernel floor.
void PrintTimes(const Rounds& rounds);
// The phases of the pod with the median time, beside their medians over all pods.
void PrintTimeline(const Network& network);
void PrintMemory(const MemoryUse& use);
// The expected ratios and whether they were reached. For information only.
void PrintExpectations(const Rounds& rounds, const MemoryUse* use);

}  // namespace crisp::bench
