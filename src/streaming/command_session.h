// The two forms of a remote command: SPDY streams (remotecommand v1 to v5) and WebSocket channels.
// Both are TransportUsers, to be given to a transport.
#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "streaming/channel.h"
#include "streaming/loop.h"
#include "streaming/request.h"
#include "streaming/runtime.h"
#include "streaming/transport.h"

namespace crisp::streaming {

// What a subprotocol supports.
struct CommandProtocol {
  absl::string_view name;
  bool status_as_json;  // since v4
  bool resize;          // SPDY: a resize stream comes with a tty, since v3
  ChannelCoding coding = ChannelCoding::kBinary;  // WebSocket
  bool close_channel = false;                     // WebSocket: stdin can be ended, since v5
};

// What a session needs from the server. It counts as a session until the last copy of `ticket` is
// gone.
struct SessionContext {
  Loop* loop;
  StreamingRuntime* runtime;
  absl::Duration creation_timeout;
  absl::Duration start_timeout;
  absl::Duration connect_timeout;
  std::shared_ptr<void> ticket;
};

std::shared_ptr<TransportUser> NewSpdyCommand(const SessionContext& context, Request request,
                                              const CommandProtocol& protocol,
                                              std::shared_ptr<Transport> transport);

std::shared_ptr<TransportUser> NewWebSocketCommand(const SessionContext& context, Request request,
                                                   const CommandProtocol& protocol,
                                                   std::shared_ptr<Transport> transport);

}  // namespace crisp::streaming
