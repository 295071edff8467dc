// What an RPC brings with it besides its request.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/time/time.h"

namespace crisp::cri {

struct Call {
  // When the client stops waiting; absl::InfiniteFuture() without a deadline. Wall clock, as gRPC
  // gives it: used only to bound work done for the caller, never stored.
  absl::Time deadline = absl::InfiniteFuture();
  // Whether the client is gone. Thread-safe.
  std::function<bool()> cancelled = [] { return false; };
};

}  // namespace crisp::cri
