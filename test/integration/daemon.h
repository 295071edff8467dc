// A crispd for one test program: with temporary root and state, its own CNI network and bridge, and
// the registry of test/run. The destructor removes everything. Failures throw std::runtime_error
// with crispd's log, which ends the test.
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
  // `flags` are added to the flags of the temporary directories and network.
  explicit Daemon(std::vector<std::string> flags = {});
  ~Daemon();
  Daemon(const Daemon&) = delete;

  // The daemon that most tests of a program share; each removes its own pods.
  static Daemon& Shared();

  void Start();  // waits until it serves
  // Starts it with at most so many descriptors and kills it as soon as it serves. Returns false if
  // it ended before, in any way: gRPC aborts without descriptors. Throws if it does neither.
  bool ServesWith(int descriptors);
  void Kill9();      // sends SIGKILL and reaps it
  void Terminate();  // SIGTERM, waits; returns its exit status in exit_status
  int exit_status = -1;

  pid_t pid() const { return pid_; }
  const std::string& dir() const {
    return dir_;
  }  // temporary directory: root/, state/, net.d/, logs/
  const std::string& socket() const { return socket_; }
  std::string root() const { return Flag("--root", dir_ + "/root"); }
  std::string state() const { return Flag("--state", dir_ + "/state"); }
  std::string Log() const;

  // A new connection, for another thread; it survives restarts of the daemon.
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

  // Pulls the image unless it exists; returns its id.
  std::string Pull(const std::string& image);

 private:
  // The value of a flag that the test gave, or the default.
  std::string Flag(const std::string& name, const std::string& otherwise) const;
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
