// Pods: shared namespaces, one IP, and a life that ends with pause and not with the containers.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "cni/netns.h"
#include "integration/pod.h"
#include "linux/process_ref.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

std::string Namespace(int pid, const std::string& type) {
  char target[128] = {};
  const ssize_t n =
      readlink(absl::StrCat("/proc/", pid, "/ns/", type).c_str(), target, sizeof(target) - 1);
  return n > 0 ? target : "unreadable";
}

// Fetches a page with busybox's wget inside a pod.
std::string Fetch(Pod& from, const std::string& container, const std::string& url) {
  return from.Exec(container, {"timeout", "5", "wget", "-q", "-O", "-", url}).out;
}

// The same, once there is a page: a server does not report when it listens.
std::string AwaitPage(Pod& from, const std::string& container, const std::string& url) {
  std::string page;
  (void)Eventually([&] { return !(page = Fetch(from, container, url)).empty(); });
  return page;
}

// How many rules or elements name the pod.
std::string RulesWith(Daemon& daemon, const std::string& pod) {
  const std::string command = absl::StrCat("(iptables -w -t nat -S; nft list ruleset) | grep -c ",
                                           pod, " >", daemon.dir(), "/rules");
  (void)!system(command.c_str());
  return base::ReadFile(daemon.dir() + "/rules").value();
}

uint64_t StartTicks(int pid) {
  return linux::ProcessRef::Of(pid).value_or(linux::ProcessRef()).start_ticks;
}

void KillPause(Pod& pod) {
  REQUIRE(kill(pod.HostPid(pod.id()), SIGKILL) == 0);
  CHECK(Eventually([&] { return pod.Status().state() == v1::SANDBOX_NOTREADY; }));
}

}  // namespace

TEST_CASE(
    "containers of a pod share pause's net, ipc and uts namespaces and have their own mnt and "
    "pid") {
  Pod pod(Daemon::Shared());
  const int first = pod.HostPid(pod.Run({"sleep", "1000"}));
  const int second = pod.HostPid(pod.Run({"sleep", "1000"}));
  const int pause = pod.HostPid(pod.id());
  REQUIRE(pause > 0);
  for (const char* type : {"net", "ipc", "uts"}) {
    CHECK(Namespace(first, type) == Namespace(pause, type));
    CHECK(Namespace(second, type) == Namespace(pause, type));
    CHECK(Namespace(first, type) != Namespace(getpid(), type));
  }
  for (const char* type : {"mnt", "pid"}) {
    CHECK(Namespace(first, type) != Namespace(pause, type));
    CHECK(Namespace(first, type) != Namespace(second, type));
  }
}

TEST_CASE("pid namespaces: POD shares pause's, NODE is the host's, TARGET is another container's") {
  Pod pod(Daemon::Shared());
  const auto with = [](v1::NamespaceMode mode, const std::string& target = "") {
    return [=](v1::ContainerConfig& config) {
      auto* options =
          config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
      options->set_pid(mode);
      options->set_target_id(target);
    };
  };
  const std::string own = pod.Run({"sleep", "1000"});
  CHECK(Namespace(pod.HostPid(pod.Run({"sleep", "1000"}, with(v1::POD))), "pid") ==
        Namespace(pod.HostPid(pod.id()), "pid"));
  Pod host(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::NODE);
  });
  CHECK(Namespace(host.HostPid(host.Run({"sleep", "1000"}, with(v1::NODE))), "pid") ==
        Namespace(getpid(), "pid"));
  CHECK(Namespace(pod.HostPid(pod.Run({"sleep", "1000"}, with(v1::TARGET, own))), "pid") ==
        Namespace(pod.HostPid(own), "pid"));
}

TEST_CASE("containers reach each other over localhost, and other pods reach them by the pod's IP") {
  Pod pod(Daemon::Shared());
  pod.Run({"sh", "-c",
           "mkdir -p /tmp/w && echo over-localhost >/tmp/w/index.html && exec httpd -f -p 8080 -h "
           "/tmp/w"});
  const std::string client = pod.Run({"sleep", "1000"});
  const std::string page = AwaitPage(pod, client, "http://127.0.0.1:8080/");
  CHECK(page == "over-localhost\n");
  Pod other(Daemon::Shared());
  CHECK(Fetch(other, other.Run({"sleep", "1000"}), "http://" + pod.Ip() + ":8080/") ==
        "over-localhost\n");
}

