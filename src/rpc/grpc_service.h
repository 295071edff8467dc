// gRPC in front of the Service: the only place that knows grpcpp. Serves RuntimeService and
// ImageService of runtime.v1 on a unix socket, synchronously. RPCs that the Service does not have
// answer UNIMPLEMENTED.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/runtime.h"

namespace crisp::cri {

class GrpcServer {
 public:
  // Listens on `address` (mode 0600; a stale socket is replaced, one that answers is an error).
  // `service` outlives it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const std::string& address,
                                                           Service& service);
  ~GrpcServer();

  // Takes no new call, cancels those that do not end by themselves within a second, waits for all
  // handlers.
  void Stop();

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace crisp::cri
