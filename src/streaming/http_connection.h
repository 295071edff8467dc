// A connection from accept to the answer of its one request: reads the head, asks the router, and
// either refuses or turns the connection into a SPDY or WebSocket session. I/O thread only.
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
  std::string refusal;  // a whole HTTP answer; empty to accept
  // Accepted:
  std::string protocol;        // to be named in the answer; may be empty
  bool text_messages = false;  // WebSocket
  std::function<std::shared_ptr<TransportUser>(std::shared_ptr<Transport>)> new_session;
};

// Lives until the connection is a session or closed.
struct HttpContext {
  Loop* loop;
  absl::Duration head_timeout;
  std::function<Route(const HttpHead&)> route;
  std::function<void(const std::shared_ptr<Transport>&)> watch;  // hears of every transport made
  std::shared_ptr<void> ticket;                                  // only held
};

std::shared_ptr<Transport> ServeHttp(std::shared_ptr<const HttpContext> context, base::UniqueFd fd);

}  // namespace crisp::streaming
