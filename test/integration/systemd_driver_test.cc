// crispd with the systemd cgroup driver, on a machine where systemd is PID 1.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "integration/pod.h"
#include "linux/spawn.h"

using namespace crisp;
using namespace crisp::test;

namespace {

constexpr char kSlice[] = "crisptest-integration.slice";
constexpr char kSlicePath[] = "/crisptest.slice/crisptest-integration.slice";

bool HasSystemd(const char* test) {
  if (access("/run/systemd/system", F_OK) == 0) return true;
  printf("skipped: %s: systemd is not PID 1\n", test);
  return false;
}

linux::RunResult Run(const std::vector<std::string>& command) {
  const auto result =
      linux::Run({.path = "/usr/bin/env", .args = command, .env = {"PATH=/usr/sbin:/usr/bin"}}, "",
                 {.deadline = base::Deadline::In(absl::Seconds(60))});
  REQUIRE(result.ok());
  return *result;
}

void ReloadSystemd() { REQUIRE(Run({"env", "systemctl", "daemon-reload"}).exit_code == 0); }

std::string CgroupOf(int pid) {
  const auto text = base::ReadFile(absl::StrCat("/proc/", pid, "/cgroup"));
  REQUIRE(text.ok());
  return std::string(absl::StripPrefix(absl::StripSuffix(*text, "\n"), "0::"));
}

std::string ReadGroup(const std::string& path, const std::string& file) {
  const auto text = base::ReadFile(absl::StrCat("/sys/fs/cgroup", path, "/", file));
  return text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : "<missing>";
}

void InSlice(v1::PodSandboxConfig& config) { config.mutable_linux()->set_cgroup_parent(kSlice); }

std::string ScopeOf(const Pod& pod) {
  return absl::StrCat(kSlicePath, "/crisp-pod-", pod.id().substr(0, 32), ".scope");
}

bool Exists(const std::string& path) {
  return access(("/sys/fs/cgroup" + path).c_str(), F_OK) == 0;
}

}  // namespace

TEST_CASE("systemd driver: refused with a clear error where systemd is not PID 1") {
  if (access("/run/systemd/system", F_OK) == 0) return;
  const char* bin = getenv("CRISP_TEST_BIN_DIR");
  REQUIRE(bin != nullptr);
  char dir[] = "/var/lib/crisp-test-XXXXXX";
  REQUIRE(mkdtemp(dir) != nullptr);
  const linux::RunResult result =
      Run({"env", absl::StrCat(bin, "/crispd"), "--config=/dev/null", "--cgroup-driver=systemd",
           absl::StrCat("--root=", dir, "/root"), absl::StrCat("--state=", dir, "/state"),
           absl::StrCat("--address=", dir, "/sock")});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err + result.out,
             Catch::Contains("cgroup driver systemd: systemd is not PID 1 of this machine"));
  CHECK(base::RemoveTree(dir).ok());
}

TEST_CASE("systemd driver: a pod's groups are in and beside its scope and keep their limits") {
  if (!HasSystemd("systemd driver: groups")) return;
  Daemon daemon({"--cgroup-driver", "systemd"});
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RuntimeConfig, {})
            .linux()
            .cgroup_driver() == v1::SYSTEMD);
  std::string scope;
  {
    Pod pod(daemon, InSlice);
    scope = ScopeOf(pod);
    CHECK(CgroupOf(pod.HostPid(pod.id())) == scope + "/" + pod.id());
    const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
      v1::LinuxContainerResources& limits = *config.mutable_linux()->mutable_resources();
      limits.set_memory_limit_in_bytes(64 << 20);
      limits.set_cpu_quota(20000);
      limits.set_cpu_period(100000);
      limits.set_cpu_shares(512);
    });
    const std::string group = CgroupOf(pod.HostPid(container));
    CHECK(group == absl::StrCat(kSlicePath, "/cri-containerd-", container, ".scope"));
    ReloadSystemd();
    CHECK(ReadGroup(group, "memory.max") == "67108864");
    CHECK(ReadGroup(group, "cpu.max") == "20000 100000");
    CHECK(ReadGroup(group, "cpu.weight") == "59");
    // An exec is in a group of its own there, seen from inside the container's cgroup namespace.
    CHECK_THAT(pod.Exec(container, {"cat", "/proc/self/cgroup"}).out,
               Catch::StartsWith("0::/exec"));

    // The next crispd finds the pod again and can stop it.
    daemon.Kill9();
    daemon.Start();
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
    CHECK(CgroupOf(pod.HostPid(container)) == group);
    pod.StopContainer(container, 0);
    CHECK(pod.WaitExited(container).exit_code() == 137);
    pod.Stop();
    CHECK_FALSE(Exists(scope));
    pod.RemoveContainer(container);
    CHECK_FALSE(Exists(group));
  }
  CHECK(Run({"env", "systemctl", "is-active", scope.substr(scope.rfind('/') + 1)}).exit_code != 0);
}

TEST_CASE("systemd driver: an out-of-memory kill is reported, also of the pod's last process") {
  if (!HasSystemd("systemd driver: out of memory")) return;
  Daemon daemon({"--cgroup-driver", "systemd"});
  Pod pod(daemon, InSlice);
  const std::string container = pod.Create(pod.ContainerConfig(
      {"sh", "-c", "sleep 1; dd if=/dev/zero of=/dev/null bs=40M count=1"},
      [](v1::ContainerConfig& config) {
        v1::LinuxContainerResources& limits = *config.mutable_linux()->mutable_resources();
        limits.set_memory_limit_in_bytes(16 << 20);
        limits.set_memory_swap_limit_in_bytes(16 << 20);
      }));
  pod.Start(container);
  REQUIRE(kill(pod.HostPid(pod.id()), SIGKILL) == 0);
  const v1::ContainerStatus status = pod.WaitExited(container);
  CHECK(status.exit_code() == 137);
  CHECK(status.reason() == "OOMKilled");
}

TEST_CASE("systemd driver: a cgroup_parent that is not a slice is refused") {
  if (!HasSystemd("systemd driver: cgroup_parent")) return;
  Daemon daemon({"--cgroup-driver", "systemd"});
  for (const char* parent : {"/kubepods/burstable", "a/b.slice", "x--y.slice"}) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig(daemon, [&](v1::PodSandboxConfig& config) {
      config.mutable_linux()->set_cgroup_parent(parent);
    });
    v1::RunPodSandboxResponse response;
    const grpc::Status status =
        daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, request, &response);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK_THAT(status.error_message(),
               Catch::Contains(absl::StrCat("cgroup_parent \"", parent, "\"")));
  }
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, {}).items_size() ==
        0);
  // Without a cgroup_parent it is crisp.slice.
  Pod pod(daemon,
          [](v1::PodSandboxConfig& config) { config.mutable_linux()->clear_cgroup_parent(); });
  CHECK(CgroupOf(pod.HostPid(pod.id())) ==
        absl::StrCat("/crisp.slice/crisp-pod-", pod.id().substr(0, 32), ".scope/", pod.id()));
}
