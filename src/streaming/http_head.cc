#include "streaming/http_head.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace crisp::streaming {

namespace http = boost::beast::http;

namespace {

// Clients send one name per header line, or several separated by commas.
std::vector<std::string> Protocols(const http::fields& fields, boost::beast::string_view name) {
  std::vector<std::string> protocols;
  const auto [begin, end] = fields.equal_range(name);
  for (auto field = begin; field != end; ++field) {
    // Not parsed as http::token_list: the "/" in "SPDY/3.1+portforward.k8s.io" is not valid in a
    // token.
    const absl::string_view value(field->value().data(), field->value().size());
    for (absl::string_view name_in_list : absl::StrSplit(value, ',')) {
      protocols.emplace_back(absl::StripAsciiWhitespace(name_in_list));
    }
  }
  return protocols;
}

}  // namespace

absl::StatusOr<HttpHead> ParseHttpHead(absl::string_view text) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHeadBytes);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (error || !parser.is_header_done()) {
    return absl::InvalidArgumentError(
        absl::StrCat("http request: ", error ? error.message() : "head is not complete"));
  }
  const auto& request = parser.get();
  HttpHead head;
  head.method = std::string(request.method_string());
  const absl::string_view target(request.target().data(), request.target().size());
  head.path = std::string(target.substr(0, target.find('?')));
  if (request.version() != 11 ||
      !http::token_list(request[http::field::connection]).exists("upgrade")) {
    return head;
  }
  if (boost::beast::websocket::is_upgrade(request)) {
    head.upgrade = Upgrade::kWebSocket;
    head.protocols = Protocols(request, "Sec-WebSocket-Protocol");
  } else if (boost::beast::iequals(request[http::field::upgrade], "SPDY/3.1")) {
    head.upgrade = Upgrade::kSpdy;
    head.protocols = Protocols(request, "X-Stream-Protocol-Version");
  }
  return head;
}

std::string HttpAnswer(absl::string_view status_line, absl::string_view headers) {
  return absl::StrCat("HTTP/1.1 ", status_line, "\r\n", headers,
                      "Content-Type: text/plain\r\nConnection: close\r\nContent-Length: ",
                      status_line.size() + 1, "\r\n\r\n", status_line, "\n");
}

std::string SpdyUpgradeAnswer(absl::string_view protocol) {
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
  if (!protocol.empty()) absl::StrAppend(&answer, "X-Stream-Protocol-Version: ", protocol, "\r\n");
  return answer + "\r\n";
}

}  // namespace crisp::streaming