TEST_CASE("the pod outlives its containers with the same IP") {
  Pod pod(Daemon::Shared());
  const std::string ip = pod.Ip();
  REQUIRE_FALSE(ip.empty());
  pod.WaitExited(pod.Run({"true"}));
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  CHECK(pod.Ip() == ip);
}

TEST_CASE("one container writes into a shared volume and another serves it") {
  Daemon& daemon = Daemon::Shared();
  const std::string volume = daemon.dir() + "/shared-data";
  Pod pod(daemon);
  const auto mounted_at = [&](const std::string& image, const std::string& path) {
    return [=](v1::ContainerConfig& config) {
      config.mutable_image()->set_image(image);
      v1::Mount* mount = config.add_mounts();
      mount->set_host_path(volume);
      mount->set_container_path(path);
    };
  };
  pod.Run({}, mounted_at("nginx", "/usr/share/nginx/html"));
  const std::string writer =
      pod.Run({"/bin/sh", "-c", "echo Hello from the debian container > /pod-data/index.html"},
              mounted_at("debian", "/pod-data"));
  CHECK(pod.WaitExited(writer).exit_code() == 0);
  CHECK(pod.WaitExited(writer).reason() == "Completed");
  const std::string client = pod.Run({"sleep", "1000"});
  const std::string page = AwaitPage(pod, client, "http://127.0.0.1/");
  CHECK(page == "Hello from the debian container\n");
}

TEST_CASE("killing pause makes the sandbox NOTREADY; it can be stopped and removed") {
  Pod pod(Daemon::Shared());
  pod.Run({"sleep", "1000"});
  KillPause(pod);
  CHECK(pod.TryCreate(pod.ContainerConfig({"true"})).error_code() ==
        grpc::StatusCode::FAILED_PRECONDITION);
  pod.Stop();
  pod.Remove();
}

TEST_CASE("of a pod without containers no process runs but pause, also after a restart of crispd") {
  Daemon daemon;
  Pod pod(daemon);
  const pid_t pause = pod.HostPid(pod.id());
  CHECK(Eventually([&] { return CountProcesses(pod.id()) == 0; }));  // pause has no arguments
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  daemon.Kill9();
  daemon.Start();
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  CHECK(pod.HostPid(pod.id()) == pause);
  REQUIRE(kill(pause, SIGKILL) == 0);
  CHECK(Eventually([&] { return pod.Status().state() == v1::SANDBOX_NOTREADY; }));
}

TEST_CASE("a process that has the pid of an earlier boot's pause is not taken for it") {
  Daemon daemon;
  const bool same_ticks = GENERATE(false, true);
  pid_t other = fork();
  if (other == 0) {
    pause();
    _exit(0);
  }
  {
    Pod pod(daemon);
    const int pause = pod.HostPid(pod.id());
    const std::string group = pod.CgroupDirectory(pod.id(), "unified");
    daemon.Kill9();
    REQUIRE(kill(pause, SIGKILL) == 0);
    const std::string path = daemon.state() + "/containers/" + pod.id() + "/init.json";
    const std::string init = base::ReadFile(path).value();
    const uint64_t ticks = StartTicks(other) + (same_ticks ? 0 : 1);
    const std::string text = std::regex_replace(
        std::regex_replace(init, std::regex("\"pid\": *[0-9]+"), absl::StrCat("\"pid\":", other)),
        std::regex("\"start_ticks\": *[0-9]+"), absl::StrCat("\"start_ticks\":", ticks));
    REQUIRE(text != init);
    REQUIRE(base::WriteFileAtomic(path, text, 0600).ok());
    // After a reboot no cgroup is left.
    REQUIRE(Eventually([&] { return rmdir(group.c_str()) == 0; }));
    daemon.Start();
    CHECK(pod.Status().state() == v1::SANDBOX_NOTREADY);
  }
  CHECK(waitpid(other, nullptr, WNOHANG) == 0);  // it lives
  REQUIRE(kill(other, SIGKILL) == 0);
  REQUIRE(waitpid(other, nullptr, 0) == other);
}

