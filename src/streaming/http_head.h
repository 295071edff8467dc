// The head of an HTTP/1.1 request, parsed by Boost.Beast, and the answers that need no library.
// Pure.
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
  // In the client's order: X-Stream-Protocol-Version headers (SPDY), or Sec-WebSocket-Protocol.
  std::vector<std::string> protocols;
};

// `text` ends with the empty line. kInvalidArgument for anything that is not a well-formed HTTP/1.1
// request head.
absl::StatusOr<HttpHead> ParseHttpHead(absl::string_view text);

// A complete plain-text answer after which the connection closes; `headers` are whole lines ending
// in CRLF.
std::string HttpAnswer(absl::string_view status_line, absl::string_view headers);

// "101 Switching Protocols" to SPDY/3.1; no protocol header when `protocol` is empty.
std::string SpdyUpgradeAnswer(absl::string_view protocol);

}  // namespace crisp::streaming
