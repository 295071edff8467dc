// Serves a connection until its single request is answered: reads the head, asks the router, and
// refuses or turns the connection into a SPDY or WebSocket session. I/O thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "streaming/http_head.h"
#include "streaming/loop.h"
#include "streaming/transport.h"

namespace crisp::streaming {

struct Route {
  std::string refusal;  // a complete HTTP answer; empty if the request is accepted
  // The members below are set if it is accepted.
  std::string protocol;        // for the answer; may be empty
  bool text_messages = false;  // WebSocket
  std::function<std::shared_ptr<TransportUser>(std::shared_ptr<Transport>)> new_session;
};

// Shared by the connection until it is a session or closed.
struct HttpContext {
  Loop* loop;
  absl::Duration head_timeout;
  std::function<Route(const HttpHead&)> route;
  std::function<void(const std::shared_ptr<Transport>&)>
      watch;                     // called for every transport that is made
  std::shared_ptr<void> ticket;  // released with the context
};

std::shared_ptr<Transport> ServeHttp(std::shared_ptr<const HttpContext> context, base::UniqueFd fd);

}  // namespace crisp::streaming
