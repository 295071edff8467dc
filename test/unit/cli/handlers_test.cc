// Probes against servers on loopback.
#include "cli/handlers.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "absl/strings/numbers.h"
#include "base/file.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "cli/cri_runtime.h"
#include "cli/http_get.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

// A TCP socket on 127.0.0.1 with a port of its own.
struct Socket {
  explicit Socket(bool is_listening) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(fd.valid());
    REQUIRE(bind(fd.get(), generic, size) == 0);
    REQUIRE(getsockname(fd.get(), generic, &size) == 0);
    if (is_listening) REQUIRE(listen(fd.get(), 8) == 0);
    port = ntohs(address.sin_port);
  }
  const base::UniqueFd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port = 0;
};

absl::Status Connect(int port) {
  const Pod pod = PodOf(absl::StrCat("    ports: [{name: web, containerPort: ", port, "}]\n",
                                     "    livenessProbe: {tcpSocket: {port: web}}\n"));
  const Container& container = pod.spec.containers[0];
  CriRuntime runtime("/nonexistent");  // only commands need one
  HostHandlers handlers(runtime);
  return handlers.Run(container.liveness_probe->handler,
                      {.container = &container, .container_id = "", .ip = "127.0.0.1"}, kTimeout);
}

// Answers one request with the status that its path names; returns the request.
std::string Serve(const Socket& server) {
  const base::UniqueFd peer(accept(server.fd.get(), nullptr, nullptr));
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == request.npos) {
    const ssize_t n = read(peer.get(), buffer, sizeof(buffer));
    if (n <= 0) return request;
    request.append(buffer, static_cast<size_t>(n));
  }
  (void)base::WriteAll(peer.get(), absl::StrCat("HTTP/1.1 ", request.substr(5, 3),
                                                " X\r\nContent-Length: 0\r\n\r\n"));
  return request;
}

}  // namespace

TEST_CASE("a TCP probe succeeds where somebody listens, also by the name of the port") {
  const Socket open(true), closed(false);
  CHECK(Connect(open.port) == absl::OkStatus());
  const absl::Status refused = Connect(closed.port);
  CHECK_FALSE(refused.ok());
  CHECK_THAT(std::string(refused.message()), Catch::Contains("ECONNREFUSED"));
}

TEST_CASE("an HTTP probe succeeds with a status from 200 to 399, and sends its headers") {
  const Socket server(true);
  for (const int code : {200, 204, 302, 399, 400, 404, 500}) {
    CAPTURE(code);
    std::string request;
    absl::Status result;
    {
      auto thread = base::StartThread("server", [&] { request = Serve(server); });
      REQUIRE(thread.ok());
      result = HttpProbe(absl::StrCat("http://127.0.0.1:", server.port, "/", code),
                         {{"X-Asked", "yes"}}, kTimeout);
    }
    CHECK(result.ok() == (code < 400));
    CHECK_THAT(request, Catch::Contains("X-Asked: yes\r\n"));
    CHECK_THAT(request, Catch::Contains("User-Agent: crisp-probe/"));
    if (code == 404)
      CHECK_THAT(std::string(result.message()), Catch::Contains("/404: HTTP status 404"));
  }
}

TEST_CASE("an HTTP probe ends at its timeout") {
  const Socket silent(true);  // it accepts, by its backlog, and says nothing
  const absl::Status result =
      HttpProbe(absl::StrCat("http://127.0.0.1:", silent.port, "/"), {}, absl::Milliseconds(100));
  CHECK(absl::IsUnavailable(result));
}

}  // namespace crisp::cli