TEST_CASE("a pause that somebody has moved to another cgroup is stopped all the same") {
  Daemon daemon;
  Pod pod(daemon);
  const pid_t pause = pod.HostPid(pod.id());
  const std::string group = absl::StrCat(
      access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup",
      "/crisp-test-moved-", getpid());
  REQUIRE(base::MakeDirs(group, 0755).ok());
  REQUIRE(base::WriteExisting(group + "/cgroup.procs", absl::StrCat(pause)).ok());
  pod.Stop();
  CHECK(Eventually([&] { return rmdir(group.c_str()) == 0; }));
}

TEST_CASE("a shim that is stopped while its pod's start fails is killed") {
  char directory[] = "/tmp/crisp-pods-XXXXXX";
  const std::string dir = mkdtemp(directory);
  const std::string plugin = absl::StrReplaceAll(R"(#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
printf "$CNI_CONTAINERID" >DIR/id
for process in /proc/[0-9]*; do
  if tr '\0' ' ' <$process/cmdline | grep -q "^crisp-shim .*$CNI_CONTAINERID"; then
    kill -STOP ${process#/proc/}
  fi
done
echo '{"cniVersion": "1.0.0", "code": 100, "msg": "stopped the shim"}'
exit 1
)",
                                                 {{"DIR", dir}});
  REQUIRE(base::WriteFileAtomic(dir + "/stopper", plugin, 0755).ok());
  {
    Daemon daemon({"--cni-bin-dir", dir});
    REQUIRE(base::WriteFileAtomic(daemon.dir() + "/net.d/10-test.conflist",
                                  R"({"cniVersion": "1.0.0", "name": "stopper",
                                      "plugins": [{"type": "stopper"}]})",
                                  0644)
                .ok());
    v1::RunPodSandboxRequest run;
    *run.mutable_config() =
        PodConfig(daemon, [](v1::PodSandboxConfig& config) { config.clear_log_directory(); });
    v1::RunPodSandboxResponse response;
    CHECK(absl::StrContains(
        daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, run, &response)
            .error_message(),
        "stopped the shim"));
    const std::string id = base::ReadFile(dir + "/id").value();
    REQUIRE(id.size() == 64);
    CHECK(Eventually([&] { return CountProcesses(id) == 0; }));
  }
  (void)base::RemoveTree(dir);
}

TEST_CASE("StopPodSandbox frees the IP, kills the containers and may be repeated") {
  Daemon& daemon = Daemon::Shared();
  std::string ip;
  {
    Pod pod(daemon);
    ip = pod.Ip();
    const std::string container = pod.Run({"sleep", "1000"});
    const std::string lease = daemon.dir() + "/ipam";
    pod.Stop();
    CHECK(pod.Status().state() == v1::SANDBOX_NOTREADY);
    CHECK(pod.Ip().empty());
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_EXITED);
    pod.Stop();
    const std::vector<std::string> networks = base::ListDir(lease).value();
    for (const std::string& name : networks) {
      const std::vector<std::string> leases = base::ListDir(base::JoinPath(lease, name)).value();
      CHECK(std::find(leases.begin(), leases.end(), ip) == leases.end());
    }
  }
}

TEST_CASE("StopPodSandbox leaves no lease and no rule when somebody has removed the netns pin") {
  Daemon& daemon = Daemon::Shared();
  const struct {
    bool file_stays;
    bool pause_lives;
  } cases[] = {{false, true}, {true, true}, {false, false}, {true, false}};
  for (const auto& [file_stays, pause_lives] : cases) {
    CAPTURE(file_stays, pause_lives);
    Pod pod(daemon);
    const auto rules = [&] { return RulesWith(daemon, pod.id()); };
    CHECK(rules() != "0\n");
    const std::string pin = cni::NetnsPath(pod.id());
    REQUIRE(umount2(pin.c_str(), MNT_DETACH) == 0);
    if (!file_stays) REQUIRE(unlink(pin.c_str()) == 0);
    if (!pause_lives) KillPause(pod);
    pod.Stop();
    CHECK(rules() == "0\n");
    CHECK(access(pin.c_str(), F_OK) != 0);
    const std::string found = absl::StrCat("grep -rq ", pod.id(), " ", daemon.dir(), "/ipam");
    const int status = system(found.c_str());
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));  // 2: there is no such directory
  }
}

