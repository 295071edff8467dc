// AppArmor profiles and device rules, checked by processes in the container.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "integration/pod.h"
#include "linux/apparmor.h"

using namespace crisp;
using namespace crisp::test;

namespace {

constexpr char kProfile[] = "crisp-test-deny-write";
constexpr char kPolicy[] = R"(
profile crisp-test-deny-write flags=(attach_disconnected) {
  file,
  signal,
  deny /tmp/** w,
}
)";

bool HasAppArmor(const char* test) {
  if (linux::ReadAppArmor().enabled) return true;
  printf("skipped: %s: no AppArmor in this kernel\n", test);
  return false;
}

struct LoadedProfile {
  LoadedProfile() {
    const absl::Status loaded =
        linux::LoadAppArmorPolicy(kPolicy, base::Deadline::In(absl::Seconds(60)));
    INFO(loaded);
    REQUIRE(loaded.ok());
  }
  ~LoadedProfile() { (void)base::WriteExisting("/sys/kernel/security/apparmor/.remove", kProfile); }
};

using Change = std::function<void(v1::LinuxContainerSecurityContext&)>;

std::function<void(v1::ContainerConfig&)> With(const Change& change) {
  return [change](v1::ContainerConfig& config) {
    change(*config.mutable_linux()->mutable_security_context());
  };
}

Change Profile(v1::SecurityProfile::ProfileType type, const std::string& name = "") {
  return [=](v1::LinuxContainerSecurityContext& context) {
    context.mutable_apparmor()->set_profile_type(type);
    context.mutable_apparmor()->set_localhost_ref(name);
  };
}

// The deprecated field, which older kubelets send.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Change Deprecated(const std::string& profile) {
  return [=](v1::LinuxContainerSecurityContext& context) { context.set_apparmor_profile(profile); };
}
#pragma GCC diagnostic pop

// The profiles that init and an exec'd process report.
void CheckLabel(Pod& pod, const Change& change, const std::string& label) {
  const std::string container = pod.Run({"sleep", "1000"}, With(change));
  CHECK(pod.Exec(container, {"cat", "/proc/1/attr/current", "/proc/self/attr/current"}).out ==
        absl::StrCat(label, "\n", label, "\n"));
  pod.StopContainer(container, 0);
  pod.RemoveContainer(container);
}

}  // namespace

TEST_CASE("AppArmor: init and exec run under the requested profile") {
  if (!HasAppArmor("AppArmor labels")) return;
  const LoadedProfile loaded;
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  const std::string standard = "crisp-default (enforce)";
  const std::string own = absl::StrCat(kProfile, " (enforce)");
  CheckLabel(
      pod, [](auto&) {}, standard);
  CheckLabel(pod, Profile(v1::SecurityProfile::RuntimeDefault), standard);
  CheckLabel(pod, Profile(v1::SecurityProfile::Unconfined), "unconfined");
  CheckLabel(pod, Profile(v1::SecurityProfile::Localhost, kProfile), own);
  CheckLabel(pod, Deprecated("runtime/default"), standard);
  CheckLabel(pod, Deprecated("unconfined"), "unconfined");
  CheckLabel(pod, Deprecated(absl::StrCat("localhost/", kProfile)), own);
  CheckLabel(
      pod, [](auto& context) { context.set_privileged(true); }, "unconfined");
  CheckLabel(
      pod, [](auto& context) { context.set_no_new_privs(true); }, standard);
}

TEST_CASE("AppArmor: a container in a user namespace runs under the default profile") {
  if (!HasAppArmor("AppArmor in a user namespace")) return;
  Pod pod(Daemon::Shared(), OwnUsers);
  CheckLabel(
      pod, [](auto&) {}, "crisp-default (enforce)");
}

TEST_CASE("AppArmor: the profiles are enforced") {
  if (!HasAppArmor("AppArmor enforcement")) return;
  const LoadedProfile loaded;
  Pod pod(Daemon::Shared());
  const auto capable = [](Change change) {
    return With([change](v1::LinuxContainerSecurityContext& context) {
      context.mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
      change(context);
    });
  };
  const std::vector<std::string> sleep = {"sleep", "1000"};
  // With CAP_SYS_ADMIN only the default profile prevents mount(2).
  const std::vector<std::string> mount = {"mount", "-t", "tmpfs", "tmpfs", "/mnt"};
  const std::string confined = pod.Run(sleep, capable([](auto&) {}));
  const std::string free = pod.Run(sleep, capable(Profile(v1::SecurityProfile::Unconfined)));
  CHECK(pod.Exec(confined, {"mkdir", "-p", "/mnt"}).exit_code == 0);
  CHECK(pod.Exec(free, {"mkdir", "-p", "/mnt"}).exit_code == 0);
  const ExecResult refused = pod.Exec(confined, mount);
  CHECK(refused.exit_code != 0);
  CHECK_THAT(refused.err, Catch::Contains("denied"));
  CHECK(pod.Exec(free, mount).exit_code == 0);
  // Signals between processes of the container and ordinary files are allowed.
  CHECK(pod.Exec(confined, {"sh", "-c", "sleep 100 & kill $! && wait $!"}).exit_code == 143);
  CHECK(pod.Exec(confined, {"sh", "-c", "echo x >/tmp/file && cat /tmp/file"}).out == "x\n");

  const std::string local = pod.Run(sleep, With(Profile(v1::SecurityProfile::Localhost, kProfile)));
  CHECK(pod.Exec(local, {"touch", "/tmp/file"}).exit_code != 0);
  CHECK(pod.Exec(local, {"touch", "/file"}).exit_code == 0);
}

TEST_CASE("AppArmor: a profile that is not loaded is an error before anything is created") {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kBusybox);
  const std::string why =
      linux::ReadAppArmor().enabled ? "the profile is not loaded" : "the host has no AppArmor";
  for (const Change& change : {Profile(v1::SecurityProfile::Localhost, "no-such-profile"),
                               Deprecated("localhost/no-such-profile")}) {
    const grpc::Status status = pod.TryCreate(pod.ContainerConfig({"true"}, With(change)));
    CHECK(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK_THAT(status.error_message(),
               Catch::Contains("appArmorProfile \"no-such-profile\": " + why));
  }
  v1::ListContainersRequest all;
  all.mutable_filter()->set_pod_sandbox_id(pod.id());
  CHECK(pod.daemon()
            .Call(pod.daemon().runtime(), &v1::RuntimeService::Stub::ListContainers, all)
            .containers_size() == 0);
  // A host without AppArmor does not need the default profile.
  if (linux::ReadAppArmor().enabled) return;
  const auto standard = With(Profile(v1::SecurityProfile::RuntimeDefault));
  CHECK(pod.WaitExited(pod.Run({"true"}, standard)).exit_code() == 0);
}

TEST_CASE("devices: only those that the rules allow can be opened") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  // Nodes may be made but not opened; c 1:11 is kmsg.
  const std::string probe = R"(
    mknod /tmp/kmsg c 1 11 && mknod /tmp/null c 1 3 || exit 9
    echo x >/tmp/null || exit 8
    (exec 3</tmp/kmsg) 2>/dev/null && echo open || echo refused)";
  // Reading the kernel's log also needs CAP_SYSLOG; with it only the device rules prevent it.
  const auto syslog = [](v1::LinuxContainerSecurityContext& context) {
    context.mutable_capabilities()->add_add_capabilities("SYSLOG");
  };
  const std::vector<std::string> script = {"sh", "-c", probe};
  const std::string plain = pod.Run(script, With(syslog));
  CHECK(pod.WaitExited(plain).exit_code() == 0);
  CHECK(pod.LogText(plain) == "refused\n");
  const auto given = [&](v1::ContainerConfig& config) {
    v1::Device& device = *config.add_devices();
    device.set_host_path("/dev/kmsg");
    device.set_container_path("/dev/messages");
    device.set_permissions("r");
    syslog(*config.mutable_linux()->mutable_security_context());
  };
  const std::string one = pod.Run(
      {"sh", "-c", probe + "\n(exec 3>/dev/messages) 2>/dev/null || echo read only"}, given);
  CHECK(pod.WaitExited(one).exit_code() == 0);
  CHECK(pod.LogText(one) == "open\nread only\n");
  const std::string privileged =
      pod.Run(script, With([](auto& context) { context.set_privileged(true); }));
  CHECK(pod.WaitExited(privileged).exit_code() == 0);
  CHECK(pod.LogText(privileged) == "open\n");
}

// All cgroup2 mounts are one file system: mounting it in the host's cgroup namespace changes the
// options of all.
TEST_CASE("an ephemeral container is privileged, and logs, as its own request says") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod.id());
  *request.mutable_config() =
      pod.ContainerConfig({"grep", "CapEff", "/proc/self/status"},
                          With([](auto& context) { context.set_privileged(true); }));
  *request.mutable_sandbox_config() = pod.config();
  request.mutable_sandbox_config()->set_log_directory(daemon.dir() + "/moved-logs");
  v1::CreateContainerResponse response;
  const auto create = [&] {
    return daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::CreateContainer, request,
                      &response);
  };
  daemon.Pull(request.config().image().image());
  CHECK(create().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_sandbox_config()->mutable_linux()->mutable_security_context()->set_privileged(
      true);
  daemon.Check(create());
  pod.Start(response.container_id());
  CHECK(pod.WaitExited(response.container_id()).exit_code() == 0);
  CHECK_THAT(pod.LogText(response.container_id()), !Catch::Contains("00000000a80425fb"));
  CHECK_THAT(pod.ContainerStatus(response.container_id()).log_path(),
             Catch::StartsWith(daemon.dir() + "/moved-logs/"));
}

TEST_CASE("a privileged container sees the host's cgroups, and their mount options do not change") {
  const auto options = [] {
    std::string lines;
    for (absl::string_view line : absl::StrSplit(*base::ReadFile("/proc/self/mountinfo"), '\n')) {
      const size_t dash = line.find(" - cgroup2 ");
      if (dash != absl::string_view::npos) absl::StrAppend(&lines, line.substr(dash), "\n");
    }
    return lines;
  };
  const std::string before = options();
  REQUIRE(before != "");
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  const std::string privileged =
      pod.Run({"sleep", "1000"}, With([](auto& context) { context.set_privileged(true); }));
  CHECK(options() == before);
  CHECK(pod.Exec(privileged, {"true"}).exit_code == 0);
  const std::string plain = pod.Run({"sleep", "1000"});
  CHECK(pod.Exec(plain, {"true"}).exit_code == 0);
  if (absl::StrContains(*base::ReadFile("/proc/self/mountinfo"), " - cgroup cgroup ")) return;
  const std::string all = pod.Exec(privileged, {"cat", "/proc/self/cgroup"}).out;
  const std::string own = pod.Exec(plain, {"cat", "/proc/self/cgroup"}).out;
  CHECK_THAT(all, Catch::Contains(privileged));
  CHECK_THAT(own, Catch::StartsWith("0::/exec"));
  CHECK(pod.Exec(privileged, {"test", "-d", "/sys/fs/cgroup/system.slice"}).exit_code == 0);
}
