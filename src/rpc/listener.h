// A CRI socket: makes it, accepts its connections, and hands them to gRPC. gRPC's own listener
// (1.51) never accepts again once it was refused a descriptor (CVE-2023-4785). Used by one thread;
// it accepts on a thread of its own.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/thread.h"
#include "base/unique_fd.h"

namespace crisp::rpc {

class Listener {
 public:
  // Listens on `path`, mode 0600 from its first moment (unix(7)). A stale socket is replaced; when
  // one answers, kAlreadyExists naming who serves it. kInvalidArgument for any other file. Nobody
  // accepts before Serve().
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& path);
  ~Listener() { Stop(); }

  // Accepts for `server`, which outlives Stop(). Called once.
  absl::Status Serve(grpc::Server& server);
  // Removes the socket's file, unless another one has taken its place; connections that are open
  // stay so.
  void Stop();

 private:
  explicit Listener(std::string path) : path_(std::move(path)) {}
  absl::Status Listen();
  void Run(grpc::Server& server);

  const std::string path_;
  base::UniqueFd socket_;
  std::pair<dev_t, ino_t> file_;  // that bind(2) has made
  base::UniqueFd stop_;           // an eventfd(2)
  base::Thread thread_;
};

}  // namespace crisp::rpc
