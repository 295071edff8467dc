#include "streaming/http_connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/socket_transport.h"
#include "streaming/websocket_transport.h"

namespace crisp::streaming {
namespace {

class HttpConnection : public TransportUser {
 public:
  HttpConnection(std::shared_ptr<const HttpContext> context,
                 std::shared_ptr<SocketTransport> transport)
      : context_(std::move(context)), transport_(std::move(transport)), timer_(context_->loop) {
    timer_.Start(context_->head_timeout, [this] { transport_->Abort(); });
  }

  void OnBytes(absl::string_view bytes, bool) override {
    const size_t searched = received_.size() < 3 ? 0 : received_.size() - 3;
    absl::StrAppend(&received_, bytes);
    const size_t empty_line = received_.find("\r\n\r\n", searched);
    if (empty_line != std::string::npos && empty_line <= kMaxHeadBytes) {
      timer_.Cancel();
      Answer(empty_line + 4);
    } else if (received_.size() > kMaxHeadBytes) {
      Refuse(HttpAnswer("431 Request Header Fields Too Large", ""));
    }
  }
  void OnWritable() override {}
  void OnClosed() override { timer_.Cancel(); }

 private:
  void Answer(size_t head_size) {
    const absl::string_view text = absl::string_view(received_).substr(0, head_size);
    absl::StatusOr<HttpHead> head = ParseHttpHead(text);
    if (!head.ok()) return Refuse(HttpAnswer("400 Bad Request", ""));
    // A WebSocket client has to wait for the answer; a SPDY client may send at once.
    const absl::string_view rest = absl::string_view(received_).substr(head_size);
    if (head->upgrade == Upgrade::kWebSocket && !rest.empty()) {
      return Refuse(HttpAnswer("400 Bad Request", ""));
    }
    Route route = context_->route(*head);
    if (!route.refusal.empty()) return Refuse(route.refusal);
    if (head->upgrade == Upgrade::kWebSocket) {
      std::shared_ptr<Transport> transport =
          AcceptWebSocket(context_->loop, transport_->Release(), text, std::move(route.protocol),
                          route.text_messages);
      if (!transport) return;
      context_->watch(transport);
      transport->Start(route.new_session(transport));
    } else {
      transport_->Send(SpdyUpgradeAnswer(route.protocol), "");
      const std::shared_ptr<TransportUser> session = route.new_session(transport_);
      transport_->Start(session);
      if (!rest.empty()) session->OnBytes(rest, false);
    }
  }

  void Refuse(const std::string& answer) {
    transport_->Send(answer, "");
    transport_->Close();
  }

  const std::shared_ptr<const HttpContext> context_;
  const std::shared_ptr<SocketTransport> transport_;
  Timer timer_;
  std::string received_;
};

}  // namespace

std::shared_ptr<Transport> ServeHttp(std::shared_ptr<const HttpContext> context,
                                     base::UniqueFd fd) {
  auto transport = SocketTransport::Create(context->loop, std::move(fd));
  context->watch(transport);
  transport->Start(std::make_shared<HttpConnection>(context, transport));
  return transport;
}

}  // namespace crisp::streaming
