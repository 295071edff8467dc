// Probes against servers on loopback.
#include "cli/handlers.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "cli/http_get.h"
#include "fake_runtime.h"
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

// The container's liveness probe, or its preStop hook, against a pod on 127.0.0.1.
absl::Status Run(const std::string& container_fields, Purpose purpose) {
  const Pod pod = PodOf(container_fields);
  const Container& container = pod.spec.containers[0];
  FakeRuntime runtime;
  HostHandlers handlers(runtime);
  return handlers.Run(
      purpose == Purpose::kProbe ? container.liveness_probe->handler : *container.pre_stop,
      {.container = &container, .container_id = "", .ip = "127.0.0.1"}, purpose, kTimeout);
}

absl::Status Connect(int port) {
  return Run(absl::StrCat("    ports: [{name: web, containerPort: ", port, "}]\n",
                          "    livenessProbe: {tcpSocket: {port: web}}\n"),
             Purpose::kProbe);
}

// Answers one request with the status that its path names and with more headers, each with its line
// break; returns the request.
std::string Serve(const Socket& server, const std::string& headers = "") {
  const base::UniqueFd peer(accept(server.fd.get(), nullptr, nullptr));
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == request.npos) {
    const ssize_t n = read(peer.get(), buffer, sizeof(buffer));
    if (n <= 0) return request;
    request.append(buffer, static_cast<size_t>(n));
  }
  (void)base::WriteAll(peer.get(),
                       absl::StrCat("HTTP/1.1 ", request.substr(5, 3), " X\r\n", headers,
                                    "Connection: close\r\nContent-Length: 0\r\n\r\n"));
  return request;
}

}  // namespace

TEST_CASE("a TCP probe succeeds where somebody listens, also by the name of the port") {
  const Socket open(true), closed(false);
  CHECK(Connect(open.port) == absl::OkStatus());
  const absl::Status refused = Connect(closed.port);
  CHECK_FALSE(refused.ok());
  CHECK_THAT(std::string(refused.message()), Catch::Contains("ECONNREFUSED"));
  // Where ::1 is the first address of this name, too.
  CHECK(Run(absl::StrCat("    livenessProbe: {tcpSocket: {host: localhost, port: ", open.port,
                         "}}\n"),
            Purpose::kProbe) == absl::OkStatus());
}

TEST_CASE("of a command its exit code and its time count, but not that the runtime fails") {
  FakeRuntime runtime;
  HostHandlers handlers(runtime);
  Handler handler;
  handler.exec = {"test"};
  const auto run = [&] { return handlers.Run(handler, {}, Purpose::kProbe, kTimeout); };
  CHECK(run() == absl::OkStatus());
  runtime.exec_result = {.exit_code = 3, .output = "why\n"};
  CHECK(run() == absl::FailedPreconditionError("command ended with exit code 3: why\\n"));
  runtime.exec_error = absl::DeadlineExceededError("command timed out");
  CHECK(run() == runtime.exec_error);
  runtime.exec_error = absl::UnavailableError("socket closed");
  CHECK(run() == absl::AbortedError("socket closed"));
}

TEST_CASE("an HTTP request sends its headers, and its status is that of the answer") {
  const Socket server(true);
  for (const int code : {200, 302, 404}) {
    CAPTURE(code);
    std::string request;
    absl::StatusOr<long> status = 0;
    {
      auto thread = base::StartThread("server", [&] { request = Serve(server); });
      REQUIRE(thread.ok());
      status = HttpStatus(absl::StrCat("http://127.0.0.1:", server.port, "/", code),
                          {{"X-Asked", "yes"}, {"X-Empty", ""}}, kTimeout);
    }
    REQUIRE(status.ok());
    CHECK(*status == code);
    CHECK_THAT(request, Catch::Contains("X-Asked: yes\r\n"));
    CHECK_THAT(request, Catch::Contains("X-Empty:\r\n"));
    CHECK_THAT(request, Catch::Contains("User-Agent: crisp-probe/"));
  }
}

