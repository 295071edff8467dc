// Parses the head of an HTTP/1.1 request with Boost.Beast, and formats answers. Pure. Source: RFC
// 9112.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::streaming {

inline constexpr size_t kMaxHeadBytes = 16 << 10;

enum class Upgrade { kNone, kSpdy, kWebSocket };

struct HttpHead {
  std::string method;
  std::string path;  // without the query
  Upgrade upgrade = Upgrade::kNone;
  // Of X-Stream-Protocol-Version (SPDY) or Sec-WebSocket-Protocol, in the client's order.
  std::vector<std::string> protocols;
};

// `text` must end with the empty line. kInvalidArgument unless it is a well-formed HTTP/1.1 request
// head.
absl::StatusOr<HttpHead> ParseHttpHead(absl::string_view text);

// A complete plain-text answer that announces the end of the connection. `headers` are lines that
// end in CRLF.
std::string HttpAnswer(absl::string_view status_line, absl::string_view headers);

// "101 Switching Protocols" to SPDY/3.1; no protocol header when `protocol` is empty.
std::string SpdyUpgradeAnswer(absl::string_view protocol);

}  // namespace crisp::streaming
