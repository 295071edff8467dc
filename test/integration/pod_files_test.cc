// /etc/hostname, /etc/hosts and /etc/resolv.conf, which a pod's containers share and may write to.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

const std::vector<std::string> kIdle = {"sleep", "1000"};

ExecResult Shell(Pod& pod, const std::string& container, const std::string& script) {
  return pod.Exec(container, {"sh", "-c", script}, 60);
}

// Mount points.
std::set<std::string> HostMounts() {
  std::set<std::string> mounts;
  const std::string text = *base::ReadFile("/proc/self/mountinfo");
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty()))
    mounts.insert(std::vector<std::string>(absl::StrSplit(line, ' '))[4]);
  return mounts;
}

// For a pod whose containers see pause, and a container that can change pause's files.
void SharedProcesses(v1::PodSandboxConfig& config) {
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
}
void SeesPause(v1::ContainerConfig& config) {
  v1::LinuxContainerSecurityContext& context = *config.mutable_linux()->mutable_security_context();
  context.mutable_namespace_options()->set_pid(v1::POD);
  for (const char* capability : {"SYS_PTRACE", "SYS_ADMIN", "DAC_OVERRIDE"})
    context.mutable_capabilities()->add_add_capabilities(capability);
  // The default profile keeps it from pause's files.
  context.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Unconfined);
}

}  // namespace

TEST_CASE("what a container can write into the pod's files is bounded, and fills no disk") {
  Daemon daemon;
  const bool userns = GENERATE(false, true);
  CAPTURE(userns);
  Pod pod(daemon, userns ? OwnUsers : nullptr);
  const std::string container = pod.Run(kIdle);
  for (const char* file : {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}) {
    INFO(file);
    CHECK(Shell(pod, container, absl::StrCat("dd if=/dev/zero of=", file, " bs=1M count=300"))
              .exit_code != 0);
    uint64_t size = 0;
    REQUIRE(absl::SimpleAtoi(Shell(pod, container, absl::StrCat("stat -c %s ", file)).out, &size));
    CHECK(size > 0);
    CHECK(size <= 4 << 20);
    CHECK(Shell(pod, container, absl::StrCat("echo short > ", file)).exit_code == 0);
  }
  CHECK(base::ListDir(daemon.root() + "/pods").value_or(std::vector<std::string>()).empty());
  // Neither another pod nor another container of this one has less for that.
  Pod other(daemon);
  const std::string in_other = other.Run(kIdle);
  CHECK(absl::StrContains(Shell(other, in_other, "cat /etc/hosts").out, "localhost"));
  CHECK(Shell(pod, pod.Run(kIdle), "cat /etc/hosts").out == "short\n");
}

TEST_CASE("all containers of a pod see an edit of its files") {
  Daemon& daemon = Daemon::Shared();
  const bool userns = GENERATE(false, true);
  CAPTURE(userns);
  Pod pod(daemon, userns ? OwnUsers : nullptr);
  const std::string one = pod.Run(kIdle), two = pod.Run(kIdle);
  REQUIRE(Shell(pod, one, "echo 10.9.8.7 edited >> /etc/hosts").exit_code == 0);
  CHECK(absl::StrContains(Shell(pod, two, "cat /etc/hosts").out, "10.9.8.7 edited\n"));
  CHECK(Shell(pod, two, "stat -c '%u %a' /etc/hosts").out == "0 644\n");
}

TEST_CASE("a container with a read-only root file system cannot write to the pod's files") {
  Pod pod(Daemon::Shared());
  const std::string readonly = pod.Run(kIdle, [](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  });
  CHECK(Shell(pod, readonly, "echo x > /etc/hosts").exit_code != 0);
}

TEST_CASE("a container that is made after crispd was killed has the pod's files") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string before = pod.Run(kIdle);
  REQUIRE(Shell(pod, before, "echo 10.9.8.7 edited >> /etc/hosts").exit_code == 0);
  daemon.Kill9();
  daemon.Start();
  const std::string after = pod.Run(kIdle);
  CHECK(absl::StrContains(Shell(pod, after, "cat /etc/hosts").out, "10.9.8.7 edited\n"));
  CHECK(Shell(pod, after, "cat /etc/hostname").out == Shell(pod, after, "hostname").out);
}

TEST_CASE("a pod's files need no mount on the host") {
  Daemon& daemon = Daemon::Shared();
  daemon.Pull(kBusybox);
  const std::set<std::string> before = HostMounts();
  Pod pod(daemon);
  pod.Run(kIdle);
  for (const std::string& mount : HostMounts()) {
    CAPTURE(mount);
    CHECK((before.contains(mount) || absl::StartsWith(mount, "/run/netns")));
  }
}

