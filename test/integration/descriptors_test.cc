// crispd without free descriptors: a file that cannot be opened for that reason does not count as
// lost.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// While it exists, crispd cannot open another descriptor.
class NoDescriptors {
 public:
  explicit NoDescriptors(const Daemon& daemon) : pid_(daemon.pid()) {
    REQUIRE(prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_) == 0);
    const rlimit none = {0, before_.rlim_max};
    REQUIRE(prlimit(pid_, RLIMIT_NOFILE, &none, nullptr) == 0);
  }
  ~NoDescriptors() { prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }

 private:
  const pid_t pid_;
  rlimit before_ = {};
};

// UBSan needs a pipe when it checks an object of a class for the first time: crispd does once, with
// descriptors, what it is to do without.
void WarmUp(Pod& pod) {
  const std::string container = pod.Run({"sh", "-c", "exit 7"});
  pod.WaitExited(container);
  pod.StopContainer(std::string(64, '0'), 1);
}

// Whether crispd keeps a descriptor of the process.
bool HasPidfd(const Daemon& daemon, int pid) {
  const std::string directory = absl::StrCat("/proc/", daemon.pid(), "/fdinfo/");
  const std::string line = absl::StrCat("Pid:\t", pid, "\n");
  const std::vector<std::string> names = base::ListDir(directory).value();
  for (const std::string& name : names) {
    const auto info = base::ReadFile(directory + name);  // it may be closed by now
    if (info.ok() && info->find(line) != std::string::npos) return true;
  }
  return false;
}

std::string RunTrap(Pod& pod) {
  std::string container = pod.Run({"sh", "-c", "trap 'exit 7' TERM; echo set; sleep 1000 & wait"});
  REQUIRE(Eventually([&] { return pod.LogText(container) == "set\n"; }));
  return container;
}

}  // namespace

TEST_CASE("nothing is lost if descriptors run out at any point of a start") {
  Daemon daemon;
  Pod pod(daemon);
  // Each container needs a few descriptors: together more than the steps before the records need.
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
  CHECK(access((daemon.root() + "/quarantine").c_str(), F_OK) != 0);  // nothing was put there
}

TEST_CASE("the end of a pause is noticed also if there was no descriptor to watch it") {
  Daemon daemon;
  Pod pod(daemon);
  const int pause = pod.HostPid(pod.id());
  daemon.Kill9();
  // It watches nothing with the last quarter of its descriptors.
  daemon.StartWith(/*descriptors=*/480, /*first=*/360);
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  CHECK_FALSE(HasPidfd(daemon, pause));
  REQUIRE(kill(pause, SIGKILL) == 0);
  CHECK(Eventually([&] { return pod.Status().state() == v1::SANDBOX_NOTREADY; }));
}

TEST_CASE("an exit is reported also without descriptors, and written down once there are some") {
  Daemon daemon;
  Pod pod(daemon);
  WarmUp(pod);
  const std::string container = RunTrap(pod);
  const int pid = pod.HostPid(container);
  {
    const NoDescriptors none(daemon);
    REQUIRE(kill(pid, SIGTERM) == 0);
    CHECK(pod.WaitExited(container).exit_code() == 7);
    CHECK(pod.ContainerStatus(container).reason() == "Error");
  }
  const std::string record = daemon.root() + "/containers/" + container + "/record.json";
  CHECK(Eventually(
      [&] { return base::ReadFile(record).value().find("finished_at_ns") != std::string::npos; }));
}

TEST_CASE("without descriptors the exit record of a dead shim does not count as missing") {
  Daemon daemon;
  Pod pod(daemon);
  WarmUp(pod);
  const std::string container = RunTrap(pod);
  const std::string stat =
      base::ReadFile(absl::StrCat("/proc/", pod.HostPid(container), "/stat")).value();
  const int shim = atoi(stat.c_str() + stat.rfind(')') + 4);
  {
    const NoDescriptors none(daemon);
    REQUIRE(kill(shim, SIGKILL) == 0);
    CHECK(Eventually(
        [&] { return daemon.Log().find("exit record cannot be read") != std::string::npos; }));
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  }
  CHECK(pod.WaitExited(container).reason() == "ShimDied");
}

TEST_CASE("crispd takes all the descriptors it may have, and its containers do not inherit that") {
  rlimit files, before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit ours = {before.rlim_max / 2, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &ours) == 0);
  Daemon daemon;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &files) == 0);
  CHECK(files.rlim_cur == files.rlim_max);
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  REQUIRE(prlimit(pod.HostPid(container), RLIMIT_NOFILE, nullptr, &files) == 0);
  CHECK(files.rlim_cur == ours.rlim_cur);
  CHECK(pod.Exec(container, {"sh", "-c", "ulimit -Sn"}).out == absl::StrCat(ours.rlim_cur, "\n"));
}

TEST_CASE("a stop signal that could not be sent is sent by the next StopContainer") {
  Daemon daemon;
  Pod pod(daemon);
  WarmUp(pod);
  const std::string container = RunTrap(pod);
  {
    const NoDescriptors none(daemon);
    v1::StopContainerRequest request;
    request.set_container_id(container);
    request.set_timeout(20);
    v1::StopContainerResponse response;
    CHECK(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::StopContainer, request, &response)
              .error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  pod.StopContainer(container, 20);
  CHECK(pod.WaitExited(container).exit_code() == 7);
}
