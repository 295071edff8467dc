// Port-forward sessions, over SPDY and tunnelled through WebSocket.
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "server_fixture.h"

namespace crisp::streaming {
namespace {

struct Pair {
  uint32_t error, data;
};

Pair OpenPair(SpdyClient* client, uint16_t port, const std::string& request_id) {
  Pair pair;
  HeaderList headers = {{"streamtype", "error"}, {"port", std::to_string(port)}};
  if (!request_id.empty()) headers.emplace_back("requestid", request_id);
  pair.error = client->Open(headers);
  client->Send(pair.error, "", true);  // clients close it at once, because they never write on it
  headers[0].second = "data";
  pair.data = client->Open(headers);
  return pair;
}

std::string Receive(int fd, size_t size) {
  std::string bytes(size, '\0');
  const ssize_t got = recv(fd, bytes.data(), size, MSG_WAITALL);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

void SendText(int fd, const std::string& text) {
  REQUIRE(send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

struct Session {
  explicit Session(const ServerOptions& options = ServerOptions())
      : fixture(options), client(fixture.Url(PortForwardRequest{"pod"})) {
    const std::string answer = client.Upgrade({"portforward.k8s.io"});
    REQUIRE(answer.find("X-Stream-Protocol-Version: portforward.k8s.io\r\n") != std::string::npos);
  }
  ServerFixture fixture;
  SpdyClient client;
};

TEST_CASE("port-forward: bytes flow both ways, and each direction can be closed alone") {
  Session session;
  SpdyClient& client = session.client;
  Target target;
  const Pair pair = OpenPair(&client, target.port, "0");
  client.Send(pair.data, "early question", true);
  base::UniqueFd server = target.Accept();
  CHECK(Receive(server.get(), 100) == "early question");  // up to the end of input
  SendText(server.get(), "answer");
  server.reset();
  while (!client.streams[pair.error].fin) REQUIRE(client.ReadFrame());
  CHECK(client.streams[pair.data].data == "answer");
  CHECK(client.streams[pair.data].fin);
  CHECK(client.streams[pair.error].data.empty());
}

TEST_CASE("port-forward: an error on one connection does not affect the others") {
  Session session;
  SpdyClient& client = session.client;
  Target target;
  const Pair broken = OpenPair(&client, target.port, "0");
  base::UniqueFd broken_end = target.Accept();
  const Pair unnumbered = OpenPair(&client, target.port, "");
  base::UniqueFd good_end = target.Accept();
  // A reset by the target writes nothing to the error stream, because clients would end the
  // session.
  const linger abort = {1, 0};
  setsockopt(broken_end.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  broken_end.reset();
  while (!client.streams[broken.error].fin) REQUIRE(client.ReadFrame());
  CHECK(client.streams[broken.data].reset == 5);
  CHECK(client.streams[broken.error].data.empty());
  // A client's reset closes the connection.
  const Pair dropped = OpenPair(&client, target.port, "1");
  base::UniqueFd dropped_end = target.Accept();
  client.connection.Write(ControlFrame(3, 0, Big32(dropped.data) + Big32(5)));
  CHECK(Receive(dropped_end.get(), 1).empty());
  // A port without a listener.
  uint16_t dead_port;
  {
    Target dead;
    dead_port = dead.port;
  }
  const Pair refused = OpenPair(&client, dead_port, "2");
  while (!client.streams[refused.error].fin) REQUIRE(client.ReadFrame());
  CHECK(client.streams[refused.error].data ==
        "error forwarding port " + std::to_string(dead_port) +
            " to pod pod, uid : connect localhost: connection refused (ECONNREFUSED)");
  CHECK(client.streams[refused.data].reset == 5);
  // The second connection still works.
  client.Send(unnumbered.data, "ping");
  CHECK(Receive(good_end.get(), 4) == "ping");
  SendText(good_end.get(), "pong");
  while (client.streams[unnumbered.data].data != "pong") REQUIRE(client.ReadFrame());
  client.connection.Close();
  CHECK(Receive(good_end.get(), 1).empty());
  CHECK(Eventually([&] { return session.fixture.server->sessions() == 0; }));
}

// A listening socket with a full backlog: the kernel drops further connection attempts.
struct HungTarget : Target {
  HungTarget() {
    REQUIRE(listen(fd.get(), 0) == 0);
    sockaddr_in address = {};
    socklen_t size = sizeof(address);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    REQUIRE(connect(filler.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  }
  base::UniqueFd filler{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

// Returns when the server has handled everything that was sent before.
void WaitForServer(SpdyClient* client) {
  client->connection.Write(ControlFrame(6, 0, Big32(1)));
  const size_t before = client->pings.size();
  while (client->pings.size() == before) REQUIRE(client->ReadFrame());
}

TEST_CASE("port-forward: a target that does not answer does not delay an exec") {
  Session session;
  HungTarget hung;
  for (int i = 0; i < 100; ++i) OpenPair(&session.client, hung.port, std::to_string(i));
  WaitForServer(&session.client);
  Command command(session.fixture.ExecUrl("echo up", kOut), kOut);
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "up\n");
}

TEST_CASE("port-forward: sixteen connects run at a time, the others wait") {
  ServerOptions options;
  options.connect_timeout = absl::Hours(1);
  Session session(options);
  HungTarget hung;
  Target target;
  std::vector<Pair> pairs;
  for (int i = 0; i < 18; ++i) {
    pairs.push_back(OpenPair(&session.client, hung.port, std::to_string(i)));
  }
  const Pair good = OpenPair(&session.client, target.port, "good");
  const auto& sockets = session.fixture.runtime.record->sockets;
  CHECK(Eventually([&] { return sockets == 16; }));
  // A waiting one and then three that connect are closed, and others take their place at once.
  for (const int i : {16, 2, 3, 15}) {
    session.client.connection.Write(ControlFrame(3, 0, Big32(pairs[i].data) + Big32(5)));
  }
  base::UniqueFd end = target.Accept();
  CHECK(Eventually([&] { return sockets == 18; }));  // this one and the seventeenth are connecting
  SendText(end.get(), "pong");
  while (session.client.streams[good.data].data != "pong") REQUIRE(session.client.ReadFrame());
  CHECK(sockets == 18);
  // A running connect does not keep the session alive.
  session.client.connection.Close();
  CHECK(Eventually([&] { return session.fixture.server->sessions() == 0; }));
}

TEST_CASE("port-forward: a connect that times out is reported on the error stream") {
  ServerOptions options;
  options.connect_timeout = absl::Milliseconds(50);
  ServerFixture fixture(options);
  HungTarget hung;
  SpdyClient client(fixture.Url(PortForwardRequest{"pod"}));
  client.Upgrade({});
  const Pair pair = OpenPair(&client, hung.port, "0");
  while (!client.streams[pair.error].fin) REQUIRE(client.ReadFrame());
  CHECK(client.streams[pair.error].data.find(
            ", uid : connect localhost: connection timed out (ETIMEDOUT)") != std::string::npos);
  CHECK(fixture.runtime.record->sockets == 2);
}

TEST_CASE("port-forward: a target that listens only on ::1 is reached") {
  Session session;
  Target target(AF_INET6);
  OpenPair(&session.client, target.port, "0");
  SendText(target.Accept().get(), "hello");
  while (session.client.streams[3].data != "hello") REQUIRE(session.client.ReadFrame());
}

// The reset may arrive before the server sees the connection. Only a refused connect ends with
// ECONNREFUSED, so the server can tell them apart.
TEST_CASE("port-forward: a connection that is reset at once does not count as a failed connect") {
  Session session;
  Target target;
  for (int i = 0; i < 300; ++i) {
    const Pair pair = OpenPair(&session.client, target.port, std::to_string(i));
    const linger abort = {1, 0};
    setsockopt(target.Accept().get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    while (!session.client.streams[pair.error].fin) REQUIRE(session.client.ReadFrame());
    REQUIRE(session.client.streams[pair.data].reset == 5);
    REQUIRE(session.client.streams[pair.error].data.empty());
  }
}

TEST_CASE("port-forward: streams with bad headers are refused") {
  Session session;
  SpdyClient& client = session.client;
  std::vector<uint32_t> refused;
  for (const char* port : {"", "0", "65536", "-1", "x"}) {
    refused.push_back(client.Open({{"streamtype", "data"}, {"port", port}, {"requestid", "0"}}));
  }
  refused.push_back(client.Open({{"streamtype", "stdin"}, {"port", "80"}, {"requestid", "0"}}));
  refused.push_back(client.Open({{"port", "80"}, {"requestid", "0"}}));
  client.Open({{"streamtype", "data"}, {"port", "80"}, {"requestid", "1"}});
  refused.push_back(client.Open({{"streamtype", "data"}, {"port", "80"}, {"requestid", "1"}}));
  while (client.streams[refused.back()].reset == 0) REQUIRE(client.ReadFrame());
  for (const uint32_t id : refused) CHECK(client.streams[id].reset == 3);
}

TEST_CASE("port-forward: a session can have 2000 streams") {
  Session session;
  SpdyClient& client = session.client;
  for (int i = 0; i < 2001; ++i) {
    client.Open({{"streamtype", "error"}, {"port", "80"}, {"requestid", std::to_string(i)}});
  }
  while (client.streams[4001].reset == 0) REQUIRE(client.ReadFrame());
  CHECK(client.streams[3999].replied);
  CHECK(client.streams[3999].reset == 0);
}

TEST_CASE("port-forward: a stream whose partner does not come is ended") {
  ServerOptions options;
  options.creation_timeout = absl::Milliseconds(50);
  ServerFixture fixture(options);
  SpdyClient client(fixture.Url(PortForwardRequest{"pod"}));
  client.Upgrade({});
  const uint32_t error = client.Open({{"streamtype", "error"}, {"port", "80"}, {"requestid", "0"}});
  while (!client.streams[error].fin) REQUIRE(client.ReadFrame());
  CHECK(client.streams[error].data == "timed out waiting for streams");
}

TEST_CASE("port-forward: unread data is bounded in both directions") {
  Session session;
  SpdyClient& client = session.client;
  Target target;
  const Pair pair = OpenPair(&client, target.port, "0");
  base::UniqueFd server = target.Accept();
  const size_t before = ResidentBytes();
  const timeval timeout = {0, 200'000};
  setsockopt(client.connection.fd(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  setsockopt(server.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  const std::string chunk(32 << 10, 'x');
  int sent = 0;
  while (sent < 2000 && client.Send(pair.data, chunk)) ++sent;
  CHECK(sent < 2000);
  sent = 0;
  while (sent < 2000 && send(server.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) > 0) ++sent;
  CHECK(sent < 2000);
  CHECK(ResidentBytes() < before + kResidentSlack);
}

// Sends the same SPDY bytes in WebSocket messages, split at odd places.
TEST_CASE("port-forward: works through a WebSocket tunnel") {
  ServerFixture fixture;
  Target target;
  SpdyClient frames(fixture.Url(PortForwardRequest{"pod"}));  // only encodes frames
  WebSocketClient client(fixture.Url(PortForwardRequest{"pod"}));
  const std::string answer = client.Upgrade("SPDY/3.1+portforward.k8s.io");
  CHECK(answer.find("Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n") !=
        std::string::npos);
  const std::string port = std::to_string(target.port);
  std::string bytes =
      frames.OpenFrame({{"streamtype", "error"}, {"port", port}, {"requestid", "0"}});
  bytes += frames.OpenFrame({{"streamtype", "data"}, {"port", port}, {"requestid", "0"}});
  bytes += DataFrame(3, 1, "question");
  for (size_t at = 0; at < bytes.size(); at += 7) client.Send(bytes.substr(at, 7));
  base::UniqueFd server = target.Accept();
  CHECK(Receive(server.get(), 100) == "question");
  SendText(server.get(), "answer");
  server.reset();
  const std::string wanted = DataFrame(3, 0, "answer") + DataFrame(3, 1, "") + DataFrame(1, 1, "");
  std::string received;
  while (received.find(wanted) == std::string::npos) {
    std::optional<WebSocketClient::Message> message = client.Read();
    REQUIRE(message);
    CHECK(message->opcode == 2);
    received += message->payload;
  }
  // The older protocol without a tunnel would need the ports in the request.
  WebSocketClient old(fixture.Url(PortForwardRequest{"pod"}));
  CHECK(old.Upgrade("v4.channel.k8s.io").find("HTTP/1.1 400") == 0);
}

}  // namespace
}  // namespace crisp::streaming
