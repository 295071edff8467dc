// The ids that node agents find for a container, from what crispd's own code makes of a pod of
// kubelet's: names of groups, paths, the runtime spec, the verbose status. A name that changes such
// that an agent takes another id, or none, fails here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "cgroup/group_path.h"
#include "cgroup/join.h"
#include "fake_runtime.h"
#include "fakes/node_agents.h"
#include "runtime/bundle.h"
#include "spec/container_spec.h"
#include "spec/pod_files.h"
#include "spec/sandbox_spec.h"

namespace crisp {
namespace {

using test::NodeAgent;
using test::Shown;

constexpr int kPause = 4711;
constexpr char kUid[] = "1858680e-b044-4fd5-9dd4-f137e30e2180";
constexpr char kGroup[] = "/kubepods/burstable/pod1858680e-b044-4fd5-9dd4-f137e30e2180";
constexpr char kSlice[] = "kubepods-burstable-pod1858680e_b044_4fd5_9dd4_f137e30e2180.slice";

enum class Host { kV1, kV2, kV2Systemd };

// The container "app" of a pod. Ids have only digits: an agent's pattern must not take one for a
// word.
class PodShown {
 public:
  // `scope`: of the pod, with the systemd driver.
  PodShown(Host host, const std::string& scope)
      : v1_(host == Host::kV1),
        parent_(host == Host::kV2Systemd ? scope : kGroup),
        record_(*runtime_.AddContainer('2', '1')) {
    cri::FakeRuntime::Start(record_);
    const oci::Spec spec = Spec();
    REQUIRE(runtime::WriteBundle(runtime_.api().paths.Bundle(record_.id()), spec).ok());
    shown_.id = container_;
    shown_.pid = record_.init()->process.pid;
    shown_.uid = kUid;
    shown_.host_cgroup = CgroupFile();
    const bool own_namespace =
        std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                    [](const oci::Namespace& entry) { return entry.type == "cgroup"; });
    shown_.own_cgroup = own_namespace ? "0::/\n" : shown_.host_cgroup;
    shown_.own_mountinfo = MountInfo(spec);
    shown_.info = Info();
    const std::string pause = cgroup::GroupPath(parent_, sandbox_);
    shown_.groups = {cgroup::GroupAbove(pause), pause, group_};
    if (host == Host::kV2Systemd) shown_.groups.push_back(parent_);
    shown_.log = absl::StrCat("pod-a_default_app-", container_, ".log");
  }

  Shown& shown() { return shown_; }
  const std::string& sandbox() const { return sandbox_; }

 private:
  // What kubelet asks for.
  oci::Spec Spec() const {
    ::runtime::v1::ContainerConfig config;
    for (const auto& [on_host, inside] :
         {std::pair("etc-hosts", "/etc/hosts"),
          std::pair("containers/app/1a2b3c4d", "/dev/termination-log"),
          std::pair("volumes/kubernetes.io~empty-dir/data", "/data")}) {
      ::runtime::v1::Mount& mount = *config.add_mounts();
      mount.set_host_path(absl::StrCat("/var/lib/kubelet/pods/", kUid, "/", on_host));
      mount.set_container_path(inside);
    }
    const ::runtime::v1::PodSandboxConfig pod;
    oci::ImageConfig image;
    image.entrypoint = {"/app"};
    const std::string files = absl::StrCat("/proc/", kPause, "/root", spec::kPodFilesMount);
    spec::CdiFiles no_devices{std::vector<std::string>()};
    auto result = spec::ContainerSpec({.config = config,
                                       .sandbox_config = pod,
                                       .image = image,
                                       .user = {},
                                       .id = container_,
                                       .sandbox_id = sandbox_,
                                       .sandbox_pid = kPause,
                                       .target_pid = 0,
                                       .cgroup_path = group_,
                                       .hostname = "pod-a",
                                       .hostname_path = spec::ContainerHostname(files, container_),
                                       .resolv_conf_path = files + "/resolv.conf",
                                       .hosts_path = files + "/hosts",
                                       .cgroup_host = {.v2 = !v1_, .nsdelegate = false},
                                       .cdi = no_devices});
    INFO(result.status());
    REQUIRE(result.ok());
    return std::move(result->spec);
  }

  std::string CgroupFile() const {
    if (!v1_) return absl::StrCat("0::", group_, "\n");
    std::string text = "9:name=systemd:/\n";  // a hierarchy that crispd does not use
    for (const char* controllers : {"pids", "memory", "cpuset", "cpu,cpuacct"})
      absl::StrAppend(&text, "5:", controllers, ":", group_, "\n");
    return absl::StrCat(text, "0::", group_, "\n");
  }

