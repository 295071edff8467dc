// A crispd of the test's own: temporary root and state, its own CNI network and bridge, the
// registry of test/run. Everything is gone when it is destroyed. Failures throw std::runtime_error
// with the daemon's log, which ends the test.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "client/cri_client.h"

namespace crisp::test {

namespace v1 = ::runtime::v1;

class Daemon {
 public:
  // `flags` are added to those that make it the test's own.
  explicit Daemon(std::vector<std::string> flags = {});
  ~Daemon();
  Daemon(const Daemon&) = delete;

  // The one most tests of a program share; its pods are theirs to remove.
  static Daemon& Shared();

  void Start();  // returns when it serves
  // Starts it with no more than so many descriptors and kills it as soon as it serves; false when
  // it ended before, in whatever way: gRPC aborts when it gets none. Throws when it does neither.
  bool ServesWith(int descriptors);
  void Kill9();      // SIGKILL, reaped
  void Terminate();  // SIGTERM, waits; returns its exit status in exit_status
  int exit_status = -1;

  pid_t pid() const { return pid_; }
  const std::string& dir() const {
    return dir_;
  }  // temporary directory: root/, state/, net.d/, logs/
  const std::string& socket() const { return socket_; }
  std::string root() const { return dir_ + "/root"; }
  std::string state() const { return dir_ + "/state"; }
  std::string Log() const;

  // A connection of its own, for another thread; follows the daemon through its restarts.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  v1::RuntimeService::Stub& runtime() { return client_->runtime(); }
  v1::ImageService::Stub& images() { return client_->images(); }

  // Calls `stub.Method(context, request, response)` with a 60 s deadline and returns the response;
  // throws on an error.
  template <typename Stub, typename Request, typename Response>
  Response Call(Stub& stub,
                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request) {
    Response response;
    Check(Try(stub, method, request, &response));
    return response;
  }
  template <typename Stub, typename Request, typename Response>
  grpc::Status Try(Stub& stub,
                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response, int seconds = 60) {
    return client::CriClient::Call(stub, method, request, response, absl::Seconds(seconds));
  }
  void Check(const grpc::Status& status) const;

  // Pulls unless it is there; returns the image id.
  std::string Pull(const std::string& image);

 private:
  void Connect();
  void Spawn(const std::string& shell_setup);
  std::string dir_;
  std::string socket_;
  std::string bridge_;
  std::vector<std::string> flags_;
  pid_t pid_ = 0;
  std::unique_ptr<client::CriClient> client_;
};

}  // namespace crisp::test