TEST_CASE("an HTTP probe needs a status from 200 to 399, a hook any answer") {
  const Socket server(true), closed(false);
  const auto get = [](int port, int code) {
    return absl::StrCat("{httpGet: {port: ", port, ", path: /", code, "}}");
  };
  for (const int code : {200, 204, 302, 399, 400, 404, 500}) {
    for (const Purpose purpose : {Purpose::kProbe, Purpose::kHook}) {
      CAPTURE(code, purpose == Purpose::kHook);
      absl::Status result;
      {
        auto thread = base::StartThread("server", [&] { Serve(server); });
        REQUIRE(thread.ok());
        result = Run(absl::StrCat("    livenessProbe: ", get(server.port, code),
                                  "\n    lifecycle: {preStop: ", get(server.port, code), "}\n"),
                     purpose);
      }
      CHECK(result.ok() == (purpose == Purpose::kHook || code < 400));
      if (!result.ok() && code == 404)
        CHECK_THAT(std::string(result.message()), Catch::Contains("/404: HTTP status 404"));
    }
  }
  const std::string hook = absl::StrCat("    lifecycle: {preStop: ", get(closed.port, 200), "}\n");
  CHECK(absl::IsUnavailable(Run(hook, Purpose::kHook)));
}

TEST_CASE("redirects are followed on the same host, and to another one they are the answer") {
  const Socket server(true);
  const auto status_of = [&](const std::string& target, int requests) {
    auto thread = base::StartThread("server", [&, requests] {
      // Other statuses do not lead anywhere.
      for (int i = 0; i < requests; ++i) Serve(server, absl::StrCat("Location: ", target, "\r\n"));
    });
    REQUIRE(thread.ok());
    return HttpStatus(absl::StrCat("http://127.0.0.1:", server.port, "/302"), {}, kTimeout);
  };
  CHECK(status_of("/404", 2).value() == 404);
  CHECK(status_of(absl::StrCat("http://127.0.0.1:", server.port, "/500"), 2).value() == 500);
  CHECK(status_of(absl::StrCat("http://localhost:", server.port, "/500"), 1).value() == 302);
  CHECK_THAT(std::string(status_of("/302", 10).status().message()),
             Catch::EndsWith("/302: redirected 10 times"));
}

TEST_CASE("a request may take as long as its probe or the grace period, and ends without them") {
  CHECK(RequestTime(absl::Seconds(1)) == absl::Seconds(1));
  CHECK(RequestTime(absl::Seconds(120)) == absl::Seconds(120));
  CHECK(RequestTime(absl::InfiniteDuration()) == absl::Seconds(30));
}

TEST_CASE("an HTTP request ends at its timeout") {
  const Socket silent(true);  // it accepts, by its backlog, and says nothing
  const absl::StatusOr<long> status =
      HttpStatus(absl::StrCat("http://127.0.0.1:", silent.port, "/"), {}, absl::Milliseconds(100));
  CHECK(absl::IsUnavailable(status.status()));
}

TEST_CASE("a pause without a timeout can be interrupted, one of a stop takes its time") {
  FakeRuntime runtime;
  HostHandlers handlers(runtime);
  Handler hour, instant;
  hour.sleep = 3600;
  instant.sleep = 0;
  absl::Status result;
  {
    auto thread = base::StartThread(
        "hook", [&] { result = handlers.Run(hour, {}, Purpose::kHook, absl::InfiniteDuration()); });
    REQUIRE(thread.ok());
    handlers.Interrupt();
  }
  CHECK(absl::IsCancelled(result));
  CHECK(handlers.Run(instant, {}, Purpose::kHook, absl::Seconds(1)) == absl::OkStatus());
  CHECK(handlers.Run(hour, {}, Purpose::kHook, absl::Milliseconds(1)) == absl::OkStatus());
}

}  // namespace crisp::cli
