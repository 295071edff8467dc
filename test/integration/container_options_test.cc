// Fields of the configuration that critest does not test, from CRI to the kernel.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;

namespace {

bool OnV1() { return access("/sys/fs/cgroup/pids/cgroup.procs", F_OK) == 0; }

int64_t ReadNumber(const std::string& path) {
  int64_t number = -1;
  const absl::StatusOr<std::string> text = base::ReadFile(path);
  INFO(path << ": " << text.status());
  REQUIRE(text.ok());
  REQUIRE(absl::SimpleAtoi(*text, &number));
  return number;
}

// The line "CapEff", "CapAmb", ... of /proc/self/status of a process in the container.
std::string StatusLine(Pod& pod, const std::string& container, const std::string& name) {
  for (absl::string_view line :
       absl::StrSplit(pod.Exec(container, {"cat", "/proc/self/status"}).out, '\n')) {
    if (absl::StartsWith(line, name + ":\t")) return std::string(line.substr(name.size() + 2));
  }
  return "no such line";
}

// Forks at most 200 idle processes, and ends at the first fork that fails. The shell's complaint
// goes to the stream that "bomb ended" follows on: a log does not keep the order of two streams.
constexpr char kBomb[] =
    "i=0; while [ $i -lt 200 ]; do i=$((i+1)); sleep 60 & done; echo all $i forked";

}  // namespace

TEST_CASE("a fork bomb stops at the pod's limit, and StopContainer kills all of it") {
  constexpr int kLimit = 40;
  Pod pod(Daemon::Shared(),
          [](v1::PodSandboxConfig& config) {  // like kubelet: a parent for this pod only
            config.mutable_linux()->set_cgroup_parent(config.linux().cgroup_parent() + "-limited");
          });
  Pod other(Daemon::Shared());
  const std::string container = pod.Run(
      {"sh", "-c", absl::StrCat("sh -c '", kBomb, "' 2>&1; echo bomb ended; exec sleep 1000")});
  // Without a limit all forks succeed.
  pod.AwaitLog(container, "bomb ended");
  CHECK(absl::StrContains(pod.LogText(container), "all 200 forked"));
  pod.StopContainer(container, 0);

  const std::string idle = pod.Run({"sleep", "1000"});
  const std::string leaf = pod.CgroupDirectory(idle, "pids");
  const std::string parent = leaf.substr(0, leaf.rfind('/'));
  REQUIRE(base::WriteExisting(parent + "/pids.max", absl::StrCat(kLimit)).ok());
  const std::string bomb = pod.Run(
      {"sh", "-c", absl::StrCat("sh -c '", kBomb, "' 2>&1; echo bomb ended; exec sleep 1000")});
  pod.AwaitLog(bomb, "bomb ended");
  CHECK(absl::StrContains(pod.LogText(bomb), "can't fork"));
  CHECK_FALSE(absl::StrContains(pod.LogText(bomb), "forked"));
  const int64_t tasks = ReadNumber(parent + "/pids.current");
  CHECK(tasks <= kLimit);
  CHECK(tasks >= kLimit - 1);  // the shell that could not fork has exited
  // Other pods are not affected. An exec needs room for two, its process and for a moment the one
  // that makes it: it fails at once, or runs. Stops always work.
  CHECK(other.WaitExited(other.Run({"sh", "-c", "true & wait"})).exit_code() == 0);
  CHECK_THROWS_WITH(pod.Exec(bomb, {"echo", "here"}), Catch::Contains("pids limit"));
  REQUIRE(base::WriteExisting(parent + "/pids.max", absl::StrCat(tasks + 2)).ok());
  CHECK(pod.Exec(bomb, {"echo", "here"}).out == "here\n");
  pod.StopContainer(bomb, 0);
  CHECK(pod.ContainerStatus(bomb).exit_code() == 137);
  CHECK(ReadNumber(parent + "/pids.current") < 10);
}

TEST_CASE("a container's pids limit is set through unified on v2 and refused on v1") {
  Pod pod(Daemon::Shared());
  Daemon::Shared().Pull(kBusybox);
  const v1::ContainerConfig config = pod.ContainerConfig(
      {"sh", "-c", absl::StrCat("sh -c '", kBomb, "' 2>&1; echo bomb ended; exec sleep 1000")},
      [](v1::ContainerConfig& c) {
        (*c.mutable_linux()->mutable_resources()->mutable_unified())["pids.max"] = "20";
      });
  std::string container;
  const grpc::Status created = pod.TryCreate(config, &container);
  if (OnV1()) {
    // Whichever step refuses it, the error is INVALID_ARGUMENT and names the field.
    const grpc::Status status = created.ok() ? pod.TryStart(container) : created;
    CHECK(status.error_code() == Code::INVALID_ARGUMENT);
    CHECK(absl::StrContains(status.error_message(), "unified"));
    return;
  }
  REQUIRE(created.ok());
  pod.Start(container);
  pod.AwaitLog(container, "bomb ended");
  CHECK(absl::StrContains(pod.LogText(container), "can't fork"));
  CHECK(ReadNumber(pod.CgroupDirectory(container, "pids") + "/pids.max") == 20);
}

