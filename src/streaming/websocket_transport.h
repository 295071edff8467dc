// A WebSocket connection (RFC 6455, Boost.Beast) as a transport of messages. Pings are answered
// while reading. I/O thread only.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "streaming/loop.h"
#include "streaming/transport.h"

namespace crisp::streaming {

// A client may send longer input in several messages; one message beyond this ends the connection
// (close code 1009).
inline constexpr size_t kMaxMessageBytes = 16 << 20;

// Answers the handshake `head` asks for with `protocol` (none when empty). The caller gives the
// transport its user at once. Null when the socket cannot be used.
std::shared_ptr<Transport> AcceptWebSocket(Loop* loop, base::UniqueFd fd, absl::string_view head,
                                           std::string protocol, bool text);

}  // namespace crisp::streaming
