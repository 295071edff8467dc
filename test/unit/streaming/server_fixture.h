// A server with the fake runtime, and counters of the test process.
#pragma once

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fake_runtime.h"
#include "streaming/server.h"
#include "test/unit/eventually.h"
#include "test_client.h"

namespace crisp::streaming {

inline constexpr Streams kIn = {true, false, false, false};
inline constexpr Streams kOut = {false, true, false, false};
inline constexpr Streams kOutErr = {false, true, true, false};
inline constexpr Streams kInOut = {true, true, false, false};
inline constexpr Streams kTerminal = {true, true, false, true};

struct ServerFixture {
  explicit ServerFixture(const ServerOptions& options = ServerOptions()) {
    absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(options, &runtime);
    REQUIRE(started.ok());
    server = *std::move(started);
  }

  std::string Url(Request request) {
    absl::StatusOr<std::string> url = server->Url(std::move(request));
    REQUIRE(url.ok());
    return *url;
  }
  std::string ExecUrl(const std::string& script, const Streams& streams) {
    return Url(ExecRequest{"c", {"sh", "-c", script}, streams});
  }

  FakeRuntime runtime;
  std::unique_ptr<Server> server;
};

using test::Eventually;
// Whether `condition` holds throughout half a second.
bool Stays(const std::function<bool()>& condition);

// Whether the receive buffer of the client (kToClient) or of the server (kToServer) is full. The
// sender's kernel then probes for room, and proc(5) shows that timer in /proc/net/tcp.
enum class Direction { kToClient, kToServer };
bool IsFull(const Connection& client, Direction direction);

// A file that a script awaits with `script()` and that the test makes with Open().
class Gate {
 public:
  Gate();
  ~Gate();
  void Open() const;
  std::string script() const { return "while ! test -e " + path_ + "; do sleep 0.01; done"; }

 private:
  const std::string path_;
};

size_t OpenDescriptors();
size_t Threads();
size_t ResidentBytes();
// How much it may grow in a test of bounded memory. AddressSanitizer keeps freed memory.
#ifdef __SANITIZE_ADDRESS__
inline constexpr size_t kResidentSlack = 64 << 20;
#else
inline constexpr size_t kResidentSlack = 4 << 20;
#endif

// A listening TCP socket on 127.0.0.1, or on ::1.
struct Target {
  explicit Target(int family = AF_INET);
  base::UniqueFd Accept();
  base::UniqueFd fd;
  uint16_t port = 0;
};

// The streams of a remote command on a SPDY connection, opened in the clients' order.
struct Command {
  Command(const std::string& url, const Streams& streams,
          const std::string& protocol = "v4.channel.k8s.io");
  SpdyClient client;
  uint32_t error = 0, in = 0, out = 0, err = 0, resize = 0;
  const std::string& text(uint32_t id) { return client.streams[id].data; }
};

}  // namespace crisp::streaming