TEST_CASE("the stop signal is the configuration's, else the image's, else SIGTERM") {
  Pod pod(Daemon::Shared());
  // The exit code tells which signal came. Signals without a name in sh are trapped by number.
  const std::string script =
      "trap 'exit 15' TERM; trap 'exit 10' USR1; trap 'exit 37' 37; trap 'exit 64' 64; "
      "echo ready; while true; do sleep 0.1; done";
  struct Case {
    const char* image;
    v1::Signal asked;
    v1::Signal told;
    int exit_code;
  };
  const char* const with_usr1 = "docker.io/crisp/annotated:1";
  for (const Case& one :
       std::vector<Case>{{kBusybox, v1::SIGNAL_RUNTIME_DEFAULT, v1::SIGNAL_SIGTERM, 15},
                         {with_usr1, v1::SIGNAL_RUNTIME_DEFAULT, v1::SIGNAL_SIGUSR1, 10},
                         {with_usr1, v1::SIGNAL_SIGTERM, v1::SIGNAL_SIGTERM, 15},
                         {kBusybox, v1::SIGNAL_SIGRTMINPLUS3, v1::SIGNAL_SIGRTMINPLUS3, 37},
                         {kBusybox, v1::SIGNAL_SIGRTMAX, v1::SIGNAL_SIGRTMAX, 64}}) {
    INFO(one.image << " " << v1::Signal_Name(one.asked));
    const std::string container = pod.Run({"sh", "-c", script}, [&](v1::ContainerConfig& config) {
      config.mutable_image()->set_image(one.image);
      config.set_stop_signal(one.asked);
    });
    CHECK(pod.ContainerStatus(container).stop_signal() == one.told);
    pod.AwaitLog(container, "ready");
    pod.StopContainer(container, 20);
    CHECK(pod.ContainerStatus(container).exit_code() == one.exit_code);
  }
  const v1::ContainerConfig bad = pod.ContainerConfig({"true"}, [](v1::ContainerConfig& config) {
    config.set_stop_signal(static_cast<v1::Signal>(999));
  });
  const grpc::Status status = pod.TryCreate(bad);
  CHECK(status.error_code() == Code::INVALID_ARGUMENT);
  CHECK(absl::StrContains(status.error_message(), "stop_signal"));
}

TEST_CASE("a user other than root gets ambient capabilities, in the container and in execs") {
  Pod pod(Daemon::Shared());
  const auto as_user = [](const std::vector<std::string>& ambient) {
    return [=](v1::ContainerConfig& config) {
      auto* context = config.mutable_linux()->mutable_security_context();
      context->mutable_run_as_user()->set_value(1001);
      context->mutable_capabilities()->add_drop_capabilities("ALL");
      for (const std::string& name : ambient)
        context->mutable_capabilities()->add_add_ambient_capabilities(name);
    };
  };
  const std::string none = "0000000000000000";
  const std::string plain = pod.Run({"sleep", "1000"}, as_user({}));
  CHECK(StatusLine(pod, plain, "CapEff") == none);
  CHECK(StatusLine(pod, plain, "CapAmb") == none);

  // CAP_NET_BIND_SERVICE is 10, CAP_SYS_CHROOT 18.
  const std::string raised = pod.Run({"sh", "-c", "cat /proc/self/status; exec sleep 1000"},
                                     as_user({"NET_BIND_SERVICE", "SYS_CHROOT"}));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    INFO(set);
    CHECK(StatusLine(pod, raised, set) == "0000000000040400");
    pod.AwaitLog(raised, set);
  }
  CHECK(absl::StrContains(pod.LogText(raised), "CapAmb:\t0000000000040400\n"));
  CHECK(pod.Exec(plain, {"chroot", "/", "true"}).exit_code != 0);
  CHECK(pod.Exec(raised, {"chroot", "/", "true"}).exit_code == 0);
}

