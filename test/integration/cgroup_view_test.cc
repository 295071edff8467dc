// The cgroup namespace of a container and its mount at /sys/fs/cgroup, as a request has them
// (KEP-5714, KEP-5474).
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;

namespace {

v1::LinuxContainerSecurityContext& Security(v1::ContainerConfig& config) {
  return *config.mutable_linux()->mutable_security_context();
}

void Privileged(v1::PodSandboxConfig& config) {
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
}

std::function<void(v1::ContainerConfig&)> WithNamespace(v1::NamespaceMode mode, bool privileged) {
  return [=](v1::ContainerConfig& config) {
    Security(config).set_privileged(privileged);
    Security(config).mutable_namespace_options()->mutable_cgroupns_options()->set_mode(mode);
  };
}

void Writable(v1::ContainerConfig& config) {
  Security(config).set_cgroup_mount_mode(v1::CGROUP_MOUNT_MODE_READ_WRITE);
}

bool HostHasNsdelegate() {
  for (const absl::string_view line :
       absl::StrSplit(base::ReadFile("/proc/self/mountinfo").value(), '\n')) {
    if (absl::StrContains(line, " - cgroup2 ")) return absl::StrContains(line, "nsdelegate");
  }
  return false;
}

// Whether the container's first process and an exec find their groups at the root of the cgroups
// that they see.
bool SeesItselfAtTheRoot(Pod& pod, const std::string& container) {
  pod.AwaitLog(container, "end of groups");
  const std::string groups = pod.LogText(container);
  const std::string of_exec = pod.Exec(container, {"cat", "/proc/self/cgroup"}).out;
  const bool first = !absl::StrContains(groups, container);
  CHECK(first == !absl::StrContains(of_exec, container));
  CHECK(absl::StrContains(groups, "0::/\n") == first);
  return first;
}

}  // namespace

TEST_CASE("a container has the cgroup namespace that it asks for, privileged or not") {
  Pod pod(Daemon::Shared(), Privileged);
  const std::vector<std::string> show = {
      "sh", "-c", "cat /proc/self/cgroup; echo end of groups; exec sleep 1000"};
  for (const bool privileged : {false, true}) {
    CAPTURE(privileged);
    CHECK(SeesItselfAtTheRoot(pod, pod.Run(show, WithNamespace(v1::CONTAINER, privileged))));
    CHECK_FALSE(SeesItselfAtTheRoot(pod, pod.Run(show, WithNamespace(v1::NODE, privileged))));
    for (const v1::NamespaceMode mode : {v1::POD, v1::TARGET}) {
      const grpc::Status refused =
          pod.TryCreate(pod.ContainerConfig({"true"}, WithNamespace(mode, privileged)));
      CHECK(refused.error_code() == Code::INVALID_ARGUMENT);
      CHECK(absl::StrContains(refused.error_message(), "cgroupns_options.mode"));
    }
  }
}

TEST_CASE("the cgroups of a container with the host's cgroup namespace are read-only") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Run({"sleep", "1000"}, WithNamespace(v1::NODE, /*privileged=*/false));
  const std::string directory = OnV1() ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
  const ExecResult made = pod.Exec(container, {"mkdir", directory + "/new"});
  CHECK(made.exit_code != 0);
  CHECK(absl::StrContains(made.err, "Read-only file system"));
}

TEST_CASE("READ_WRITE lets a container divide its cgroup, not change its own limits") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  daemon.Pull(kBusybox);
  if (OnV1() || !HostHasNsdelegate()) {
    const grpc::Status refused = pod.TryCreate(pod.ContainerConfig({"true"}, Writable));
    CHECK(refused.error_code() == Code::FAILED_PRECONDITION);
    CHECK(absl::StrContains(refused.error_message(), "CGROUP_MOUNT_MODE_READ_WRITE"));
    CHECK(absl::StrContains(refused.error_message(), OnV1() ? "cgroup v1" : "nsdelegate"));
    return;
  }
  for (const bool own_users : {false, true}) {
    for (const int uid : {0, 1000}) {
      CAPTURE(own_users, uid);
      Pod with(daemon, [&](v1::PodSandboxConfig& config) {
        if (own_users) OwnUsers(config);
      });
      const std::string container = with.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
        Writable(config);
        Security(config).mutable_run_as_user()->set_value(uid);
        config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 << 20);
      });
      const auto shell = [&](const std::string& script) {
        return with.Exec(container, {"sh", "-c", absl::StrCat("cd /sys/fs/cgroup; ", script)});
      };
      // All processes into a group of their own, then its limit.
      const ExecResult divided = shell(
          "mkdir work && for p in $(cat cgroup.procs) $$; do echo $p >work/cgroup.procs; done && "
          "echo +memory >cgroup.subtree_control && "
          "echo 33554432 >work/memory.max && cat work/memory.max");
      INFO(divided.err);
      CHECK(divided.out == "33554432\n");
      CHECK(shell("echo max >memory.max").exit_code != 0);
      CHECK(shell("cat memory.max").out == "67108864\n");
      with.StopContainer(container, 0);
      with.RemoveContainer(container);
    }
  }
}

TEST_CASE("the options of the host's cgroup2 mount stay as they are, whatever containers ask for") {
  Pod pod(Daemon::Shared(), Privileged);
  const bool before = HostHasNsdelegate();
  for (const v1::NamespaceMode mode : {v1::CONTAINER, v1::NODE}) {
    for (const bool privileged : {false, true})
      CHECK(pod.WaitExited(pod.Run({"true"}, WithNamespace(mode, privileged))).exit_code() == 0);
  }
  CHECK(HostHasNsdelegate() == before);
}