  // As the kernel writes it (proc_pid_mountinfo(5)): of a bind mount the path in its file system.
  std::string MountInfo(const oci::Spec& spec) const {
    const std::string pause_root = absl::StrCat("/proc/", kPause, "/root");
    std::vector<std::string> lines = {Line("/", "/", "overlay overlay rw,lowerdir=1:2")};
    for (const oci::Mount& mount : spec.mounts) {
      absl::string_view source = mount.source;
      if (mount.type == "cgroup" && v1_) {
        lines.push_back(Line(group_, "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory"));
      } else if (mount.type != "bind") {
        lines.push_back(Line("/", mount.destination, absl::StrCat(mount.type, " ", source, " rw")));
      } else if (absl::ConsumePrefix(&source, pause_root)) {
        if (!absl::ConsumePrefix(&source, spec::kPodFilesMount)) source = "/";  // /dev/shm
        lines.push_back(Line(source, mount.destination, "tmpfs pod-files rw"));
      } else {
        lines.push_back(Line(source, mount.destination, "ext4 /dev/sda1 rw"));
      }
    }
    return absl::StrJoin(lines, "\n");
  }

  static std::string Line(absl::string_view root, absl::string_view place, absl::string_view rest) {
    return absl::StrCat("100 99 0:50 ", root, " ", place, " rw,relatime - ", rest);
  }

  std::string Info() {
    ::runtime::v1::ContainerStatusRequest request;
    request.set_container_id(record_.id().str());
    request.set_verbose(true);
    return cri::ContainerStatus(runtime_.api(), request, runtime_.call)->info().at("info");
  }

  cri::FakeRuntime runtime_;
  const bool v1_;
  const std::string parent_;
  container::Container& record_;
  const std::string sandbox_ = cri::Id('1');
  const std::string container_ = cri::Id('2');
  const std::string group_ = cgroup::GroupPath(parent_, container_);
  Shown shown_;
};

std::string ScopeOf(const std::string& sandbox) { return cgroup::PodScopePath(kSlice, sandbox); }

}  // namespace

TEST_CASE("ten node agents find the container's id, on every kind of host") {
  const Host host = GENERATE(Host::kV1, Host::kV2, Host::kV2Systemd);
  CAPTURE(host);
  PodShown pod(host, ScopeOf(cri::Id('1')));
  CAPTURE(pod.shown().host_cgroup, pod.shown().own_mountinfo);
  CHECK(WrongIds(pod.shown()) == std::set<std::string>());
  std::set<std::string> tools;
  for (const NodeAgent& agent : test::NodeAgents()) tools.insert(agent.tool);
  CHECK(tools.size() == 10);
}

TEST_CASE(
    "agents that look for an id in the path of a process's group find it for an exec's, too") {
  const Host host = GENERATE(Host::kV2, Host::kV2Systemd);
  CAPTURE(host);
  Shown shown = PodShown(host, ScopeOf(cri::Id('1'))).shown();
  shown.host_cgroup = absl::StrCat(absl::StripSuffix(shown.host_cgroup, "\n"), "/",
                                   cgroup::ExecGroupName(4711), "\n");
  std::set<std::string> right = {"Tracee, group of an event", "OpenTelemetry, eBPF profiler"};
  if (host == Host::kV2Systemd) {
    right.insert("Datadog, a process's group");
    right.insert("Falco, container plugin");  // with cgroupfs it looks at the last part only
  }
  for (const NodeAgent& agent : test::NodeAgents()) {
    const std::string name = absl::StrCat(agent.tool, ", ", agent.part);
    INFO(name);
    if (right.erase(name) == 0) continue;
    const std::string found = agent.find(shown);
    CHECK((found.size() >= 12 && absl::StartsWith(shown.id, found)));
  }
  CHECK(right.empty());
}

TEST_CASE("the names of crisp 0.1 misled agents: the table notices wrong names") {
  PodShown pod(
      Host::kV2Systemd,
      absl::StrReplaceAll(ScopeOf(cri::Id('1')), {{absl::StrCat("crisp-pod-", std::string(32, '1')),
                                                   absl::StrCat("crisp-", cri::Id('1'))}}));
  Shown shown = pod.shown();
  shown.own_mountinfo = absl::StrReplaceAll(
      shown.own_mountinfo,
      {{absl::StrCat("/containers/", shown.id), absl::StrCat("/pods/", pod.sandbox())}});
  CHECK(WrongIds(shown) ==
        std::set<std::string>{
            "Cilium, group of a container: ", "Datadog, a process's group: " + pod.sandbox(),
            "Datadog, tracers: " + pod.sandbox(), "OpenTelemetry, Go: " + pod.sandbox(),
            "OpenTelemetry, Java: ", "OpenTelemetry, JavaScript: "});
}

TEST_CASE("agents with a fixed list of sockets find crispd at the address that is shown for them") {
  // A comment of deploy/config.toml.
  constexpr absl::string_view kShown = "# address = [";
  const std::string text = base::ReadFile(CRISP_DEPLOY_CONFIG).value();
  const size_t start = text.find(std::string(kShown));
  REQUIRE(start != std::string::npos);
  config::Config config;
  REQUIRE(
      config::ApplyToml(text.substr(start + 2, text.find('\n', start) - start - 2), config).ok());
  for (const NodeAgent& agent : test::NodeAgents()) {
    CAPTURE(agent.tool, agent.part);
    CHECK((agent.sockets.empty() ||
           std::find_first_of(agent.sockets.begin(), agent.sockets.end(), config.address.begin(),
                              config.address.end()) != agent.sockets.end()));
  }
}

}  // namespace crisp