TEST_CASE("a container with an unknown capability runs with those beside it") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    auto* words = config.mutable_linux()->mutable_security_context()->mutable_capabilities();
    words->add_add_capabilities("NO_SUCH_THING");
    words->add_drop_capabilities("ALL");
    words->add_drop_capabilities("NO_SUCH_THING");
    words->add_add_capabilities("SYS_CHROOT");
  });
  CHECK(StatusLine(pod, container, "CapBnd") == "0000000000040000");
}

TEST_CASE("a mount path with .. is where it leads inside the root") {
  Daemon& daemon = Daemon::Shared();
  const std::string host = daemon.dir() + "/dots";
  REQUIRE(base::MakeDirs(host, 0755).ok());
  REQUIRE(base::WriteFileAtomic(host + "/file", "here", 0644).ok());
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    for (const char* path : {"/app/../data", "/../../../above"}) {
      v1::Mount* mount = config.add_mounts();
      mount->set_host_path(host);
      mount->set_container_path(path);
    }
  });
  CHECK(pod.Exec(container, {"cat", "/data/file"}).out == "here");
  CHECK(pod.Exec(container, {"cat", "/above/file"}).out == "here");
}

TEST_CASE("mount_options: noexec, nodev and nosuid take effect, also on a read-only mount") {
  Daemon& daemon = Daemon::Shared();
  const std::string host = daemon.dir() + "/options";
  REQUIRE(base::MakeDirs(host, 0755).ok());
  REQUIRE(base::WriteFileAtomic(host + "/script", "#!/bin/sh\necho it ran\n", 0755).ok());
  REQUIRE(mknod((host + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    for (const char* path : {"/plain", "/strict", "/strict-ro"}) {
      v1::Mount* mount = config.add_mounts();
      mount->set_host_path(host);
      mount->set_container_path(path);
      if (path == std::string("/plain")) continue;
      for (const char* option : {"noexec", "nodev", "nosuid"}) mount->add_mount_options(option);
      mount->set_readonly(path == std::string("/strict-ro"));
    }
  });
  CHECK(pod.Exec(container, {"/plain/script"}).out == "it ran\n");
  CHECK(pod.Exec(container, {"sh", "-c", ": >/plain/null"}).exit_code == 0);
  for (const char* path : {"/strict", "/strict-ro"}) {
    INFO(path);
    const std::string line =
        pod.Exec(container, {"grep", absl::StrCat(" ", path, " "), "/proc/mounts"}).out;
    for (const char* word : {"noexec", "nodev", "nosuid"}) CHECK(absl::StrContains(line, word));
    const ExecResult run = pod.Exec(container, {"sh", "-c", absl::StrCat(path, "/script")});
    CHECK(run.exit_code == 126);
    CHECK(absl::StrContains(run.err, "Permission denied"));
    CHECK(pod.Exec(container, {"sh", "-c", absl::StrCat(": >", path, "/null")}).exit_code != 0);
    CHECK((pod.Exec(container, {"touch", absl::StrCat(path, "/new")}).exit_code != 0) ==
          (path == std::string("/strict-ro")));
  }
  // The status returns the mounts unchanged: kubelet finds the termination message through them.
  const v1::ContainerStatus told = pod.ContainerStatus(container);
  REQUIRE(told.mounts_size() == 3);
  CHECK(told.mounts(1).mount_options_size() == 3);
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::Status, {})
            .features()
            .mount_options());
  const grpc::Status status =
      pod.TryCreate(pod.ContainerConfig({"true"}, [&](v1::ContainerConfig& config) {
        v1::Mount* mount = config.add_mounts();
        mount->set_host_path(host);
        mount->set_container_path("/data");
        mount->add_mount_options("dev");
      }));
  CHECK(status.error_code() == Code::INVALID_ARGUMENT);
  CHECK(absl::StrContains(status.error_message(), "mountOptions \"dev\""));
}

TEST_CASE("a volume that the host has mounted read-only is not writable in the container") {
  Daemon& daemon = Daemon::Shared();
  const std::string host = daemon.dir() + "/host-ro";
  REQUIRE(base::MakeDirs(host, 0755).ok());
  REQUIRE(mount(host.c_str(), host.c_str(), nullptr, MS_BIND, nullptr) == 0);
  const absl::Cleanup unmount = [&] { umount2(host.c_str(), MNT_DETACH); };
  REQUIRE(mount("", host.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_host_path(host);
    mount->set_container_path("/data");
  });
  const ExecResult touch = pod.Exec(container, {"touch", "/data/new"});
  CHECK(touch.exit_code == 1);
  CHECK(absl::StrContains(touch.err, "Read-only file system"));
}

