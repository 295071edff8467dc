// UpdateContainerResources and UpdatePodSandboxResources.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

using Runtime = v1::RuntimeService::Stub;
using Resources = v1::LinuxContainerResources;

grpc::Status TryUpdate(Endpoint& daemon, const std::string& container,
                       const std::function<void(Resources&)>& change) {
  v1::UpdateContainerResourcesRequest request;
  request.set_container_id(container);
  change(*request.mutable_linux());
  v1::UpdateContainerResourcesResponse response;
  return daemon.Try(daemon.runtime(), &Runtime::UpdateContainerResources, request, &response);
}

std::string Memory(Pod& pod, const std::string& container) {
  return CgroupFile(pod, container, "memory", "memory.limit_in_bytes", "memory.max");
}

// "quota period".
std::string Bandwidth(Pod& pod, const std::string& container) {
  if (!OnV1()) return CgroupFile(pod, container, "cpu", "", "cpu.max");
  return absl::StrCat(CgroupFile(pod, container, "cpu", "cpu.cfs_quota_us", ""), " ",
                      CgroupFile(pod, container, "cpu", "cpu.cfs_period_us", ""));
}

std::string Shares(Pod& pod, const std::string& container) {
  return CgroupFile(pod, container, "cpu", "cpu.shares", "cpu.weight");
}

Resources Reported(Pod& pod, const std::string& container) {
  return pod.ContainerStatus(container).resources().linux();
}

void Limited(v1::ContainerConfig& config) {
  Resources& resources = *config.mutable_linux()->mutable_resources();
  resources.set_cpu_shares(512);
  resources.set_cpu_period(100000);
  resources.set_cpu_quota(50000);
  resources.set_memory_limit_in_bytes(64 << 20);
}

}  // namespace

TEST_CASE("an update reaches the kernel and the status, and both survive a restart of crispd") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, Limited);
  REQUIRE(Bandwidth(pod, container) == "50000 100000");
  daemon.Check(TryUpdate(daemon, container, [](Resources& update) {
    update.set_cpu_quota(20000);
    update.set_memory_limit_in_bytes(128 << 20);
  }));
  const auto check = [&] {
    CHECK(Bandwidth(pod, container) == "20000 100000");
    CHECK(Memory(pod, container) == absl::StrCat(128 << 20));
    const Resources reported = Reported(pod, container);
    CHECK(reported.cpu_quota() == 20000);
    CHECK(reported.cpu_period() == 100000);
    CHECK(reported.cpu_shares() == 512);
    CHECK(reported.memory_limit_in_bytes() == 128 << 20);
  };
  check();
  daemon.Terminate();
  daemon.Start();
  check();
  // Smaller again, and no quota.
  daemon.Check(TryUpdate(daemon, container, [](Resources& update) {
    update.set_cpu_quota(-1);
    update.set_memory_limit_in_bytes(32 << 20);
  }));
  CHECK(absl::StrContains("-1 100000|max 100000", Bandwidth(pod, container)));
  CHECK(Memory(pod, container) == absl::StrCat(32 << 20));
  CHECK(pod.Exec(container, {"true"}).exit_code == 0);
}

