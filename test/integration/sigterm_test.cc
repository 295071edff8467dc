// SIGTERM: crispd stops serving at once and tells its clients; containers keep running.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "integration/pod.h"
#include "linux/spawn.h"

using namespace crisp;
using namespace crisp::test;

TEST_CASE("SIGTERM ends crispd at once, even while a call waits") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container =
      pod.Run({"sh", "-c", "trap 'echo signalled' TERM; echo ready; while :; do sleep 1; done"});
  pod.AwaitLog(container, "ready");  // the trap is set
  std::thread stop([&] {
    v1::StopContainerRequest request;
    request.set_container_id(container);
    request.set_timeout(50);
    v1::StopContainerResponse response;
    (void)daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::StopContainer, request,
                     &response);
  });
  pod.AwaitLog(container, "signalled");  // StopContainer waits for the grace period from here on
  const int64_t begin = base::MonotonicNanos();
  daemon.Terminate();
  CHECK(base::MonotonicNanos() - begin < int64_t{20} * 1'000'000'000);
  CHECK(daemon.exit_status == 0);
  stop.join();
  daemon.Start();
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
}

TEST_CASE("an exec that SIGTERM ends fails with the reason") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  for (const char* transport : {"spdy", "websocket"}) {
    absl::StatusOr<linux::RunResult> exec;
    std::thread client([&] {
      exec = linux::Run({.path = getenv("CRISP_TEST_CRICTL"),
                         .args = {"crictl", "--runtime-endpoint=unix://" + daemon.socket(), "exec",
                                  absl::StrCat("--transport=", transport), container, "sh", "-c",
                                  absl::StrCat("touch /tmp/", transport, "; exec sleep 1000")},
                         .env = {}},
                        "", {});
    });
    const auto runs = [&] {
      return pod.Exec(container, {"ls", absl::StrCat("/tmp/", transport)}).exit_code == 0;
    };
    bool running = runs();
    for (int i = 0; i < 2000 && !running; ++i) {
      usleep(5000);
      running = runs();
    }
    daemon.Terminate();
    client.join();
    REQUIRE(running);
    REQUIRE(exec.ok());
    CHECK(exec->exit_code == 1);
    CHECK(exec->err.find("crispd is stopping") != std::string::npos);
    daemon.Start();
  }
}