TEST_CASE("huge pages: kubelet's zero for every size is set where the host can limit that size") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    for (const char* size : {"2MB", "1GB", "64KB", "16GB"}) {
      v1::HugepageLimit* limit = config.mutable_linux()->mutable_resources()->add_hugepage_limits();
      limit->set_page_size(size);
      limit->set_limit(0);
    }
  });
  const std::string directory = pod.CgroupDirectory(container, "hugetlb");
  int limited = 0;
  for (const char* size : {"2MB", "1GB"}) {
    for (const char* suffix : {"max", "limit_in_bytes", "rsvd.max", "rsvd.limit_in_bytes"}) {
      const std::string path = absl::StrCat(directory, "/hugetlb.", size, ".", suffix);
      if (access(path.c_str(), F_OK) != 0) continue;
      INFO(path);
      CHECK(ReadNumber(path) == 0);
      ++limited;
    }
  }
  if (limited == 0)
    printf("skipped: hugetlb limits: no such controller in %s\n", directory.c_str());
  CHECK(pod.Exec(container, {"echo", "runs"}).out == "runs\n");
  const grpc::Status status =
      pod.TryCreate(pod.ContainerConfig({"true"}, [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->add_hugepage_limits()->set_page_size("2 MB");
      }));
  CHECK(status.error_code() == Code::INVALID_ARGUMENT);
  CHECK(absl::StrContains(status.error_message(), "page_size \"2 MB\""));
}

TEST_CASE("a pod on the host's network may have users of its own, as Status tells") {
  Daemon& daemon = Daemon::Shared();
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::Status, {})
            .features()
            .user_namespaces_host_network());
  Pod pod(daemon, [](v1::PodSandboxConfig& config) {
    OwnUsers(config);
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  const std::string container = pod.Run({"sleep", "1000"});
  const auto has_hosts = [pid = pod.HostPid(container)](const std::string& type) {
    struct stat own, hosts;
    REQUIRE(stat(absl::StrCat("/proc/", pid, "/ns/", type).c_str(), &own) == 0);
    REQUIRE(stat(("/proc/self/ns/" + type).c_str(), &hosts) == 0);
    return own.st_ino == hosts.st_ino;
  };
  CHECK(has_hosts("net"));
  CHECK_FALSE(has_hosts("user"));
  CHECK(pod.Exec(container, {"ls", "/sys/class/net/lo/address"}).exit_code == 0);
  CHECK(absl::StrContains(pod.Exec(container, {"touch", "/sys/new"}).err, "Read-only file system"));
}

TEST_CASE("a dual-stack pod reports both addresses, IPv4 first, and both work") {
  if (access("/proc/sys/net/ipv6", F_OK) != 0) {
    printf("skipped: dual stack: this kernel has no IPv6\n");
    return;
  }
  Daemon daemon;
  // The plugin gives the IPv6 address first.
  const std::string file = daemon.dir() + "/net.d/10-test.conflist";
  const std::string conflist = base::ReadFile(file).value();
  const std::string dual = absl::StrReplaceAll(
      conflist, {{"\"ranges\": [", "\"ranges\": [[{\"subnet\": \"fd00:c815::/64\"}], "},
                 {"{\"dst\": \"0.0.0.0/0\"}", "{\"dst\": \"0.0.0.0/0\"}, {\"dst\": \"::/0\"}"}});
  REQUIRE(dual != conflist);
  REQUIRE(base::WriteFileAtomic(file, dual, 0644).ok());
  Pod pod(daemon);
  Pod second(daemon);
  const v1::PodSandboxNetworkStatus network = pod.Status().network();
  INFO(network.DebugString());
  CHECK(absl::StartsWith(network.ip(), "10."));
  REQUIRE(network.additional_ips_size() == 1);
  CHECK(absl::StartsWith(network.additional_ips(0).ip(), "fd00:c815::"));
  const std::string client = second.Run({"sleep", "1000"});
  CHECK(second.Exec(client, {"ping", "-c", "1", "-W", "5", network.ip()}).exit_code == 0);
  CHECK(second.Exec(client, {"ping", "-c", "1", "-W", "5", network.additional_ips(0).ip()})
            .exit_code == 0);
  // The same after a restart; no address once the pod is stopped.
  daemon.Kill9();
  daemon.Start();
  CHECK(pod.Status().network().ip() == network.ip());
  REQUIRE(pod.Status().network().additional_ips_size() == 1);
  CHECK(pod.Status().network().additional_ips(0).ip() == network.additional_ips(0).ip());
  pod.Stop();
  CHECK(pod.Status().network().ip().empty());
  CHECK(pod.Status().network().additional_ips_size() == 0);
}