TEST_CASE(
    "pods whose network crispd makes itself reach each other and leave no lease and no rule") {
  Daemon daemon({"--cni-native", "true"});
  daemon.Pull(kBusybox);
  Pod client(daemon);
  std::string id;
  {
    Pod server(daemon);
    id = server.id();
    const std::string web = server.Run(
        {"sh", "-c", "mkdir /tmp/www && echo hello >/tmp/www/index.html && httpd -f -h /tmp/www"});
    const std::string browser = client.Run({"sleep", "1000"});
    CHECK_THAT(client.Exec(browser, {"ip", "route"}).out, Catch::Contains("default via "));
    const std::string page = AwaitPage(client, browser, absl::StrCat("http://", server.Ip()));
    CHECK(page == "hello\n");
    // One element: the engine's. A plugin would have made rules of iptables.
    CHECK(RulesWith(daemon, id) == "1\n");
    daemon.Kill9();
    daemon.Start();
    server.Stop();
  }
  CHECK(RulesWith(daemon, id) == "0\n");
  const std::string found = absl::StrCat("grep -rq ", id, " ", daemon.dir(), "/ipam");
  const int status = system(found.c_str());
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
}

TEST_CASE("a stopped pod has no pending cleanup, so the next crispd does not tear it down again") {
  Daemon& daemon = Daemon::Shared();
  for (const v1::NamespaceMode network : {v1::POD, v1::NODE}) {
    Pod pod(daemon, [network](v1::PodSandboxConfig& config) {
      config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
          network);
    });
    const std::string record = absl::StrCat(daemon.root(), "/sandboxes/", pod.id(), "/record.json");
    CHECK_THAT(base::ReadFile(record).value(), Catch::Contains("\"owed\":[\""));
    pod.Stop();
    CHECK_THAT(base::ReadFile(record).value(), Catch::Contains("\"owed\":[]"));
  }
}

TEST_CASE("the life of a pod and its container is one log line each") {
  Daemon& daemon = Daemon::Shared();
  const size_t before = daemon.Log().size();
  std::string sandbox, container;
  {
    Pod pod(daemon);
    sandbox = pod.id();
    container = pod.Run({"sh", "-c", "exit 3"});
    CHECK(pod.WaitExited(container).exit_code() == 3);
    pod.RemoveContainer(container);
  }
  const std::string log = daemon.Log().substr(before);
  const auto count = [&](const std::string& text) {
    int found = 0;
    for (const absl::string_view line : absl::StrSplit(log, '\n'))
      found += absl::StrContains(line, text);
    return found;
  };
  for (const char* what : {"created", "started", "exited", "removed"})
    CHECK(count(absl::StrCat(" info container ", what, " container=", container)) == 1);
  CHECK(count("code=3 reason=Error") == 1);
  CHECK(count(absl::StrCat(" info sandbox started sandbox=", sandbox)) == 1);
  CHECK(count(absl::StrCat(" info sandbox removed sandbox=", sandbox)) == 1);
}

TEST_CASE(
    "an equal RunPodSandbox returns the existing sandbox, a retry after stop makes a new "
    "one") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  v1::RunPodSandboxRequest again;
  *again.mutable_config() = pod.config();
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, again)
            .pod_sandbox_id() == pod.id());
  pod.Stop();
  const std::string fresh =
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, again)
          .pod_sandbox_id();
  CHECK(fresh != pod.id());
  v1::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(fresh);
  daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RemovePodSandbox, remove);
}

TEST_CASE("a host-network pod has the host's namespace and name and no IP") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  CHECK(pod.Ip().empty());
  CHECK(Namespace(pod.HostPid(container), "net") == Namespace(getpid(), "net"));
  char name[256];
  gethostname(name, sizeof(name));
  CHECK(pod.Exec(container, {"hostname"}).out == absl::StrCat(name, "\n"));
  CHECK(pod.Status().linux().namespaces().options().network() == v1::NODE);
}

