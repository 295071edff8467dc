// Remote commands over WebSocket.
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/synchronization/notification.h"
#include "server_fixture.h"
#include "streaming/loop.h"
#include "streaming/websocket_transport.h"

namespace crisp::streaming {
namespace {

const std::string kStdin(1, '\0');

TEST_CASE("WebSocket v5: the client can end its input, and the status comes before the close") {
  ServerFixture fixture;
  WebSocketClient client(fixture.ExecUrl("cat; echo err >&2; exit 5", {true, true, true, false}));
  const std::string answer = client.Upgrade("v5.channel.k8s.io");
  CHECK(answer.find("101 Switching Protocols") != std::string::npos);
  CHECK(answer.find("Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n") != std::string::npos);
  CHECK(answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
  client.Send(kStdin + "hello");
  client.Send("");
  client.SendFrame(0x02, kStdin + " in ");  // fragmented
  client.SendFrame(0x80, "pieces");
  client.Send(std::string("\xff\0", 2));
  client.ReadToEnd();
  CHECK(client.channels['\x01'] == "hello in pieces");
  CHECK(client.channels['\x02'] == "err\n");
  CHECK(client.channels['\x03'].find("\"message\":\"5\"") != std::string::npos);
  CHECK(client.close_code == 1000);
}

TEST_CASE("WebSocket: the older protocols work, as binary and as base64") {
  ServerFixture fixture;
  for (const char* protocol : {"v4.channel.k8s.io", "channel.k8s.io", ""}) {
    WebSocketClient client(fixture.ExecUrl("read x; echo $x; exit 2", kInOut));
    client.Upgrade(protocol);
    client.Send(kStdin + "line\n");
    client.ReadToEnd();
    CHECK(client.channels['\x01'] == "line\n");
    const bool is_json = client.channels['\x03'].find("{") == 0;
    CHECK(is_json == (std::string(protocol) == "v4.channel.k8s.io"));
    CHECK(client.channels['\x03'].find("exit status 2") != std::string::npos);
  }
  for (const char* protocol : {"v4.base64.channel.k8s.io", "base64.channel.k8s.io"}) {
    WebSocketClient client(fixture.ExecUrl("read x; echo $x", kInOut));
    client.Upgrade(protocol);
    client.Send("0" + absl::Base64Escape("line\n"), true);
    client.ReadToEnd();
    CHECK(client.channels['1'] == absl::Base64Escape("line\n"));
    CHECK(client.close_code == 1000);
  }
}

// Sends every message back and closes after the message "close".
class Echo : public TransportUser {
 public:
  Echo(Transport* transport, absl::Notification* closed) : transport_(transport), closed_(closed) {}
  void OnBytes(absl::string_view bytes, bool) override {
    transport_->Send("", bytes);
    if (bytes == "close") transport_->Close();
  }
  void OnWritable() override {}
  void OnClosed() override { closed_->Notify(); }

 private:
  Transport* const transport_;
  absl::Notification* const closed_;
};

// Found by fuzzing: Beast's close and read waited for each other, and the session never ended.
TEST_CASE("WebSocket: a bad frame that comes while the server closes ends the session") {
  const auto loop = *Loop::Start(1);
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const base::UniqueFd client(ends[0]);
  absl::Notification closed;
  loop->Post([&, server = ends[1]] {
    auto transport = AcceptWebSocket(loop.get(), base::UniqueFd(server),
                                     WebSocketHead("/exec/x", ""), "v5.channel.k8s.io", false);
    transport->Start(std::make_shared<Echo>(transport.get(), &closed));
  });
  const auto frame = [](char first, const std::string& payload) {
    return std::string{first, static_cast<char>(0x80 | payload.size())} + std::string(4, '\0') +
           payload;
  };
  // In one piece, so that all of it has arrived before the server closes.
  const std::string frames = frame('\x82', "close") + frame('\x82', "more") + frame('\x13', "bad");
  REQUIRE(write(client.get(), frames.data(), frames.size()) == static_cast<ssize_t>(frames.size()));
  CHECK(closed.WaitForNotificationWithTimeout(absl::Seconds(4)));
}

TEST_CASE("WebSocket: a terminal gets its size, and pings are answered") {
  ServerFixture fixture;
  WebSocketClient client(fixture.ExecUrl("read x; stty size", kTerminal));
  client.Upgrade("v5.channel.k8s.io");
  client.SendFrame(0x89, "are you there");
  client.Send("\x04{\"Width\":99,\"Height\":44}");
  std::optional<WebSocketClient::Message> pong;
  do {
    pong = client.Read();
  } while (pong && pong->opcode != 10);
  REQUIRE(pong);
  CHECK(pong->payload == "are you there");
  CHECK(Eventually([&] {
    absl::MutexLock lock(&fixture.runtime.record->mutex);
    return !fixture.runtime.record->sizes.empty();
  }));
  client.Send(kStdin + "go\n");
  client.ReadToEnd();
  CHECK(client.channels['\x01'].find("44 99") != std::string::npos);
}

TEST_CASE("WebSocket: hostile frames end the session") {
  ServerFixture fixture;
  const std::vector<std::function<void(WebSocketClient*)>> attacks = {
      // A frame of 2^63 bytes, and one beyond the limit.
      [](WebSocketClient* c) {
        c->connection.Write("\x82\xff" + Big32(0x80000000) + Big32(0) + "mask");
      },
      [](WebSocketClient* c) {
        c->connection.Write("\x82\xff" + Big32(0) + Big32(0x7fffffff) + "mask");
      },
      [](WebSocketClient* c) { c->SendFrame(0x82, "unmasked", false); },
      [](WebSocketClient* c) { c->SendFrame(0x80, "continues nothing"); },
      [](WebSocketClient* c) { c->SendFrame(0x02, "a"), c->SendFrame(0x82, "b"); },
      [](WebSocketClient* c) { c->SendFrame(0x83, "reserved opcode"); },
      [](WebSocketClient* c) { c->SendFrame(0x09, "fragmented ping"); },
      [](WebSocketClient* c) { c->SendFrame(0x89, std::string(126, 'x')); },
      [](WebSocketClient* c) { c->connection.Close(); },
  };
  int killed = 0;
  for (const auto& attack : attacks) {
    WebSocketClient client(fixture.ExecUrl("sleep 100", kInOut));
    client.Upgrade("v5.channel.k8s.io");
    CHECK(Eventually([&] { return fixture.runtime.record->alive == 1; }));
    attack(&client);
    ++killed;
    CHECK(Eventually([&] { return fixture.runtime.record->killed == killed; }));
    CHECK(Eventually([&] { return fixture.server->sessions() == 0; }));
  }
  WebSocketClient base64(fixture.ExecUrl("sleep 100", kInOut));
  base64.Upgrade("v4.base64.channel.k8s.io");
  CHECK(Eventually([&] { return fixture.runtime.record->alive == 1; }));
  base64.Send("0*", true);
  CHECK(Eventually([&] { return fixture.runtime.record->killed == killed + 1; }));
}

TEST_CASE("WebSocket: a client that does not read stops its process") {
  ServerFixture fixture;
  const size_t before = ResidentBytes();
  WebSocketClient client(fixture.ExecUrl("head -c 20000000 /dev/zero", kOut));
  client.Upgrade("v5.channel.k8s.io");
  CHECK(Eventually([&] { return fixture.runtime.record->alive == 1; }));
  REQUIRE(Eventually([&] { return IsFull(client.connection, Direction::kToClient); }));
  CHECK(Stays([&] {
    return fixture.runtime.record->waited == 0 && ResidentBytes() < before + kResidentSlack;
  }));
  client.ReadToEnd();
  CHECK(client.channels['\x01'].size() == 20000000);
}

}  // namespace
}  // namespace crisp::streaming
