// What callers, containers and plugins can hold of crispd while others need it: threads, calls in
// flight, workers.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "async_calls.h"
#include "base/clock.h"
#include "base/file.h"
#include "fault/hostile_parts.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"
#include "test_client.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;
using Runtime = v1::RuntimeService::Stub;
using Images = v1::ImageService::Stub;

namespace {

double SecondsSince(int64_t begin) {
  return static_cast<double>(base::MonotonicNanos() - begin) / 1e9;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

size_t ThreadsOf(const Daemon& daemon) {
  return base::ListDir(absl::StrCat("/proc/", daemon.pid(), "/task")).value().size();
}

bool Lives(const Daemon& daemon) { return waitpid(daemon.pid(), nullptr, WNOHANG) == 0; }

// What kubelet asks for all the time.
void ShortCallsAnswer(Daemon& daemon) {
  const int64_t begin = base::MonotonicNanos();
  daemon.Call(daemon.runtime(), &Runtime::Version, {});
  daemon.Call(daemon.runtime(), &Runtime::Status, {});
  daemon.Call(daemon.runtime(), &Runtime::ListPodSandbox, {});
  daemon.Call(daemon.runtime(), &Runtime::ListContainers, {});
  printf("four short calls: %.3f s\n", SecondsSince(begin));
  CHECK(SecondsSince(begin) < 10);
}

// While it exists, the kernel refuses threads and processes to crispd, except `more` at a time.
class NoThreads {
 public:
  explicit NoThreads(const Daemon& daemon, size_t more = 0) : pid_(daemon.pid()) {
    const std::string root = OnV1() ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
    const std::string lines = base::ReadFile(absl::StrCat("/proc/", pid_, "/cgroup")).value();
    for (absl::string_view line : absl::StrSplit(lines, '\n')) {
      const std::vector<std::string> part = absl::StrSplit(line, absl::MaxSplits(':', 2));
      if (part.size() == 3 && part[1] == (OnV1() ? "pids" : "")) before_ = root + part[2];
    }
    REQUIRE_FALSE(before_.empty());
    group_ = absl::StrCat(root, "/crisp-load-", pid_);
    REQUIRE(base::MakeDirs(group_, 0755).ok());
    REQUIRE(Move(group_));
    const std::string max = absl::StrCat(ThreadsOf(daemon) + more);
    REQUIRE(base::WriteExisting(group_ + "/pids.max", max).ok());
  }
  // What crispd has started meanwhile is in the group, too, and may start more. On v1 no event
  // tells that a group is empty.
  ~NoThreads() {
    for (int i = 0; i < 1000 && rmdir(group_.c_str()) != 0 && errno == EBUSY; ++i) {
      const std::string pids = base::ReadFile(group_ + "/cgroup.procs").value_or("");
      for (absl::string_view pid : absl::StrSplit(pids, '\n', absl::SkipEmpty()))
        (void)base::WriteExisting(before_ + "/cgroup.procs", pid);  // it may have ended
      usleep(10'000);
    }
  }

 private:
  bool Move(const std::string& group) const {
    return base::WriteExisting(group + "/cgroup.procs", absl::StrCat(pid_)).ok();
  }
  const pid_t pid_;
  std::string before_, group_;
};

v1::ExecSyncRequest Sleep(const std::string& container) {
  v1::ExecSyncRequest request;
  request.set_container_id(container);
  request.add_cmd("sleep");
  request.add_cmd("60");
  return request;
}

std::string ExecUrl(Pod& pod, const std::string& container) {
  v1::ExecRequest request;
  request.set_container_id(container);
  request.add_cmd("echo");
  request.add_cmd("done");
  request.set_stdout(true);
  return pod.daemon().Call(pod.daemon().runtime(), &Runtime::Exec, request).url();
}

using Client = streaming::WebSocketClient;

std::unique_ptr<Client> BeginExec(Pod& pod, const std::string& container) {
  auto client = std::make_unique<Client>(ExecUrl(pod, container));
  client->Upgrade("v5.channel.k8s.io");
  return client;
}

}  // namespace

TEST_CASE("crispd lives through a time in which the kernel refuses threads") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "100000"});
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image("registry.k8s.io/pause:3.9");
  v1::PullImageResponse pulled;
  v1::RemoveImageRequest remove;
  *remove.mutable_image() = pull.image();
  bool named = false;
  // Enough for the call, for its pull, for the first layer, ...
  for (size_t more = 0; more < 8; ++more) {
    const NoThreads none(daemon, more);
    for (int i = 0; i < 5; ++i) {
      const grpc::Status status =
          daemon.Try(daemon.images(), &Images::PullImage, pull, &pulled, 20);
      named |= absl::StrContains(status.error_message(), "cannot start a thread for ");
      INFO(i << " with " << more << ": " << status.error_message());
      REQUIRE((status.ok() || status.error_code() == Code::RESOURCE_EXHAUSTED));
      v1::PodSandboxStatsRequest stats;
      stats.set_pod_sandbox_id(pod.id());
      v1::PodSandboxStatsResponse answer;
      (void)daemon.Try(daemon.runtime(), &Runtime::PodSandboxStats, stats, &answer, 20);
      std::string other;
      if (pod.TryCreate(pod.ContainerConfig({"true"}), &other).ok()) (void)pod.TryStart(other);
      v1::RemoveImageResponse removed;
      (void)daemon.Try(daemon.images(), &Images::RemoveImage, remove, &removed, 20);
      REQUIRE(Lives(daemon));
    }
  }
  CHECK(named);
  ShortCallsAnswer(daemon);
  CHECK(daemon.Try(daemon.images(), &Images::PullImage, pull, &pulled).ok());
  CHECK(pod.Exec(container, {"echo", "alive"}).out == "alive\n");
  pod.Run({"sleep", "100000"});
}