TEST_CASE("containers have the pod's hostname, DNS configuration and sysctls") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.set_hostname("textbook");
    config.mutable_dns_config()->add_servers("10.10.10.10");
    config.mutable_dns_config()->add_searches("google.com");
    config.mutable_dns_config()->add_options("ndots:8");
    (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
    (*config.mutable_linux()->mutable_sysctls())["fs.mqueue.msg_max"] = "100";
    (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "0";
  });
  const std::string container = pod.Run({"sleep", "1000"});
  CHECK(pod.Exec(container, {"hostname"}).out == "textbook\n");
  CHECK(pod.Exec(container, {"sh", "-c", "echo $HOSTNAME"}).out == "textbook\n");
  CHECK(pod.Exec(container, {"cat", "/etc/hostname"}).out == "textbook\n");
  const std::string resolv_conf = pod.Exec(container, {"cat", "/etc/resolv.conf"}).out;
  for (const char* line : {"nameserver 10.10.10.10", "search google.com", "options ndots:8"}) {
    CHECK(resolv_conf.find(line) != std::string::npos);
  }
  CHECK(pod.Exec(container, {"cat", "/proc/sys/kernel/shm_rmid_forced"}).out == "1\n");
  CHECK(pod.Exec(container, {"cat", "/proc/sys/fs/mqueue/msg_max"}).out == "100\n");
  CHECK(pod.Exec(container, {"cat", "/proc/sys/net/ipv4/ip_forward"}).out == "0\n");
}

TEST_CASE("containers of a pod share /dev/shm, pods do not") {
  Pod pod(Daemon::Shared()), other(Daemon::Shared());
  const std::string writer = pod.Run({"sleep", "1000"});
  CHECK(pod.Exec(writer, {"sh", "-c", "echo shared >/dev/shm/x"}).exit_code == 0);
  CHECK(pod.Exec(pod.Run({"sleep", "1000"}), {"cat", "/dev/shm/x"}).out == "shared\n");
  CHECK(other.Exec(other.Run({"sleep", "1000"}), {"ls", "/dev/shm"}).out.empty());
}

TEST_CASE("a host port answers on 127.0.0.1 until the pod is stopped") {
  Daemon& daemon = Daemon::Shared();
  Pod client(daemon, [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  const std::string shell = client.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  Pod pod(daemon, [](v1::PodSandboxConfig& config) {
    v1::PortMapping* mapping = config.add_port_mappings();
    mapping->set_host_port(18080);
    mapping->set_container_port(8080);
  });
  pod.Run({"sh", "-c",
           "mkdir -p /tmp/w && echo mapped >/tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w"});
  const std::string page = AwaitPage(client, shell, "http://127.0.0.1:18080/");
  CHECK(page == "mapped\n");
  pod.Stop();
  CHECK(Fetch(client, shell, "http://127.0.0.1:18080/").empty());
}

TEST_CASE(
    "lists filter by state, id prefix and labels; unknown ids are NOT_FOUND, in Stop and Remove "
    "they are fine") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon,
          [](v1::PodSandboxConfig& config) { (*config.mutable_labels())["app"] = "listed"; });
  v1::ListPodSandboxRequest list;
  list.mutable_filter()->set_id(pod.id().substr(0, 13));
  list.mutable_filter()->mutable_state()->set_state(v1::SANDBOX_READY);
  (*list.mutable_filter()->mutable_label_selector())["app"] = "listed";
  CHECK(
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, list).items_size() ==
      1);
  (*list.mutable_filter()->mutable_label_selector())["app"] = "other";
  CHECK(
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, list).items_size() ==
      0);
  v1::PodSandboxStatusRequest status;
  v1::PodSandboxStatusResponse response;
  for (const char* id :
       {"", "nope", "0000000000000000000000000000000000000000000000000000000000000000"}) {
    status.set_pod_sandbox_id(id);
    CHECK(
        daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::PodSandboxStatus, status, &response)
            .error_code() == grpc::StatusCode::NOT_FOUND);
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(id);
    daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::StopPodSandbox, stop);
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(id);
    daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RemovePodSandbox, remove);
  }
}
