// A WebSocket connection as a transport of messages, with Boost.Beast. Pings are answered while
// reading. I/O thread only. Source: RFC 6455.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "streaming/loop.h"
#include "streaming/transport.h"

namespace crisp::streaming {

// A larger message ends the connection (close code 1009). Clients send longer input in several
// messages.
inline constexpr size_t kMaxMessageBytes = 16 << 20;

// Answers the handshake in `head`, choosing `protocol` (none if empty). The caller must Start() the
// transport at once. Null if the socket cannot be used.
std::shared_ptr<Transport> AcceptWebSocket(Loop* loop, base::UniqueFd fd, absl::string_view head,
                                           std::string protocol, bool text);

}  // namespace crisp::streaming