TEST_CASE("1060 ExecSyncs of a long command leave lists, Status and StopContainer alone") {
  Daemon daemon;
  Pod pod(daemon);
  std::vector<std::string> containers;  // a shim takes 256 execs
  for (int i = 0; i < 18; ++i) containers.push_back(pod.Run({"sleep", "100000"}));
  const std::string victim = pod.Run({"sleep", "100000"});
  {
    AsyncCalls<v1::ExecSyncResponse> execs;
    for (size_t i = 0; i < 1060; ++i) {
      execs.Begin(daemon.runtime(), &Runtime::AsyncExecSync, Sleep(containers[i % 18]));
    }
    for (int i = 0; i < 1060 - 512; ++i) {
      const grpc::Status refused = execs.Next();
      REQUIRE(refused.error_code() == Code::RESOURCE_EXHAUSTED);
      REQUIRE(refused.error_message() == "too many ExecSync calls at once: at most 512");
    }
    ShortCallsAnswer(daemon);
    const int64_t begin = base::MonotonicNanos();
    pod.StopContainer(victim, 0);
    CHECK(SecondsSince(begin) < 10);
    CHECK(pod.ContainerStatus(victim).state() == v1::CONTAINER_EXITED);
  }  // the clients leave
  CHECK(Eventually([&] {
    v1::ExecSyncResponse response;
    v1::ExecSyncRequest request = Sleep(containers[0]);
    request.set_cmd(1, "0");
    return daemon.Try(daemon.runtime(), &Runtime::ExecSync, request, &response).ok();
  }));
}

TEST_CASE("1500 StopContainers at once are all taken, and none waits for another") {
  Daemon daemon;
  Pod pod(daemon);
  std::vector<std::string> deaf;
  for (int i = 0; i < 3; ++i) {
    deaf.push_back(pod.Run({"sh", "-c", "trap '' TERM; echo set; while :; do sleep 1; done"}));
    pod.AwaitLog(deaf.back(), "set");
  }
  AsyncCalls<v1::StopContainerResponse> stops;
  const int64_t begin = base::MonotonicNanos();
  for (int i = 0; i < 1500; ++i) {
    v1::StopContainerRequest request;
    request.set_container_id(deaf[static_cast<size_t>(i) % 3]);
    request.set_timeout(15);
    stops.Begin(daemon.runtime(), &Runtime::AsyncStopContainer, request);
  }
  CHECK(Eventually([&] { return ThreadsOf(daemon) >= 1500; }, 14));
  ShortCallsAnswer(daemon);
  CHECK(pod.Exec(deaf[0], {"echo", "alive"}).out == "alive\n");
  CHECK(SecondsSince(begin) < 15);
  CHECK(stops.Finish() == 1500);
  printf("1500 stops with a grace period of 15 s: %.1f s\n", SecondsSince(begin));
  CHECK(SecondsSince(begin) < 30);
}

