// Node agents (fakes/node_agents.h) find the right container by the files of a pod that runs.
#include "fakes/node_agents.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

std::string Hierarchy() {
  const bool hybrid = access("/sys/fs/cgroup/unified", F_OK) == 0;
  return hybrid ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
}

// `top` and all groups below it.
std::vector<std::string> GroupsIn(const std::string& top) {
  std::vector<std::string> groups = {top};
  for (size_t i = 0; i < groups.size(); ++i) {
    const std::string directory = Hierarchy() + groups[i];
    for (const std::string& name : base::ListDir(directory).value_or(std::vector<std::string>())) {
      if (access(absl::StrCat(directory, "/", name, "/cgroup.procs").c_str(), F_OK) == 0)
        groups.push_back(absl::StrCat(groups[i], "/", name));
    }
  }
  return groups;
}

// `pods`: the group that holds all of the pod's groups.
Shown ShownBy(Pod& pod, const std::string& container, const std::string& pods) {
  Shown shown;
  shown.id = container;
  shown.pid = pod.HostPid(container);
  shown.uid = pod.config().metadata().uid();
  shown.above_kubepods = pods.substr(0, pods.find("/kubepods"));
  shown.host_cgroup = base::ReadFile(absl::StrCat("/proc/", shown.pid, "/cgroup")).value();
  shown.own_cgroup = pod.Exec(container, {"cat", "/proc/1/cgroup"}).out;
  shown.own_mountinfo = pod.Exec(container, {"cat", "/proc/1/mountinfo"}).out;
  v1::ContainerStatusRequest request;
  request.set_container_id(container);
  request.set_verbose(true);
  const v1::ContainerStatusResponse status = pod.daemon().Call(
      pod.daemon().runtime(), &v1::RuntimeService::Stub::ContainerStatus, request);
  shown.info = status.info().at("info");
  shown.groups = GroupsIn(pods);
  shown.log = absl::StrCat(pod.config().metadata().name(), "_test_",
                           status.status().metadata().name(), "-", container, ".log");
  return shown;
}

}  // namespace

TEST_CASE("node agents find each container of a pod by its real files") {
  std::string pods;
  Pod pod(Daemon::Shared(), [&](v1::PodSandboxConfig& config) {
    pods = absl::StrCat(config.linux().cgroup_parent(), "/kubepods/burstable/pod",
                        config.metadata().uid());
    config.mutable_linux()->set_cgroup_parent(pods);
  });
  for (int i = 0; i < 2; ++i) {
    const Shown shown = ShownBy(pod, pod.Run({"sleep", "1000"}), pods);
    CAPTURE(shown.host_cgroup, shown.own_cgroup, shown.own_mountinfo);
    CHECK(WrongIds(shown) == std::set<std::string>());
  }
}

TEST_CASE("agents that know only another socket find crispd and its containers there") {
  const std::string directory = absl::StrCat("/tmp/crisp-agents-", getpid());
  const std::string socket = directory + "/containerd/containerd.sock";
  {
    Daemon daemon({"--address", socket});
    Pod pod(daemon);
    const std::string container = pod.Run({"sleep", "1000"});
    client::CriClient agent(socket);
    v1::ListContainersResponse containers;
    const grpc::Status listed =
        client::CriClient::Call(agent.runtime(), &v1::RuntimeService::Stub::ListContainers,
                                v1::ListContainersRequest(), &containers, absl::Seconds(20));
    INFO(listed.error_message());
    REQUIRE(listed.ok());
    REQUIRE(containers.containers_size() == 1);
    CHECK(containers.containers(0).id() == container);
    daemon.Terminate();
    CHECK(access(socket.c_str(), F_OK) != 0);
    daemon.Start();
  }
  CHECK(base::RemoveTree(directory).ok());
}

TEST_CASE("systemd driver: node agents find each container of a pod by its real files") {
  if (access("/run/systemd/system", F_OK) != 0) {
    printf("skipped: node agents: systemd is not PID 1\n");
    return;
  }
  Daemon daemon({"--cgroup-driver", "systemd"});
  std::string slice;
  Pod pod(daemon, [&](v1::PodSandboxConfig& config) {
    slice = absl::StrCat("kubepods-burstable-pod", config.metadata().uid(), ".slice");
    config.mutable_linux()->set_cgroup_parent(slice);
  });
  for (int i = 0; i < 2; ++i) {
    const Shown shown = ShownBy(pod, pod.Run({"sleep", "1000"}),
                                "/kubepods.slice/kubepods-burstable.slice/" + slice);
    CAPTURE(shown.host_cgroup, shown.own_cgroup, shown.own_mountinfo);
    CHECK(WrongIds(shown) == std::set<std::string>());
  }
}