TEST_CASE("limits that an update omits stay: kubelet's cpu manager sends only a cpuset") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, Limited);
  const std::string shares = Shares(pod, container);
  pod.daemon().Check(
      TryUpdate(pod.daemon(), container, [](Resources& update) { update.set_cpuset_cpus("0"); }));
  CHECK(CgroupFile(pod, container, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0");
  CHECK(Shares(pod, container) == shares);
  CHECK(Bandwidth(pod, container) == "50000 100000");
  CHECK(Memory(pod, container) == absl::StrCat(64 << 20));
  pod.daemon().Check(TryUpdate(pod.daemon(), container, [](Resources&) {}));
  CHECK(Reported(pod, container).cpuset_cpus() == "0");
  CHECK(Reported(pod, container).memory_limit_in_bytes() == 64 << 20);
}

TEST_CASE("an update that fails changes nothing") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, Limited);
  const std::string before = Reported(pod, container).SerializeAsString();
  const std::string shares = Shares(pod, container);
  // The kernel refuses the second value after the first was written.
  const grpc::Status refused = TryUpdate(pod.daemon(), container, [](Resources& update) {
    update.set_cpu_shares(2048);
    update.set_cpuset_cpus("4095");
  });
  CHECK_FALSE(refused.ok());
  CHECK(absl::StrContains(refused.error_message(), "4095"));
  CHECK(Shares(pod, container) == shares);
  CHECK(Reported(pod, container).SerializeAsString() == before);

  const grpc::Status nonsense = TryUpdate(pod.daemon(), container, [](Resources& update) {
    update.set_cpu_shares(2048);
    update.set_cpu_quota(-7);
  });
  CHECK(nonsense.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(absl::StrContains(nonsense.error_message(), "cpu_quota -7"));
  // Valid alone, but not together with the limits in force.
  const grpc::Status swap = TryUpdate(pod.daemon(), container, [](Resources& update) {
    update.set_memory_swap_limit_in_bytes(32 << 20);
  });
  CHECK(swap.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(absl::StrContains(swap.error_message(), "memory_swap_limit_in_bytes"));
  CHECK(Reported(pod, container).SerializeAsString() == before);
}

TEST_CASE("an update does not set a memory limit below the usage") {
  Pod pod(Daemon::Shared());
  // 20 MB in a variable of the shell.
  const std::string container = pod.Run(
      {"sh", "-c",
       "x=0123456789; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do "
       "x=$x$x; [ ${#x} -gt 20000000 ] && break; done; echo ready; sleep 1000; true"},
      [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(256 << 20);
      });
  pod.AwaitLog(container, "ready");  // it holds the memory
  const grpc::Status refused = TryUpdate(pod.daemon(), container, [](Resources& update) {
    update.set_memory_limit_in_bytes(8 << 20);
  });
  CHECK(refused.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(absl::StrContains(refused.error_message(), absl::StrCat(8 << 20)));
  CHECK(Memory(pod, container) == absl::StrCat(256 << 20));
  CHECK(pod.Exec(container, {"true"}).exit_code == 0);
}

TEST_CASE("a container that is updated before its start starts with the new limits") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Create(pod.ContainerConfig({"sleep", "1000"}, Limited));
  pod.daemon().Check(TryUpdate(pod.daemon(), container, [](Resources& update) {
    update.set_memory_limit_in_bytes(96 << 20);
  }));
  CHECK(Reported(pod, container).memory_limit_in_bytes() == 96 << 20);
  pod.Start(container);
  CHECK(Memory(pod, container) == absl::StrCat(96 << 20));
  CHECK(Bandwidth(pod, container) == "50000 100000");
}

TEST_CASE("containers that have exited or do not exist cannot be updated") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"true"});
  (void)pod.WaitExited(container);
  const auto shares = [](Resources& update) { update.set_cpu_shares(100); };
  CHECK(TryUpdate(pod.daemon(), container, shares).error_code() ==
        grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(TryUpdate(pod.daemon(), "0123456789", shares).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("limits in the record that are not in the kernel yet are applied when crispd starts") {
  // As after a crash between the write to the record and the write to the cgroup.
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, Limited);
  const std::string file =
      CgroupPath(pod, container, "memory", "memory.limit_in_bytes", "memory.max");
  daemon.Terminate();
  REQUIRE(base::WriteExisting(file, absl::StrCat(48 << 20)).ok());
  daemon.Start();
  CHECK(Memory(pod, container) == absl::StrCat(64 << 20));
}

TEST_CASE("the pod's resources are kept for inspectp") {
  Daemon daemon;
  Pod pod(daemon);
  v1::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(pod.id());
  request.mutable_resources()->set_cpu_shares(777);
  daemon.Call(daemon.runtime(), &Runtime::UpdatePodSandboxResources, request);
  request.clear_resources();
  request.mutable_overhead()->set_memory_limit_in_bytes(1234567);
  daemon.Call(daemon.runtime(), &Runtime::UpdatePodSandboxResources, request);
  daemon.Terminate();
  daemon.Start();
  v1::PodSandboxStatusRequest status;
  status.set_pod_sandbox_id(pod.id());
  status.set_verbose(true);
  const std::string info =
      daemon.Call(daemon.runtime(), &Runtime::PodSandboxStatus, status).info().at("info");
  CHECK(absl::StrContains(info, "\"cpu_shares\":\"777\""));
  CHECK(absl::StrContains(info, "\"memory_limit_in_bytes\":\"1234567\""));
  CHECK(pod.Status().state() == v1::SANDBOX_READY);

  v1::UpdatePodSandboxResourcesResponse response;
  request.mutable_resources()->set_cpu_shares(-3);
  CHECK(daemon.Try(daemon.runtime(), &Runtime::UpdatePodSandboxResources, request, &response)
            .error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  request.set_pod_sandbox_id("0123456789");
  CHECK(daemon.Try(daemon.runtime(), &Runtime::UpdatePodSandboxResources, request, &response)
            .error_code() != grpc::StatusCode::OK);
}
