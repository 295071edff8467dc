// A client of gRPC's health service (grpc.health.v1.Health), which programs in pods serve. Its two
// messages have one field each, so they are written here by hand. Thread-safe.
// Source: grpc/grpc, doc/health-checking.md.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crisp::client {

// Asks the server at `address` ("10.0.0.1:50051") for `service` (empty: the server as a whole). OK
// when it is serving.
absl::Status CheckHealth(const std::string& address, const std::string& service,
                         absl::Duration timeout);

}  // namespace crisp::client
