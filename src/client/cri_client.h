// A CRI client: the stubs of RuntimeService and ImageService on a runtime's socket. For the tests,
// the command line and crispd's watchdog; it works with any CRI runtime. Thread-safe, as gRPC's
// stubs are.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "runtime/v1/api.grpc.pb.h"

namespace crisp::client {

class CriClient {
 public:
  // Does not connect yet: the first call does, and later ones again after the runtime restarted.
  explicit CriClient(const std::string& socket_path);

  // Of the same runtime over a connection of its own, for another thread.
  static std::shared_ptr<grpc::Channel> NewChannel(const std::string& socket_path);

  ::runtime::v1::RuntimeService::Stub& runtime() { return *runtime_; }
  ::runtime::v1::ImageService::Stub& images() { return *images_; }

  // stub.Method(context, request, response), waiting at most `patience`, also for a runtime that
  // does not listen yet.
  template <typename Stub, typename Request, typename Response>
  static grpc::Status Call(Stub& stub,
                           grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
                           const Request& request, Response* response, absl::Duration patience) {
    grpc::ClientContext context;
    SetPatience(context, patience);
    return (stub.*method)(&context, request, response);
  }

 private:
  static void SetPatience(grpc::ClientContext& context, absl::Duration patience);

  std::unique_ptr<::runtime::v1::RuntimeService::Stub> runtime_;
  std::unique_ptr<::runtime::v1::ImageService::Stub> images_;
};

}  // namespace crisp::client
