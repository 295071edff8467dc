// A client's bytes after the WebSocket handshake, through a real socket: tests how crisp handles
// the results and errors of Boost.Beast's frame parser. The session must end when the client hangs
// up.
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/synchronization/notification.h"
#include "streaming/loop.h"
#include "streaming/websocket_transport.h"

namespace {

using crisp::base::UniqueFd;
using crisp::streaming::Loop;
using crisp::streaming::Transport;
using crisp::streaming::TransportUser;

constexpr char kHead[] =
    "GET /exec/x HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

class Echo : public TransportUser {
 public:
  Echo(Transport* transport, absl::Notification* closed) : transport_(transport), closed_(closed) {}
  void OnBytes(absl::string_view bytes, bool end) override {
    transport_->Send("", bytes);
    if (end && bytes == "close") transport_->Close();
  }
  void OnWritable() override {}
  void OnClosed() override { closed_->Notify(); }

 private:
  Transport* const transport_;
  absl::Notification* const closed_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Loop* const loop = Loop::Start(1)->release();
  if (size > 32 << 10) return 0;  // the socket buffer cannot take more
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return 0;
  const UniqueFd client(ends[0]);
  absl::Notification closed;
  loop->Post([&closed, server = ends[1]] {
    auto transport = crisp::streaming::AcceptWebSocket(loop, UniqueFd(server), kHead,
                                                       "v5.channel.k8s.io", false);
    if (!transport) return closed.Notify();
    transport->Start(std::make_shared<Echo>(transport.get(), &closed));
  });
  if (write(client.get(), data, size) < 0) __builtin_trap();
  shutdown(client.get(), SHUT_WR);
  char answer[4096];
  while (read(client.get(), answer, sizeof(answer)) > 0) {
  }
  closed.WaitForNotification();
  return 0;
}
