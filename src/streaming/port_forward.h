// A port-forward session: any number of TCP connections into a pod's network namespace. Each is a
// pair of SPDY streams (error, data) with headers `port` and `requestid`. The SPDY bytes may be
// tunnelled in WebSocket messages (KEP-4006). I/O thread only.
#pragma once

#include <memory>

#include "streaming/command_session.h"
#include "streaming/request.h"
#include "streaming/transport.h"

namespace crisp::streaming {

inline constexpr size_t kMaxForwardStreams = 2000;

std::shared_ptr<TransportUser> NewPortForward(const SessionContext& context,
                                              PortForwardRequest request,
                                              std::shared_ptr<Transport> transport);

}  // namespace crisp::streaming
