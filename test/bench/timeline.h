// Where the time of a pod's start goes, as crisp tells it.
#pragma once

#include <string>
#include <vector>

#include "bench/pod_round.h"

namespace crisp::bench {

// Prints the phases of the pod with the median time, beside their medians over all pods, of which
// there must be one.
void PrintTimeline(const std::string& name, const std::vector<PodTimes>& pods);

}  // namespace crisp::bench
