// The server as clients see it: addresses, tokens, HTTP answers and SPDY remote commands.
#include <catch2/catch.hpp>
#include <thread>

#include "base/clock.h"
#include "no_threads.h"
#include "server_fixture.h"

namespace crisp::streaming {
namespace {

constexpr char kSuccess[] = R"({"metadata":{},"status":"Success"})";

TEST_CASE("only a numeric loopback address is served") {
  FakeRuntime runtime;
  for (const char* address : {"0.0.0.0:0", "10.1.2.3:80", "[::]:0", "localhost:0", "127.0.0.1",
                              "127.0.0.1:70000", "127.0.0.1:x", "", "[::1:0"}) {
    ServerOptions options;
    options.address = address;
    CHECK(Server::Start(options, &runtime).status().code() == absl::StatusCode::kInvalidArgument);
  }
  ServerOptions options;
  options.address = "127.8.9.10:0";
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options, &runtime);
  REQUIRE(server.ok());
  const std::string url = *(*server)->Url(PortForwardRequest{"pod"});
  CHECK(url.find("http://127.8.9.10:") == 0);
  options.address = url.substr(7, url.find('/', 7) - 7);
  CHECK(Server::Start(options, &runtime).status().message() ==
        "bind " + options.address + ": address already in use (EADDRINUSE)");
}

TEST_CASE("unused URLs are limited in number, and there are none after Stop()") {
  ServerOptions options;
  options.max_tokens = 2;
  ServerFixture fixture(options);
  CHECK(fixture.server->Url(ExecRequest{"c", {"true"}, {}}).status().code() ==
        absl::StatusCode::kInvalidArgument);
  fixture.ExecUrl("true", kOut);
  fixture.ExecUrl("true", kOut);
  CHECK(fixture.server->Url(PortForwardRequest{"p"}).status().code() ==
        absl::StatusCode::kResourceExhausted);
  fixture.server->Stop();
  CHECK(fixture.server->Url(PortForwardRequest{"p"}).status().code() ==
        absl::StatusCode::kUnavailable);
}

std::string Answer(const std::string& url, const std::string& head) {
  Connection connection(url);
  connection.Write(head);
  const std::string answer = connection.ReadAll();
  return answer.substr(0, answer.find('\r'));
}

TEST_CASE("a request that cannot be upgraded gets the right HTTP error") {
  ServerFixture fixture;
  const std::string url = fixture.ExecUrl("true", kOut);
  const std::string path = Connection(url).path();
  const std::string v4 = "v4.channel.k8s.io";
  CHECK(Answer(url, SpdyHead("/", {v4})) == "HTTP/1.1 404 Not Found");
  CHECK(Answer(url, SpdyHead("/nothing/x", {v4})) == "HTTP/1.1 404 Not Found");
  CHECK(Answer(url, SpdyHead(path + "/x", {v4})) == "HTTP/1.1 404 Not Found");
  CHECK(Answer(url, SpdyHead("/exec/", {v4})) == "HTTP/1.1 404 Not Found");
  CHECK(Answer(url, SpdyHead("/exec/" + std::string(64, '0'), {v4})) == "HTTP/1.1 404 Not Found");
  CHECK(Answer(url, "PUT " + path + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
        "HTTP/1.1 405 Method Not Allowed");
  CHECK(Answer(url, "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(Answer(url, "nonsense\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(Answer(url, WebSocketHead(path, v4) + "early") == "HTTP/1.1 400 Bad Request");
  CHECK(Answer(url, "GET / HTTP/1.1\r\nX: " + std::string(20000, 'x')) ==
        "HTTP/1.1 431 Request Header Fields Too Large");
  // None of these used the token up. This one does, although it is refused.
  CHECK(Answer(url, SpdyHead(path, {"v9.channel.k8s.io"})) == "HTTP/1.1 403 Forbidden");
  CHECK(Answer(url, SpdyHead(path, {v4})) == "HTTP/1.1 404 Not Found");
  const std::string websocket = fixture.ExecUrl("true", kOut);
  CHECK(Answer(websocket, WebSocketHead(Connection(websocket).path(), "v9.channel.k8s.io")) ==
        "HTTP/1.1 400 Bad Request");
  CHECK(fixture.runtime.record->started == 0);
}

TEST_CASE("a token is valid for one use, for its kind of request and for its lifetime") {
  ServerFixture fixture;
  const std::string url = fixture.ExecUrl("true", kOut);
  const std::string path = Connection(url).path();
  {  // a token of another kind of request
    const std::string other = "/attach" + path.substr(5);
    CHECK(Answer(url, SpdyHead(other, {"v4.channel.k8s.io"})) == "HTTP/1.1 404 Not Found");
    CHECK(Answer(url, SpdyHead(path, {"v4.channel.k8s.io"})) == "HTTP/1.1 404 Not Found");
  }
  {  // a second use
    const std::string again = fixture.ExecUrl("true", kOut);
    Command command(again, kOut);
    CHECK(Answer(again, SpdyHead(Connection(again).path(), {"v4.channel.k8s.io"})) ==
          "HTTP/1.1 404 Not Found");
    command.client.ReadToEnd();
  }
  ServerOptions options;  // after its lifetime
  options.token_lifetime = absl::Milliseconds(20);
  ServerFixture quick(options);
  const std::string late = quick.ExecUrl("true", kOut);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(Answer(late, SpdyHead(Connection(late).path(), {})) == "HTTP/1.1 404 Not Found");
}

TEST_CASE("the best SPDY protocol that both sides know is chosen") {
  ServerFixture fixture;
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io"}, "v4.channel.k8s.io"},
      {{"v5.channel.k8s.io"}, "v5.channel.k8s.io"},
      {{"channel.k8s.io, v2.channel.k8s.io"}, "v2.channel.k8s.io"},
      {{}, ""}};
  for (const auto& [offered, chosen] : cases) {
    SpdyClient client(fixture.ExecUrl("true", kOut));
    const std::string answer = client.Upgrade(offered);
    CHECK(answer.find("HTTP/1.1 101 ") == 0);
    const size_t header = answer.find("X-Stream-Protocol-Version: " + chosen + "\r\n");
    CHECK((chosen.empty() ? answer.find("X-Stream") == std::string::npos
                          : header != std::string::npos));
  }
}

TEST_CASE("exec: output and result arrive, and the streams end in the order that clients expect") {
  ServerFixture fixture;
  Command command(fixture.ExecUrl("echo out; echo err >&2", kOutErr), kOutErr);
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "out\n");
  CHECK(command.text(command.err) == "err\n");
  CHECK(command.text(command.error) == kSuccess);
  auto& streams = command.client.streams;
  CHECK(streams[command.out].end_order == 1);
  CHECK(streams[command.err].end_order == 2);
  CHECK(streams[command.error].end_order == 3);
  CHECK(command.client.goaway == 0u);
  command.client.connection.Close();
  CHECK(Eventually([&] { return fixture.server->sessions() == 0; }));
  CHECK(fixture.runtime.record->killed == 0);
}

TEST_CASE("exec: the exit code is reported in the form of the protocol version") {
  ServerFixture fixture;
  for (const char* protocol : {"v5.channel.k8s.io", "v4.channel.k8s.io"}) {
    Command command(fixture.ExecUrl("exit 7", kOut), kOut, protocol);
    command.client.ReadToEnd();
    CHECK(command.text(command.error).find(R"("message":"7","reason":"ExitCode")") !=
          std::string::npos);
  }
  for (const char* protocol : {"v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}) {
    Command command(fixture.ExecUrl("exit 7", kOut), kOut, protocol);
    command.client.ReadToEnd();
    CHECK(command.text(command.error) ==
          "command terminated with non-zero exit code: exit status 7");
    Command good(fixture.ExecUrl("exit 0", kOut), kOut, protocol);
    good.client.ReadToEnd();
    CHECK(good.text(good.error).empty());
  }
}

TEST_CASE("exec: an error to start reaches the client") {
  ServerFixture fixture;
  Command missing(fixture.Url(ExecRequest{"missing", {"true"}, kOut}), kOut);
  missing.client.ReadToEnd();
  CHECK(missing.text(missing.error)
            .find("error executing command in container: container missing: no such") !=
        std::string::npos);
  Command attach(fixture.Url(AttachRequest{"missing", kOut}), kOut, "v2.channel.k8s.io");
  attach.client.ReadToEnd();
  CHECK(attach.text(attach.error) ==
        "Internal error occurred: error attaching to container: container missing: no such");
}

TEST_CASE("exec: input and its end reach the process, and the session does not wait for that end") {
  ServerFixture fixture;
  Command cat(fixture.ExecUrl("cat; echo end", kInOut), kInOut);
  cat.client.Send(cat.in, "one ");
  cat.client.Send(cat.in, "two\n", true);
  cat.client.ReadToEnd();
  CHECK(cat.text(cat.out) == "one two\nend\n");
  CHECK(cat.text(cat.error) == kSuccess);

  Command open(fixture.ExecUrl("read x; echo $x", kInOut), kInOut);
  open.client.Send(open.in, "line\n");
  open.client.ReadToEnd();  // the client has not closed stdin
  CHECK(open.text(open.out) == "line\n");

  Command deaf(fixture.ExecUrl("exec <&-; sleep 0.1; echo done", kInOut), kInOut);
  for (int i = 0; i < 100; ++i) deaf.client.Send(deaf.in, std::string(10000, 'x'));
  deaf.client.ReadToEnd();
  CHECK(deaf.text(deaf.out) == "done\n");
}

TEST_CASE("exec: a background child that keeps the output open does not keep the session open") {
  ServerFixture fixture;
  Command command(fixture.ExecUrl("(sleep 30; echo late) & echo early", kOut), kOut);
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "early\n");
  CHECK(command.text(command.error) == kSuccess);
  // Neither does one that writes without end.
  Command flood(fixture.ExecUrl("timeout 2 yes & exit 3", kOut), kOut);
  flood.client.ReadToEnd();
  CHECK(flood.text(flood.error).find("\"3\"") != std::string::npos);
}

// The same with a terminal, which children keep open after its session leader has exited.
TEST_CASE("exec: a background child that keeps the terminal open does not keep the session open") {
  ServerFixture fixture;
  Command quiet(fixture.ExecUrl("trap '' HUP; sleep 30 & echo early", kTerminal), kTerminal);
  quiet.client.ReadToEnd();
  CHECK(quiet.text(quiet.out) == "early\r\n");
  CHECK(quiet.text(quiet.error) == kSuccess);
  // Neither does one that writes without end, faster than the client reads.
  Command flood(fixture.ExecUrl("trap '' HUP; timeout 20 yes & read go; exit 3", kTerminal),
                kTerminal);
  REQUIRE(Eventually([&] { return IsFull(flood.client.connection, Direction::kToClient); }));
  flood.client.Send(flood.in, "go\n");
  REQUIRE(Eventually([&] { return fixture.runtime.record->waited == 2; }));
  const int64_t begin_ns = base::MonotonicNanos();
  flood.client.ReadToEnd();
  CHECK(flood.text(flood.error).find("\"3\"") != std::string::npos);
  CHECK(base::MonotonicNanos() - begin_ns < int64_t{10} * 1'000'000'000);
}

TEST_CASE("exec: a terminal gets the sizes that the client sends") {
  ServerFixture fixture;
  Command command(fixture.ExecUrl("read x; stty size; exit 4", kTerminal), kTerminal);
  command.client.Send(command.resize, "{\"Width\":100,\"Hei");
  command.client.Send(command.resize, "ght\":30}\n{\"Width\":123,\"Height\":45}\nrubbish}");
  CHECK(Eventually([record = fixture.runtime.record] {
    absl::MutexLock lock(&record->mutex);
    return !record->sizes.empty() && record->sizes.back() == std::make_pair(123, 45);
  }));
  command.client.Send(command.in, "go\n");
  command.client.ReadToEnd();
  CHECK(command.text(command.out).find("45 123") != std::string::npos);
  CHECK(command.text(command.error).find("\"4\"") != std::string::npos);
}

TEST_CASE("attach ends with success whatever the exit code") {
  ServerFixture fixture;
  fixture.runtime.attach_command = {"sh", "-c", "read x; echo got $x; exit 9"};
  Command command(fixture.Url(AttachRequest{"c", kInOut}), kInOut);
  command.client.Send(command.in, "hello\n", true);
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "got hello\n");
  CHECK(command.text(command.error) == kSuccess);
}

TEST_CASE("a server that gets fewer threads than it needs is an error and leaves none") {
  FakeRuntime runtime;
  const size_t threads = Threads();
  const size_t descriptors = OpenDescriptors();
  for (const int allowed : {0, 1, 5}) {
    const test::NoThreads refused(allowed);
    CHECK(absl::IsResourceExhausted(Server::Start({}, &runtime).status()));
  }
  CHECK(Threads() == threads);
  CHECK(OpenDescriptors() == descriptors);
}

}  // namespace
}  // namespace crisp::streaming