TEST_CASE("a container that stops its execs delays no exec elsewhere") {
  Daemon daemon;
  Pod hostile(daemon), quiet(daemon);
  const std::string attacker = hostile.Run(StopsOthers());
  const std::string other = quiet.Run({"sleep", "100000"});
  hostile.AwaitLog(attacker, "ready");
  std::vector<std::unique_ptr<Client>> stuck;
  for (int i = 0; i < 40; ++i) stuck.push_back(BeginExec(hostile, attacker));
  const int64_t begin = base::MonotonicNanos();
  for (int i = 0; i < 5; ++i) {
    const std::unique_ptr<Client> client = BeginExec(quiet, other);
    client->ReadToEnd();
    CHECK(client->channels['\1'] == "done\n");
  }
  printf("five execs beside 40 that do not start: %.3f s\n", SecondsSince(begin));
  CHECK(SecondsSince(begin) < 5);
}

TEST_CASE("ExecSyncs that their container keeps from starting end when their clients leave") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string attacker = pod.Run(StopsOthers());
  pod.AwaitLog(attacker, "ready");
  const size_t before = ThreadsOf(daemon);
  {
    AsyncCalls<v1::ExecSyncResponse> execs;
    for (int i = 0; i < 30; ++i) {
      execs.Begin(daemon.runtime(), &Runtime::AsyncExecSync, Sleep(attacker), /*seconds=*/100'000);
    }
    REQUIRE(Eventually([&] { return ThreadsOf(daemon) >= before + 25; }));
  }
  // gRPC keeps one or two threads waiting for calls.
  CHECK(Eventually([&] { return ThreadsOf(daemon) <= before + 2; }));
}

TEST_CASE("DELs that hang keep neither another pod's lease nor the cgroups of exits") {
  const HoldPlugin plugin;
  Daemon daemon({"--cni-bin-dir", plugin.dir()});
  plugin.Join(daemon);
  std::vector<std::unique_ptr<Pod>> hung;
  for (int i = 0; i < 6; ++i) {
    hung.push_back(std::make_unique<Pod>(daemon));
    plugin.Make("hang-" + hung.back()->id());
  }
  Pod failing(daemon), healthy(daemon);
  plugin.Make("fail-" + failing.id());
  const std::string container = healthy.Run({"sleep", "100000"});
  const std::string cgroup = healthy.CgroupDirectory(container, OnV1() ? "pids" : "none");
  // Each returns an error at its deadline; the rest is done in the background.
  AsyncCalls<v1::StopPodSandboxResponse> stops;
  for (const std::unique_ptr<Pod>& pod : hung) {
    v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(pod->id());
    stops.Begin(daemon.runtime(), &Runtime::AsyncStopPodSandbox, request, 3);
  }
  CHECK(stops.Finish() == 0);
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(failing.id());
  v1::StopPodSandboxResponse response;
  CHECK_FALSE(daemon.Try(daemon.runtime(), &Runtime::StopPodSandbox, request, &response).ok());
  plugin.Remove("fail-" + failing.id());
  int64_t begin = base::MonotonicNanos();
  CHECK(Eventually([&] { return Exists(plugin.File("released-" + failing.id())); }, 20));
  printf("the other pod's DEL: after %.1f s\n", SecondsSince(begin));
  begin = base::MonotonicNanos();
  REQUIRE(kill(healthy.HostPid(container), SIGKILL) == 0);
  CHECK(Eventually([&] { return !Exists(cgroup); }, 10));
  printf("the cgroup of an exit: after %.1f s\n", SecondsSince(begin));
  for (const std::unique_ptr<Pod>& pod : hung) plugin.Remove("hang-" + pod->id());
}
