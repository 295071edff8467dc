// CreateContainer, StartContainer, StopContainer, RemoveContainer, ContainerStatus, ListContainers,
// UpdateContainerResources, ReopenContainerLog, ContainerStats, ListContainerStats.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "fake_runtime.h"
#include "oci/runtime_spec.h"
#include "runtime/bundle.h"

namespace crisp::cri {
namespace {

using Calls = std::vector<std::string>;

v1::CreateContainerRequest CreateRequest(const std::string& sandbox) {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(sandbox);
  request.mutable_config()->mutable_metadata()->set_name("main");
  request.mutable_config()->mutable_image()->set_image("docker.io/library/debian:12");
  return request;
}

TEST_CASE("CreateContainer creates a valid configuration in its sandbox") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  CHECK(CreateContainer(fake.api(), CreateRequest(Id('a')), fake.call)->container_id() == Id('f'));
  CHECK(fake.actions.calls == Calls{"create main in " + Id('a')});
}

TEST_CASE("CreateContainer judges by the pod's configuration of its own request") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  v1::CreateContainerRequest request = CreateRequest(Id('a'));
  const auto privileged = [](auto& config) {
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  };
  privileged(*request.mutable_config());
  // Without a configuration of the pod, what RunPodSandbox had counts: not privileged.
  const absl::Status refused = CreateContainer(fake.api(), request, fake.call).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK(absl::StrContains(refused.message(), "privileged"));
  request.mutable_sandbox_config()->set_log_directory("/var/log/pods/moved");
  CHECK(absl::IsInvalidArgument(CreateContainer(fake.api(), request, fake.call).status()));
  // What kubectl debug --profile=sysadmin leads to.
  privileged(*request.mutable_sandbox_config());
  request.mutable_sandbox_config()->set_hostname("another");
  CHECK(CreateContainer(fake.api(), request, fake.call).ok());
  const v1::PodSandboxConfig& pod = fake.containers.created_in;
  CHECK(pod.linux().security_context().privileged());
  CHECK(pod.log_directory() == "/var/log/pods/moved");
  CHECK(pod.metadata().name() == "pod-a");
  CHECK(pod.hostname().empty());
  request.mutable_sandbox_config()->set_log_directory("logs");
  CHECK(absl::IsInvalidArgument(CreateContainer(fake.api(), request, fake.call).status()));
}

