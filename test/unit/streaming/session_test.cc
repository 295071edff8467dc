// Sessions with hostile, slow and vanishing clients; nothing of them may be left behind.
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "server_fixture.h"

namespace crisp::streaming {
namespace {

TEST_CASE("a client that breaks the protocol loses its session, and its process is killed") {
  ServerFixture fixture;
  const std::vector<std::function<void(Command*)>> attacks = {
      [](Command* c) { c->client.connection.Write("\xff\xff\xff\xff garbage after upgrade"); },
      [](Command* c) { c->client.Send(0, "x"); },
      [](Command* c) { c->client.Send(99, "never opened"); },
      [](Command* c) {
        c->client.next_id = 1, c->client.Open({{"streamtype", "stdin"}});
      },
      [](Command* c) {
        c->client.next_id = 20, c->client.Open({{"streamtype", "stdin"}});
      },
      [](Command* c) { c->client.connection.Write(ControlFrame(4, 0, Big32(0x10000000))); },
      [](Command* c) {
        c->client.Open({{"a", std::string(1 << 20, 'x')}});
      },
  };
  int killed = 0;
  for (const auto& attack : attacks) {
    Command command(fixture.ExecUrl("echo up; sleep 100", kOut), kOut);
    while (command.text(command.out) != "up\n") REQUIRE(command.client.ReadFrame());
    attack(&command);
    command.client.ReadToEnd();
    CHECK(command.client.goaway == 1u);
    ++killed;
    CHECK(Eventually([&] { return fixture.runtime.record->killed == killed; }));
  }
  CHECK(Eventually([&] { return fixture.runtime.record->alive == 0; }));
}

TEST_CASE("an error on one stream does not affect the others") {
  ServerFixture fixture;
  const Gate end;
  Command command(fixture.ExecUrl("cat; " + end.script() + "; echo still", kInOut), kInOut);
  command.client.Send(command.in, "x", true);
  command.client.Send(command.in, "after the end");
  command.client.connection.Write(ControlFrame(6, 0, Big32(41)) + ControlFrame(6, 0, Big32(42)));
  for (int i = 0; i < 4096; ++i) {
    command.client.connection.Write(command.client.OpenFrame({{"streamtype", "stdin"}}));
  }
  // The server does not count windows, so they cannot overflow.
  command.client.connection.Write(ControlFrame(9, 0, Big32(command.out) + Big32(0x7fffffff)));
  command.client.connection.Write(ControlFrame(9, 0, Big32(command.out) + Big32(0x7fffffff)));
  while (command.client.streams[command.out + 2 * 4096].reset == 0) {
    REQUIRE(command.client.ReadFrame());
  }
  end.Open();
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "xstill\n");
  CHECK(command.client.streams[command.in].reset == 9);
  CHECK(command.client.pings == std::vector<uint32_t>{41});
  CHECK(command.client.streams[command.out + 2].reset == 3);
  CHECK(command.client.streams[command.out + 2 * 4096].reset == 3);
  CHECK(command.client.goaway == 0u);
}

TEST_CASE("streams that the request lacks are ended; unknown and repeated ones are refused") {
  ServerFixture fixture;
  SpdyClient client(fixture.ExecUrl("echo x", kOut));
  client.Upgrade({"v4.channel.k8s.io"});
  const uint32_t unknown = client.Open({{"streamtype", "video"}});
  const uint32_t extra = client.Open({{"streamtype", "stderr"}});
  const uint32_t out = client.Open({{"streamtype", "stdout"}});
  const uint32_t second = client.Open({{"streamtype", "stdout"}});
  const uint32_t error = client.Open({{"streamtype", "error"}});
  client.ReadToEnd();
  CHECK(client.streams[unknown].reset == 3);
  CHECK(client.streams[second].reset == 3);
  CHECK(client.streams[extra].fin);
  CHECK(client.streams[out].data == "x\n");
  CHECK_FALSE(client.streams[error].data.empty());
}

TEST_CASE("a process goes on when the client resets one of its outputs") {
  ServerFixture fixture;
  Command command(fixture.ExecUrl("head -c 5000000 /dev/zero; echo done >&2", kOutErr), kOutErr);
  command.client.connection.Write(ControlFrame(3, 0, Big32(command.out) + Big32(5)));
  command.client.ReadToEnd();
  CHECK(command.text(command.err) == "done\n");
}

// The first command fills the allocator and the page cache, so that they do not count below.
TEST_CASE("a client that does not read stops its process, and the server's memory stays bounded") {
  ServerFixture fixture;
  constexpr size_t kBytes = 50 << 20;
  {
    Command warm(fixture.ExecUrl("head -c 1000000 /dev/zero", kOut), kOut);
    warm.client.ReadToEnd();
  }
  const size_t before = ResidentBytes();
  Command command(fixture.ExecUrl("head -c 52428800 /dev/zero", kOut), kOut);
  REQUIRE(Eventually([&] { return IsFull(command.client.connection, Direction::kToClient); }));
  CHECK(Stays([&] {
    return fixture.runtime.record->waited == 1 && ResidentBytes() < before + kResidentSlack;
  }));
  size_t size = 0;
  while (command.client.ReadFrame()) {
    size += command.text(command.out).size();
    command.client.streams[command.out].data.clear();
  }
  CHECK(size == kBytes);
  CHECK(command.text(command.error).find("Success") != std::string::npos);
}

// FIONREAD counts only the first of a terminal's two buffers. A background child keeps the terminal
// open, so that it does not reach its end.
TEST_CASE("the end of a terminal's output reaches a slow client") {
  ServerFixture fixture;
  const base::UniqueFd written(
      memfd_create("written", MFD_CLOEXEC));  // one byte for every 1000 of output
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(written.get());
  const auto bytes_written = [&] {
    struct stat status = {};
    fstat(written.get(), &status);
    return static_cast<size_t>(status.st_size) * 1000;
  };
  Command command(fixture.ExecUrl("trap '' HUP; sleep 60 & stty raw -echo; exec 3>>" + path +
                                      "; while printf %01000d 1; do printf . >&3; done & read go; "
                                      "kill -9 $!; wait $! 2>/dev/null; exit 3",
                                  kTerminal),
                  kTerminal);
  REQUIRE(Eventually([&] { return bytes_written() > 0; }));
  // Waits until all buffers up to the client are full. If they are not quite, the test is only
  // weaker.
  REQUIRE(Eventually([&] { return IsFull(command.client.connection, Direction::kToClient); }));
  REQUIRE(Eventually(
      [&] { return Stays([&, before = bytes_written()] { return bytes_written() == before; }); }));
  command.client.Send(command.in, "go\n");
  REQUIRE(Eventually([&] { return fixture.runtime.record->waited == 1; }));
  // The time that the server waits for the output to end passes meanwhile.
  CHECK(Stays([&] { return fixture.runtime.record->alive == 1; }));
  command.client.ReadToEnd();
  CHECK(command.text(command.out).size() >= bytes_written());
  CHECK(command.text(command.error).find("\"3\"") != std::string::npos);
}

TEST_CASE("a process that does not read stops its client, and the server's memory stays bounded") {
  ServerFixture fixture;
  const Gate reading;
  const size_t before = ResidentBytes();
  Command command(fixture.ExecUrl(reading.script() + "; wc -c", kInOut), kInOut);
  std::thread writer([&] {
    const std::string chunk(32 << 10, 'x');
    for (int i = 0; i < 1000; ++i) command.client.Send(command.in, chunk);
    command.client.Send(command.in, "", true);
  });
  CHECK(Eventually([&] { return IsFull(command.client.connection, Direction::kToServer); }));
  CHECK(Stays([&] { return ResidentBytes() < before + kResidentSlack; }));
  reading.Open();
  command.client.ReadToEnd();
  writer.join();
  CHECK(command.text(command.out) == "32768000\n");
}

// The answers to a client that does not read them must not pile up.
TEST_CASE("the server stops reading from a client that sends pings and does not read the answers") {
  ServerFixture fixture;
  Command command(fixture.ExecUrl("sleep 100", kOut), kOut);
  const size_t before = ResidentBytes();
  std::string pings;
  for (int i = 0; i < 5000; ++i) pings += ControlFrame(6, 0, Big32(1));
  timeval timeout = {0, 300'000};
  setsockopt(command.client.connection.fd(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  int sent = 0;
  while (sent < 1000 && command.client.connection.Write(pings)) ++sent;
  CHECK(sent < 1000);  // 60 MB: the server stopped reading long before
  CHECK(ResidentBytes() < before + kResidentSlack);
}

TEST_CASE("the process of a client that vanishes is killed") {
  ServerFixture fixture;
  for (const Streams& streams : {kOut, kInOut, kTerminal}) {
    const int killed = fixture.runtime.record->killed;
    {
      Command command(fixture.ExecUrl("sleep 100", streams), streams);
      CHECK(Eventually([&] { return fixture.runtime.record->alive == 1; }));
    }
    CHECK(Eventually([&] { return fixture.runtime.record->alive == 0; }));
    CHECK(fixture.runtime.record->killed == killed + 1);
  }
  {  // while both directions are full and neither side reads
    Command command(fixture.ExecUrl("head -c 1000000000 /dev/zero; sleep 100", kInOut), kInOut);
    const timeval timeout = {0, 100'000};
    setsockopt(command.client.connection.fd(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    while (command.client.Send(command.in, std::string(32 << 10, 'x'))) {
    }
  }
  CHECK(Eventually([&] { return fixture.runtime.record->alive == 0; }));
  CHECK(Eventually([&] { return fixture.server->sessions() == 0; }));
}

TEST_CASE("an idle session ends and its process is killed") {
  ServerOptions options;
  options.idle_timeout = absl::Milliseconds(500);
  ServerFixture fixture(options);
  Command idle(fixture.ExecUrl("sleep 100", kOut), kOut);
  idle.client.ReadToEnd();
  CHECK(Eventually([&] { return fixture.runtime.record->killed == 1; }));
}

TEST_CASE("a session that lacks streams ends before its process is started") {
  ServerOptions options;
  options.creation_timeout = absl::Milliseconds(100);
  ServerFixture fixture(options);
  SpdyClient incomplete(fixture.ExecUrl("true", kOut));
  incomplete.Upgrade({"v4.channel.k8s.io"});
  incomplete.Open({{"streamtype", "error"}});
  incomplete.ReadToEnd();
  CHECK(incomplete.goaway == 1u);
  CHECK(fixture.runtime.record->started == 0);
}

TEST_CASE("a connection whose request head does not end is closed") {
  ServerOptions options;
  options.head_timeout = absl::Milliseconds(100);
  ServerFixture fixture(options);
  Connection silent(fixture.ExecUrl("true", kOut));
  silent.Write("GET /exec");
  CHECK(silent.ReadAll().empty());
  CHECK(fixture.runtime.record->started == 0);
}

TEST_CASE("connections without a token do not count as sessions") {
  ServerOptions options;
  options.max_sessions = 2;
  ServerFixture fixture(options);
  const std::string url = fixture.ExecUrl("true", kOut);
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(std::make_unique<Connection>(url));
  Command command(url, kOut);
  command.client.ReadToEnd();
  CHECK(command.text(command.error).find("Success") != std::string::npos);
}

TEST_CASE("a new connection closes the oldest one without a token when there are too many") {
  ServerOptions options;
  options.max_unauthenticated = 3;
  options.head_timeout = absl::Hours(1);
  ServerFixture fixture(options);
  const std::string url = fixture.ExecUrl("cat", kInOut);
  Connection first(url), second(url);
  Connection refused(url);  // it has its answer but stays connected
  refused.Write("nonsense\r\n\r\n");
  CHECK(refused.ReadSome().find("HTTP/1.1 400 ") == 0);
  Command command(url, kInOut);  // not authenticated until its head is read
  CHECK(first.ReadAll().empty());
  Connection third(url);
  command.client.Send(command.in, "still", true);
  command.client.ReadToEnd();
  CHECK(command.text(command.out) == "still");
  second.Write("nonsense\r\n\r\n");
  CHECK(second.ReadSome().find("HTTP/1.1 400 ") == 0);
}

TEST_CASE("sessions beyond the limit are refused") {
  ServerOptions options;
  options.max_sessions = 2;
  ServerFixture fixture(options);
  Command one(fixture.ExecUrl("sleep 100", kOut), kOut);
  Command two(fixture.ExecUrl("sleep 100", kOut), kOut);
  SpdyClient refused(fixture.ExecUrl("true", kOut));
  CHECK(refused.Upgrade({}).find("HTTP/1.1 503 ") == 0);
  one.client.connection.Close();
  CHECK(Eventually([&] { return fixture.server->sessions() == 1; }));
  Command three(fixture.ExecUrl("true", kOut), kOut);
  three.client.ReadToEnd();
  CHECK(three.text(three.error).find("Success") != std::string::npos);
}

TEST_CASE("stopping the server ends every session with an error to its client") {
  ServerFixture fixture;
  const auto record = fixture.runtime.record;
  Command exec(fixture.ExecUrl("sleep 100", kOut), kOut);
  WebSocketClient websocket(fixture.ExecUrl("sleep 100", kOut));
  websocket.Upgrade("v5.channel.k8s.io");
  Connection silent(fixture.ExecUrl("true", kOut));
  CHECK(Eventually([&] { return record->alive == 2; }));
  fixture.server->Stop();
  CHECK(fixture.server->sessions() == 0);
  CHECK(record->killed == 2);
  CHECK(record->alive == 0);
  // crictl takes the mere end of the connection for success.
  exec.client.ReadToEnd();
  CHECK(exec.text(exec.error).find("crispd is stopping") != std::string::npos);
  websocket.ReadToEnd();
  CHECK(websocket.channels['\3'].find("crispd is stopping") != std::string::npos);
}

TEST_CASE("two hundred sessions leave nothing behind") {
  ServerFixture fixture;
  {
    Command warm(fixture.ExecUrl("true", kOutErr), kOutErr);
    warm.client.ReadToEnd();
  }
  REQUIRE(Eventually([&] { return fixture.server->sessions() == 0; }));
  const size_t descriptors = OpenDescriptors();
  const size_t threads = Threads();
  {
    std::vector<std::unique_ptr<Command>> commands;
    for (int i = 0; i < 200; ++i) {
      const char* script = i % 2 == 0 ? "cat" : "sleep 100";
      commands.push_back(std::make_unique<Command>(fixture.ExecUrl(script, kInOut), kInOut));
    }
    CHECK(Eventually([&] { return fixture.runtime.record->alive == 200; }));
    CHECK(Threads() == threads);
    for (int i = 0; i < 200; i += 2) {
      commands[i]->client.Send(commands[i]->in, std::to_string(i), true);
    }
    for (int i = 0; i < 200; i += 2) {
      commands[i]->client.ReadToEnd();
      CHECK(commands[i]->text(commands[i]->out) == std::to_string(i));
    }
  }
  CHECK(Eventually([&] { return fixture.runtime.record->alive == 0; }));
  CHECK(Eventually([&] { return fixture.server->sessions() == 0; }));
  CHECK(OpenDescriptors() == descriptors);
  CHECK(Threads() == threads);
}

}  // namespace
}  // namespace crisp::streaming
