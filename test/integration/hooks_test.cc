// Execs in flight when crispd ends.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/clock.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

TEST_CASE("a hook in flight survives kill -9 and SIGTERM of crispd, and ends at its timeout") {
  for (const bool kill9 : {true, false}) {
    CAPTURE(kill9);
    Daemon daemon;
    Pod pod(daemon);
    const std::string container = pod.Run({"sleep", "1000"});
    // Of the calls, which end with crispd. Checked on this thread: Catch2 has no other.
    grpc::Status of_one, of_late;
    const auto hook = [&](const std::string& script, int timeout, grpc::Status& status) {
      return std::thread([&daemon, &status, container, script, timeout] {
        v1::ExecSyncRequest request;
        request.set_container_id(container);
        for (const std::string& word : {std::string("sh"), std::string("-c"), script})
          request.add_cmd(word);
        request.set_timeout(timeout);
        v1::ExecSyncResponse response;
        status =
            daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::ExecSync, request, &response);
      });
    };
    std::thread one = hook(
        "echo >/began; while [ ! -e /go ]; do sleep 0.01; done; echo x; echo >/ended", 60, of_one);
    std::thread late = hook("echo >/late; exec sleep 4321", 20, of_late);
    const auto wait_for = [&](const std::string& script) {
      const int64_t give_up = base::MonotonicNanos() + int64_t{60} * 1'000'000'000;
      while (base::MonotonicNanos() < give_up) {
        if (pod.Exec(container, {"sh", "-c", script}).exit_code == 0) return true;
        usleep(20'000);
      }
      return false;
    };
    CHECK(wait_for("test -e /began && test -e /late"));
    kill9 ? daemon.Kill9() : daemon.Terminate();
    one.join();
    late.join();
    CHECK_FALSE(of_one.ok());
    CHECK_FALSE(of_late.ok());
    daemon.Start();
    // The brackets keep the pattern from finding itself.
    const std::string late_runs = "grep -qs '4[3]21' /proc/[0-9]*/cmdline";
    CHECK(pod.Exec(container, {"sh", "-c", late_runs + " && echo >/go"}).exit_code == 0);
    CHECK(wait_for("test -e /ended"));
    CHECK(wait_for("! " + late_runs));
  }
}
