// Decides how a request is answered, by path, method, token and subprotocol. I/O thread only.
#pragma once

#include <functional>

#include "streaming/command_session.h"
#include "streaming/http_connection.h"
#include "streaming/http_head.h"
#include "streaming/token_store.h"

namespace crisp::streaming {

// "exec", "attach" or "portforward".
absl::string_view PathOf(const Request& request);

// Uses the token up even if it refuses the request. For a valid request it calls `new_context` for
// the session's context, whose ticket is null when there are enough sessions.
Route RouteRequest(const HttpHead& head, const std::function<SessionContext()>& new_context,
                   TokenStore* tokens);

}  // namespace crisp::streaming
