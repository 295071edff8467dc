// gRPC in front of the CRI handlers. Serves RuntimeService and ImageService of runtime.v1 on unix
// sockets, synchronously; RPCs without a handler answer UNIMPLEMENTED. Only rpc/ knows gRPC's
// server side.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "events/hub.h"
#include "rpc/call_budget.h"
#include "runtime/api.h"

namespace crisp::rpc {

class GrpcServer {
 public:
  // Listens on all of `addresses` (listener.h), or on none. What `runtime` refers to and `events`
  // outlive it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const std::vector<std::string>& addresses, const runtime::Api& runtime, events::Hub& events,
      const CallLimits& limits = {});
  ~GrpcServer();

  // Takes no new call, cancels those that do not end by themselves within a second, waits for all
  // handlers.
  void Stop();

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace crisp::rpc
