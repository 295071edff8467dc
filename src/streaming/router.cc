#include "streaming/router.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "streaming/port_forward.h"

namespace crisp::streaming {
namespace {

// Best first. Over SPDY v5 is the same as v4 (only WebSocket needed a way to end a stream), so v4
// comes first, because every client knows it.
constexpr CommandProtocol kSpdyProtocols[] = {
    {"v4.channel.k8s.io", true, true},  {"v5.channel.k8s.io", true, true},
    {"v3.channel.k8s.io", false, true}, {"v2.channel.k8s.io", false, false},
    {"channel.k8s.io", false, false},
};
constexpr CommandProtocol kSpdyDefault = {"", false, false};

constexpr CommandProtocol kWebSocketProtocols[] = {
    {"v5.channel.k8s.io", true, true, ChannelCoding::kBinary, true},
    {"v4.channel.k8s.io", true, true, ChannelCoding::kBinary},
    {"v4.base64.channel.k8s.io", true, true, ChannelCoding::kBase64},
    {"channel.k8s.io", false, true, ChannelCoding::kBinary},
    {"base64.channel.k8s.io", false, true, ChannelCoding::kBase64},
};
constexpr CommandProtocol kWebSocketDefault = {"", false, true, ChannelCoding::kBinary};

constexpr CommandProtocol kForwardSpdy[] = {{"portforward.k8s.io", false, false}};
constexpr CommandProtocol kForwardWebSocket[] = {{"SPDY/3.1+portforward.k8s.io", false, false}};

using Protocols = absl::Span<const CommandProtocol>;

// `unnamed` is for a client that offers no protocol.
std::optional<CommandProtocol> Choose(const HttpHead& head, Protocols supported,
                                      std::optional<CommandProtocol> unnamed) {
  if (head.protocols.empty()) return unnamed;
  for (const CommandProtocol& protocol : supported) {
    const auto& offered = head.protocols;
    if (std::find(offered.begin(), offered.end(), protocol.name) != offered.end()) return protocol;
  }
  return std::nullopt;
}

std::string RefuseProtocol(const HttpHead& head, Protocols supported) {
  if (head.upgrade == Upgrade::kWebSocket) return HttpAnswer("400 Bad Request", "");
  std::string accepted;
  for (const CommandProtocol& protocol : supported) {
    absl::StrAppend(&accepted, "X-Accepted-Stream-Protocol-Versions: ", protocol.name, "\r\n");
  }
  return HttpAnswer("403 Forbidden", accepted);
}

Route Accept(const HttpHead& head, const SessionContext& context, Request request) {
  const bool is_websocket = head.upgrade == Upgrade::kWebSocket;
  const bool is_forward = std::holds_alternative<PortForwardRequest>(request);
  const Protocols supported =
      is_forward ? Protocols(is_websocket ? kForwardWebSocket : kForwardSpdy)
                 : (is_websocket ? Protocols(kWebSocketProtocols) : Protocols(kSpdyProtocols));
  std::optional<CommandProtocol> unnamed = is_websocket ? kWebSocketDefault : kSpdyDefault;
  // Without a name it would be the older port-forward protocol over WebSocket, which takes the
  // ports from the request; CRI clients do not send them.
  if (is_forward && is_websocket) unnamed.reset();
  const std::optional<CommandProtocol> protocol = Choose(head, supported, unnamed);
  Route route;
  if (!protocol) {
    route.refusal = RefuseProtocol(head, supported);
    return route;
  }
  route.protocol = std::string(protocol->name);
  route.text_messages = protocol->coding == ChannelCoding::kBase64;
  route.new_session = [context, request = std::move(request), protocol = *protocol, is_websocket,
                       is_forward](std::shared_ptr<Transport> transport) {
    if (is_forward) {
      return NewPortForward(context, std::get<PortForwardRequest>(request), std::move(transport));
    }
    return is_websocket ? NewWebSocketCommand(context, request, protocol, std::move(transport))
                        : NewSpdyCommand(context, request, protocol, std::move(transport));
  };
  return route;
}

}  // namespace

absl::string_view PathOf(const Request& request) {
  if (std::holds_alternative<ExecRequest>(request)) return "exec";
  return std::holds_alternative<AttachRequest>(request) ? "attach" : "portforward";
}

Route RouteRequest(const HttpHead& head, const std::function<SessionContext()>& new_context,
                   TokenStore* tokens) {
  const absl::string_view path = head.path;
  const size_t slash = path.rfind('/');
  const absl::string_view directory = path.substr(0, slash == path.npos ? 0 : slash);
  Route route;
  if (directory != "/exec" && directory != "/attach" && directory != "/portforward") {
    route.refusal = HttpAnswer("404 Not Found", "");
  } else if (head.method != "GET" && head.method != "POST") {
    route.refusal = HttpAnswer("405 Method Not Allowed", "Allow: GET, POST\r\n");
  } else if (head.upgrade == Upgrade::kNone) {
    route.refusal = HttpAnswer("400 Bad Request", "");
  } else {
    std::optional<Request> request = tokens->Take(std::string(path.substr(slash + 1)));
    if (request && PathOf(*request) == directory.substr(1)) {
      const SessionContext context = new_context();
      if (context.ticket) return Accept(head, context, *std::move(request));
      route.refusal = HttpAnswer("503 Service Unavailable", "");
      return route;
    }
    route.refusal = HttpAnswer("404 Not Found", "");
  }
  return route;
}

}  // namespace crisp::streaming
