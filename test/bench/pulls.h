// Pulls of large images from a registry of the benchmark's own. Failures throw std::runtime_error.
#pragma once

#include <vector>

#include "bench/peer.h"
#include "bench/results.h"

namespace crisp::bench {

// Of an image of ten layers and one of a single layer, each of so many MiB unpacked, by each
// runtime in turn.
void MeasurePulls(const std::vector<Peer>& peers, int mebibytes, int rounds, Results& results);

}  // namespace crisp::bench