TEST_CASE("CreateContainer refuses a sandbox that is not ready, and bad input") {
  FakeRuntime fake;
  fake.AddSandbox('a')->MarkStopped();
  fake.AddSandbox('b');
  const auto code = [&](const v1::CreateContainerRequest& request) {
    return CreateContainer(fake.api(), request, fake.call).status().code();
  };
  CHECK(code(CreateRequest(Id('a'))) == absl::StatusCode::kFailedPrecondition);
  CHECK(code(CreateRequest(Id('9'))) == absl::StatusCode::kNotFound);
  v1::CreateContainerRequest nameless = CreateRequest(Id('b'));
  nameless.mutable_config()->mutable_metadata()->clear_name();
  CHECK(code(nameless) == absl::StatusCode::kInvalidArgument);
  v1::CreateContainerRequest relative = CreateRequest(Id('b'));
  relative.mutable_config()->add_mounts()->set_container_path("data");
  CHECK(code(relative) == absl::StatusCode::kInvalidArgument);
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("StartContainer, ReopenContainerLog and UpdateContainerResources need the container") {
  FakeRuntime fake;
  v1::StartContainerRequest start;
  v1::ReopenContainerLogRequest reopen;
  v1::UpdateContainerResourcesRequest update;
  for (auto* id : {start.mutable_container_id(), reopen.mutable_container_id(),
                   update.mutable_container_id()}) {
    *id = Id('c');
  }
  CHECK(absl::IsNotFound(StartContainer(fake.api(), start, fake.call).status()));
  CHECK(absl::IsNotFound(ReopenContainerLog(fake.api(), reopen, fake.call).status()));
  CHECK(absl::IsNotFound(UpdateContainerResources(fake.api(), update, fake.call).status()));
  const runtime::ContainerPtr container = fake.AddContainer('c', 'a');
  CHECK(absl::IsFailedPrecondition(ReopenContainerLog(fake.api(), reopen, fake.call).status()));
  CHECK(StartContainer(fake.api(), start, fake.call).ok());
  FakeRuntime::Start(*container);
  CHECK(ReopenContainerLog(fake.api(), reopen, fake.call).ok());
  update.mutable_linux()->set_cpu_shares(2);
  CHECK(UpdateContainerResources(fake.api(), update, fake.call).ok());
  CHECK(fake.actions.calls ==
        Calls{"start " + Id('c'), "reopen " + Id('c'), "update " + Id('c') + " 2"});
}

TEST_CASE("UpdateContainerResources refuses a number no host can give") {
  FakeRuntime fake;
  fake.AddContainer('c', 'a');
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(Id('c'));
  update.mutable_linux()->set_cpu_shares(-5);
  CHECK(absl::IsInvalidArgument(UpdateContainerResources(fake.api(), update, fake.call).status()));
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("StopContainer and RemoveContainer of a container that is gone succeed") {
  FakeRuntime fake;
  v1::StopContainerRequest stop;
  v1::RemoveContainerRequest remove;
  stop.set_container_id(Id('c'));
  remove.set_container_id(Id('c'));
  CHECK(StopContainer(fake.api(), stop, fake.call).ok());
  CHECK(RemoveContainer(fake.api(), remove, fake.call).ok());
  CHECK(fake.actions.calls.empty());
  fake.AddContainer('c', 'a');
  stop.set_timeout(30);
  CHECK(StopContainer(fake.api(), stop, fake.call).ok());
  stop.set_timeout(-1);  // as little as none
  CHECK(StopContainer(fake.api(), stop, fake.call).ok());
  CHECK(RemoveContainer(fake.api(), remove, fake.call).ok());
  CHECK(fake.actions.calls ==
        Calls{"stop " + Id('c') + " 30s", "stop " + Id('c') + " 0", "remove " + Id('c')});
}

TEST_CASE("errors of StopContainer and RemoveContainer name the operation") {
  FakeRuntime fake;
  fake.AddContainer('c', 'a');
  fake.actions.result = absl::DeadlineExceededError("it is still there");
  v1::StopContainerRequest stop;
  v1::RemoveContainerRequest remove;
  stop.set_container_id(Id('c'));
  remove.set_container_id(Id('c'));
  CHECK(StopContainer(fake.api(), stop, fake.call).status() ==
        absl::DeadlineExceededError("stop container: it is still there"));
  CHECK(RemoveContainer(fake.api(), remove, fake.call).status() ==
        absl::DeadlineExceededError("remove container: it is still there"));
}

TEST_CASE("ContainerStatus follows the container through its life") {
  FakeRuntime fake;
  const runtime::ContainerPtr container = fake.AddContainer('c', 'a');
  v1::ContainerStatusRequest request;
  request.set_container_id("ccc");
  const auto status = [&] { return ContainerStatus(fake.api(), request, fake.call)->status(); };
  CHECK(status().state() == v1::CONTAINER_CREATED);
  FakeRuntime::Start(*container);
  CHECK(status().state() == v1::CONTAINER_RUNNING);
  CHECK(status().started_at() == 11);
  FakeRuntime::Exit(*container);
  CHECK(status().state() == v1::CONTAINER_EXITED);
  CHECK(status().exit_code() == 3);
  CHECK(status().reason() == "Error");
  CHECK(status().finished_at() == 12);
  request.set_container_id(Id('9'));
  CHECK(absl::IsNotFound(ContainerStatus(fake.api(), request, fake.call).status()));
}

TEST_CASE("verbose ContainerStatus has what node agents read, and no pid of a process that ended") {
  FakeRuntime fake;
  const runtime::ContainerPtr container = fake.AddContainer('c', 'a');
  oci::Spec spec;
  spec.linux_.cgroups_path = "/pod/ccc";
  spec.process.apparmor_profile = "crisp-default";
  REQUIRE(runtime::WriteBundle(fake.api().paths.Bundle(container->id()), spec).ok());
  v1::ContainerStatusRequest request;
  request.set_container_id(Id('c'));
  request.set_verbose(true);
  const auto info = [&] {
    return nlohmann::json::parse(
        ContainerStatus(fake.api(), request, fake.call)->info().at("info"));
  };
  CHECK(info()["pid"] == 0);
  FakeRuntime::Start(*container);
  const nlohmann::json running = info();
  CHECK(running["pid"] == 9);
  CHECK(running["sandboxID"] == Id('a'));
  CHECK(running["privileged"] == false);
  CHECK(running["config"]["metadata"]["name"] == "container-c");
  CHECK(running["runtimeSpec"]["linux"]["cgroupsPath"] == "/pod/ccc");
  CHECK(running["runtimeSpec"]["process"]["apparmorProfile"] == "crisp-default");
  FakeRuntime::Exit(*container);
  CHECK(info()["pid"] == 0);
}

TEST_CASE("ListContainers and ListContainerStats: every field of the filter must match") {
  FakeRuntime fake;
  fake.AddContainer('c', 'a', {{"app", "web"}});
  FakeRuntime::Start(*fake.AddContainer('d', 'a'));
  const runtime::ContainerPtr exited = fake.AddContainer('e', 'b', {{"app", "web"}});
  FakeRuntime::Start(*exited);
  FakeRuntime::Exit(*exited);
  const auto list = [&](const std::function<void(v1::ContainerFilter&)>& fill) {
    v1::ListContainersRequest request;
    fill(*request.mutable_filter());
    const auto response = ListContainers(fake.api(), request, fake.call);
    std::string ids;
    for (const v1::Container& item : response->containers()) ids += item.id()[0];
    return ids;
  };
  CHECK(list([](v1::ContainerFilter&) {}) == "cde");
  CHECK(list([](v1::ContainerFilter& f) { f.set_id("d"); }) == "d");
  CHECK(list([](v1::ContainerFilter& f) { f.set_pod_sandbox_id("a"); }) == "cd");
  CHECK(list([](v1::ContainerFilter& f) { f.mutable_state()->set_state(v1::CONTAINER_RUNNING); }) ==
        "d");
  CHECK(list([](v1::ContainerFilter& f) { (*f.mutable_label_selector())["app"] = "web"; }) == "ce");
  CHECK(list([](v1::ContainerFilter& f) {
          f.set_pod_sandbox_id("a");
          (*f.mutable_label_selector())["app"] = "web";
        }) == "c");
  const auto stats = [&](const std::string& id, const std::string& sandbox) {
    v1::ListContainerStatsRequest request;
    request.mutable_filter()->set_id(id);
    request.mutable_filter()->set_pod_sandbox_id(sandbox);
    return ListContainerStats(fake.api(), request, fake.call)->stats_size();
  };
  CHECK(stats("", "") == 2);  // not of the one that has exited
  CHECK(stats("c", "") == 1);
  CHECK(stats("", "b") == 0);
}

TEST_CASE("ContainerStats leaves unset what cannot be read") {
  FakeRuntime fake;
  fake.AddContainer('c', 'a');
  v1::ContainerStatsRequest request;
  request.set_container_id(Id('c'));
  auto stats = ContainerStats(fake.api(), request, fake.call);
  REQUIRE(stats.ok());
  CHECK(stats->stats().attributes().metadata().name() == "container-c");
  CHECK_FALSE(stats->stats().has_cpu());
  CHECK_FALSE(stats->stats().has_writable_layer());
  fake.stats.cgroup = cgroup::Usage{.stats = {}, .nano_cores = 7, .processes = 0, .taken_at_ns = 5};
  fake.stats.layer = snapshot::MeasuredUsage{.usage = {.bytes = 3, .inodes = 2}, .taken_at_ns = 9};
  stats = ContainerStats(fake.api(), request, fake.call);
  CHECK(stats->stats().cpu().usage_nano_cores().value() == 7);
  CHECK(stats->stats().cpu().timestamp() == 5);  // of the reading
  CHECK(stats->stats().writable_layer().used_bytes().value() == 3);
  CHECK(stats->stats().writable_layer().timestamp() == 9);  // of the measurement
  CHECK(stats->stats().writable_layer().fs_id().mountpoint() == "/layers");
  request.set_container_id("");
  CHECK(absl::IsNotFound(ContainerStats(fake.api(), request, fake.call).status()));
}

}  // namespace
}  // namespace crisp::cri
