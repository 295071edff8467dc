// The streaming server of CRI: kubelet and crictl ask for a one-time URL by gRPC and then come here
// over HTTP, upgraded to SPDY/3.1 or to WebSocket (Kubernetes' remotecommand v1-v5 and portforward
// v1 protocols, KEP-4006).
//
// One I/O thread moves all bytes; 8 threads make the blocking calls into the
// StreamingRuntime. A client that does not read stops its process by back-pressure; at most
// 256 KiB wait per
// session in each direction. Thread-safe. Plain HTTP on loopback only: the
// peer that holds a token is trusted.
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
  absl::Duration idle_timeout = absl::Hours(4);         // no byte in either direction
  absl::Duration head_timeout = absl::Seconds(5);       // request head
  absl::Duration creation_timeout = absl::Seconds(30);  // all streams after the upgrade
  absl::Duration connect_timeout = absl::Seconds(5);    // port-forward: 127.0.0.1, then ::1
  absl::Duration token_lifetime = absl::Seconds(60);
  size_t max_tokens = 1000;    // URLs handed out and not used yet
  size_t max_sessions = 1000;  // connections that came with a token; more are answered 503
  size_t max_strangers = 256;  // other connections, at least 1; the oldest makes room for a new one
};

class Server {
 public:
  // Listens and serves until Stop(). `runtime` must outlive the server. kInvalidArgument for an
  // address that is not loopback or not numeric, otherwise the error of socket, bind or listen.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       StreamingRuntime* runtime);

  ~Server();  // Stop()

  // An absolute URL, http://127.0.0.1:<port>/{exec,attach,portforward}/<token>, good for one
  // connection within token_lifetime. kInvalidArgument for a bad request, kResourceExhausted when
  // max_tokens are outstanding, kUnavailable after Stop().
  absl::StatusOr<std::string> Url(Request request);

  // Begins what Stop() waits for.
  void BeginStop();
  // Ends every session (exec'd processes are killed, clients are told) and waits for the threads.
  // Idempotent.
  void Stop();

  // Connections that came with a token. For metrics and tests.
  size_t sessions() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace crisp::streaming
