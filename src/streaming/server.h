// The streaming server of CRI. kubelet and crictl get a one-time URL by gRPC and connect to it over
// HTTP, which is upgraded to SPDY/3.1 or WebSocket (Kubernetes' remotecommand v1-v5 and portforward
// v1 protocols, KEP-4006). ARCHITECTURE.md draws the way from the request to the bytes.
//
// One I/O thread copies all bytes; eight threads make the calls into the StreamingRuntime, and none
// waits for a process to start, which takes as long as its container likes. At most 256 KiB wait
// per session and direction: a client that does not read stops its process by back-pressure.
// Thread-safe. Plain HTTP on loopback only; a client is trusted if it has a token.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "streaming/request.h"
#include "streaming/runtime.h"

namespace crisp::streaming {

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // <IPv4>:<port> or [<IPv6>]:<port>; port 0 picks a free one
  absl::Duration idle_timeout = absl::Hours(4);         // without a byte in either direction
  absl::Duration head_timeout = absl::Seconds(5);       // until the request head is complete
  absl::Duration creation_timeout = absl::Seconds(30);  // from the upgrade until all streams exist
  absl::Duration start_timeout = absl::Seconds(10);     // until an exec's process runs
  absl::Duration connect_timeout = absl::Seconds(5);    // port-forward: to 127.0.0.1, then to ::1
  absl::Duration token_lifetime = absl::Seconds(60);
  size_t max_tokens = 1000;    // URLs that were given out and not used yet
  size_t max_sessions = 1000;  // connections that presented a token; more are answered 503
  // Connections that have not presented a token yet, at least 1; a new one closes the oldest.
  size_t max_unauthenticated = 256;
};

class Server {
 public:
  // Listens and serves until Stop(). `runtime` must outlive the server. kInvalidArgument for an
  // address that is not loopback or not numeric, otherwise the error of socket, bind or listen.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       StreamingRuntime* runtime);

  ~Server();  // Stop()

  // An absolute URL, http://127.0.0.1:<port>/{exec,attach,portforward}/<token>, valid for one
  // connection within token_lifetime. kInvalidArgument for a bad request, kResourceExhausted when
  // max_tokens are unused, kUnavailable after Stop().
  absl::StatusOr<std::string> Url(Request request);

  // Starts what Stop() does, without waiting. Idempotent.
  void BeginStop();
  // Ends every session (exec'd processes are killed, clients are told) and waits for the threads.
  // Idempotent.
  void Stop();

  // The number of connections that presented a token. For metrics and tests.
  size_t sessions() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace crisp::streaming