TEST_CASE("a container's mountinfo has its own id, until it is removed") {
  Daemon& daemon = Daemon::Shared();
  const bool userns = GENERATE(false, true);
  CAPTURE(userns);
  Pod pod(daemon, userns ? OwnUsers : nullptr);
  const std::string one = pod.Run(kIdle), two = pod.Run(kIdle);
  for (const std::string& container : {one, two}) {
    CHECK_THAT(
        Shell(pod, container, "cat /proc/1/mountinfo").out,
        Catch::Contains(absl::StrCat(" /containers/", container, "/hostname /etc/hostname ")));
  }
  REQUIRE(Shell(pod, one, "echo other > /etc/hostname").exit_code == 0);
  CHECK(Shell(pod, two, "cat /etc/hostname").out == "other\n");
  const std::string links = absl::StrCat("/proc/", pod.HostPid(pod.id()), "/root/etc/containers");
  CHECK(base::ListDir(links)->size() == 2);
  pod.RemoveContainer(one);
  CHECK(*base::ListDir(links) == std::vector<std::string>{two});
}

TEST_CASE("a container that cannot be made leaves no link in the pod's files") {
  Pod pod(Daemon::Shared());
  const std::string made = pod.Run(kIdle);
  const v1::ContainerConfig bad = pod.ContainerConfig(kIdle, [](v1::ContainerConfig& config) {
    v1::Mount& mount = *config.add_mounts();
    mount.set_host_path("/dev/null/below");  // found out after the link is made
    mount.set_container_path("/data");
  });
  CHECK(pod.TryCreate(bad).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  const std::string links = absl::StrCat("/proc/", pod.HostPid(pod.id()), "/root/etc/containers");
  CHECK(*base::ListDir(links) == std::vector<std::string>{made});
}

TEST_CASE("a pod whose files have no room for another link starts containers all the same") {
  Pod pod(Daemon::Shared(), SharedProcesses);
  const std::string greedy = pod.Run(kIdle, SeesPause);
  const ExecResult filled =
      Shell(pod, greedy, "cd /proc/1/root/etc && i=0; while touch x$i 2>&1; do i=$((i + 1)); done");
  REQUIRE_THAT(filled.out, Catch::Contains("No space left"));
  const std::string next = pod.Run(kIdle);
  CHECK_THAT(Shell(pod, next, "cat /proc/self/mountinfo").out,
             Catch::Contains(" /hostname /etc/hostname "));
  CHECK(Shell(pod, next, "cat /etc/hostname").out == Shell(pod, next, "hostname").out);
}

TEST_CASE("kubelet's /etc/hosts takes the place of the pod's") {
  Daemon& daemon = Daemon::Shared();
  const std::string hosts = daemon.dir() + "/kubelet-hosts";
  REQUIRE(base::WriteFileAtomic(hosts, "10.1.2.3 kubelet\n", 0644).ok());
  Pod pod(daemon);
  const std::string container = pod.Run(kIdle, [&](v1::ContainerConfig& config) {
    v1::Mount& mount = *config.add_mounts();
    mount.set_host_path(hosts);
    mount.set_container_path("/etc/hosts");
  });
  CHECK(Shell(pod, container, "cat /etc/hosts").out == "10.1.2.3 kubelet\n");
  REQUIRE(Shell(pod, container, "echo more >> /etc/hosts").exit_code == 0);
  CHECK(*base::ReadFile(hosts) == "10.1.2.3 kubelet\nmore\n");
}

TEST_CASE("a container that replaces a pod's file by a link does not lead the next one astray") {
  const std::string replace =
      GENERATE(as<std::string>{}, "rm hosts && ln -s /proc/1/root/pause hosts",
               "mv containers away && ln -s /etc/away containers",
               "cd containers && for i in *; do rm -r $i && ln -s /proc/sys/kernel $i; done");
  CAPTURE(replace);
  Pod pod(Daemon::Shared(), SharedProcesses);
  const std::string container = pod.Run(kIdle, SeesPause);
  const std::string made = pod.Create(pod.ContainerConfig(kIdle));
  const ExecResult replaced =
      Shell(pod, container, absl::StrCat("cd /proc/1/root/etc && ", replace, " && ls -l"));
  INFO(replaced.err);
  REQUIRE(replaced.exit_code == 0);
  CHECK_FALSE(pod.TryStart(made).ok());
}
