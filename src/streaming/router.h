// Which request is answered how: paths, methods, tokens and subprotocols. I/O thread only.
#pragma once

#include <functional>

#include "streaming/command_session.h"
#include "streaming/http_connection.h"
#include "streaming/http_head.h"
#include "streaming/token_store.h"

namespace crisp::streaming {

// "exec", "attach" or "portforward".
absl::string_view PathOf(const Request& request);

// Takes the token's request, even when the answer is a refusal: an attempt to use a token is its
// use. `new_context` is called for a valid one and goes into the session; its ticket is null when
// there are enough sessions.
Route RouteRequest(const HttpHead& head, const std::function<SessionContext()>& new_context,
                   TokenStore* tokens);

}  // namespace crisp::streaming
