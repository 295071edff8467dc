// crispd out of descriptors: what cannot be read now is not taken for lost.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// Up to 20 s.
template <typename Condition>
bool Eventually(const Condition& condition) {
  for (int i = 0; i < 4000 && !condition(); ++i) usleep(5000);
  return condition();
}

}  // namespace

TEST_CASE("descriptors that run out at any point of a start lose nothing") {
  Daemon daemon;
  Pod pod(daemon);
  // Each keeps a few: more in all than anything before the records needs for a moment.
  std::map<std::string, int> pids;
  for (int i = 0; i < 8; ++i) {
    const std::string container = pod.Run({"sleep", "1000"});
    pids[container] = pod.HostPid(container);
  }
  daemon.Kill9();
  int failed = 0;
  for (int descriptors = 8; !daemon.ServesWith(descriptors); ++descriptors) {
    REQUIRE(++failed < 100);
  }
  CHECK(failed > 0);
  daemon.Start();
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  for (const auto& [container, pid] : pids) {
    REQUIRE(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
    CHECK(pod.HostPid(container) == pid);
    CHECK(pod.Exec(container, {"echo", "alive"}).out == "alive\n");
  }
  CHECK(base::ListDir(daemon.root() + "/quarantine").value().empty());
}

TEST_CASE("an exit that cannot be read now is told as soon as it can be") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container =
      pod.Run({"sh", "-c", "trap 'exit 7' TERM; echo set; sleep 1000 & wait"});
  REQUIRE(Eventually([&] { return pod.LogText(container) == "set\n"; }));
  const int pid = pod.HostPid(container);
  rlimit files;
  REQUIRE(prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &files) == 0);
  const rlimit none = {0, files.rlim_max};
  REQUIRE(prlimit(daemon.pid(), RLIMIT_NOFILE, &none, nullptr) == 0);
  REQUIRE(kill(pid, SIGTERM) == 0);
  CHECK(
      Eventually([&] { return daemon.Log().find("an exit cannot be read") != std::string::npos; }));
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  REQUIRE(prlimit(daemon.pid(), RLIMIT_NOFILE, &files, nullptr) == 0);
  CHECK(pod.WaitExited(container).exit_code() == 7);
  CHECK(pod.ContainerStatus(container).reason() == "Error");
}
