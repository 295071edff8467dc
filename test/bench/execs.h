// What execs cost. Failures throw std::runtime_error.
#pragma once

#include "bench/peer.h"
#include "bench/results.h"

namespace crisp::bench {

// CPU time of the whole machine for each of 40 execs a second, less what it uses without them.
void MeasureExecCost(const Peer& peer, size_t runtime, int seconds, Results& results);

// How much the daemon's memory grows by so many execs.
void MeasureExecGrowth(const Peer& peer, size_t runtime, int execs, Results& results);

}  // namespace crisp::bench
