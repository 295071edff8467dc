// Which request is answered how: paths, methods, tokens and subprotocols. I/O thread only.
#pragma once

#include "streaming/command_session.h"
#include "streaming/http_connection.h"
#include "streaming/http_head.h"
#include "streaming/token_store.h"

namespace crisp::streaming {

// "exec", "attach" or "portforward".
absl::string_view PathOf(const Request& request);

// Takes the token's request, even when the answer is a refusal: an attempt to use a token is its
// use. `context` goes into the session.
Route RouteRequest(const HttpHead& head, const SessionContext& context, TokenStore* tokens);

}  // namespace crisp::streaming
