// RunPodSandbox, StopPodSandbox, RemovePodSandbox, PodSandboxStatus, ListPodSandbox,
// UpdatePodSandboxResources, PodSandboxStats, ListPodSandboxStats, ListPodSandboxMetrics.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fake_runtime.h"
#include "oci/runtime_spec.h"
#include "runtime/bundle.h"

namespace crisp::cri {
namespace {

using Calls = std::vector<std::string>;

v1::RunPodSandboxRequest RunRequest() {
  v1::RunPodSandboxRequest request;
  v1::PodSandboxMetadata& metadata = *request.mutable_config()->mutable_metadata();
  metadata.set_name("pod");
  metadata.set_namespace_("default");
  metadata.set_uid("uid");
  return request;
}

template <typename Response>
std::string IdsOf(const Response& response) {
  std::string ids;
  for (const auto& item : response.items()) ids += item.id()[0];
  return ids;
}

TEST_CASE("RunPodSandbox runs a valid configuration with the handler that was asked for") {
  FakeRuntime fake;
  v1::RunPodSandboxRequest request = RunRequest();
  request.set_runtime_handler("crisp");
  CHECK(RunPodSandbox(fake.api(), request, fake.call)->pod_sandbox_id() == Id('e'));
  CHECK(fake.actions.calls == Calls{"run pod crisp"});
}

TEST_CASE("RunPodSandbox refuses bad input before anything is made") {
  FakeRuntime fake;
  v1::RunPodSandboxRequest handler = RunRequest();
  handler.set_runtime_handler("kata");
  v1::RunPodSandboxRequest name = RunRequest();
  name.mutable_config()->mutable_metadata()->clear_name();
  for (const auto& [request, word] :
       {std::pair(handler, "RuntimeClass handler \"kata\""), std::pair(name, "metadata.name")}) {
    const absl::Status status = RunPodSandbox(fake.api(), request, fake.call).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(status.message()), Catch::Contains(word));
  }
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("the runtime's error reaches the client with its code") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  fake.actions.result = absl::UnavailableError("no network");
  CHECK(absl::IsUnavailable(RunPodSandbox(fake.api(), RunRequest(), fake.call).status()));
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(Id('a'));
  CHECK(absl::IsUnavailable(StopPodSandbox(fake.api(), stop, fake.call).status()));
}

TEST_CASE("StopPodSandbox and RemovePodSandbox of a sandbox that is gone succeed") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  v1::StopPodSandboxRequest stop;
  v1::RemovePodSandboxRequest remove;
  for (const std::string& id : {Id('b'), std::string()}) {
    stop.set_pod_sandbox_id(id);
    remove.set_pod_sandbox_id(id);
    CHECK(StopPodSandbox(fake.api(), stop, fake.call).ok());
    CHECK(RemovePodSandbox(fake.api(), remove, fake.call).ok());
  }
  CHECK(fake.actions.calls.empty());
  stop.set_pod_sandbox_id("aaa");  // a prefix of one id
  remove.set_pod_sandbox_id(Id('a'));
  CHECK(StopPodSandbox(fake.api(), stop, fake.call).ok());
  CHECK(RemovePodSandbox(fake.api(), remove, fake.call).ok());
  CHECK(fake.actions.calls == Calls{"stop " + Id('a'), "remove " + Id('a')});
}

TEST_CASE("PodSandboxStatus shows the sandbox and its containers, and hides one being made") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  fake.AddSandbox('b', /*ready=*/false);
  fake.AddContainer('c', 'a');
  fake.AddContainer('d', 'b');
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(Id('a'));
  const auto status = PodSandboxStatus(fake.api(), request, fake.call);
  REQUIRE(status.ok());
  CHECK(status->status().state() == v1::SANDBOX_READY);
  CHECK(status->status().metadata().name() == "pod-a");
  REQUIRE(status->containers_statuses_size() == 1);
  CHECK(status->containers_statuses(0).id() == Id('c'));
  CHECK(status->info().empty());
  request.set_verbose(true);
  CHECK(PodSandboxStatus(fake.api(), request, fake.call)->info().count("info") == 1);
  for (const std::string& id : {Id('b'), Id('9'), std::string()}) {
    request.set_pod_sandbox_id(id);
    CHECK(absl::IsNotFound(PodSandboxStatus(fake.api(), request, fake.call).status()));
  }
}

TEST_CASE("verbose PodSandboxStatus has the network namespace, and no pid of a pause that ended") {
  FakeRuntime fake;
  const runtime::SandboxPtr sandbox = fake.AddSandbox('a');
  REQUIRE(sandbox->Update([](store::SandboxRecord& record) { record.netns_path = "/run/netns/a"; })
              .ok());
  oci::Spec spec;
  spec.linux_.namespaces = {{.type = "mount", .path = ""}, {.type = "network", .path = ""}};
  REQUIRE(runtime::WriteBundle(fake.api().paths.Bundle(sandbox->id()), spec).ok());
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(Id('a'));
  request.set_verbose(true);
  const auto info = [&] {
    return nlohmann::json::parse(
        PodSandboxStatus(fake.api(), request, fake.call)->info().at("info"));
  };
  const nlohmann::json ready = info();
  CHECK(ready["pid"] == 7);
  const nlohmann::json& namespaces = ready["runtimeSpec"]["linux"]["namespaces"];
  REQUIRE(namespaces.size() == 2);
  CHECK(namespaces[0].value("path", "") == "");
  CHECK(namespaces[1]["path"] == "/run/netns/a");
  sandbox->PauseGone([] {});
  CHECK(info()["pid"] == 0);
}

TEST_CASE("ListPodSandbox: every field of the filter must match") {
  FakeRuntime fake;
  fake.AddSandbox('a', true, {{"app", "web"}, {"tier", "front"}});
  fake.AddSandbox('b', true, {{"app", "web"}});
  fake.AddSandbox('c', /*ready=*/false, {{"app", "web"}});
  fake.AddSandbox('d')->MarkStopped();
  const auto list = [&](const std::function<void(v1::PodSandboxFilter&)>& fill) {
    v1::ListPodSandboxRequest request;
    fill(*request.mutable_filter());
    return IdsOf(*ListPodSandbox(fake.api(), request, fake.call));
  };
  CHECK(list([](v1::PodSandboxFilter&) {}) == "abd");
  CHECK(list([](v1::PodSandboxFilter& f) { f.set_id("aaaa"); }) == "a");
  CHECK(list([](v1::PodSandboxFilter& f) { f.mutable_state()->set_state(v1::SANDBOX_NOTREADY); }) ==
        "d");
  CHECK(list([](v1::PodSandboxFilter& f) { (*f.mutable_label_selector())["app"] = "web"; }) ==
        "ab");
  CHECK(list([](v1::PodSandboxFilter& f) {
          (*f.mutable_label_selector())["app"] = "web";
          (*f.mutable_label_selector())["tier"] = "front";
        }) == "a");
  CHECK(list([](v1::PodSandboxFilter& f) {
          f.set_id("b");
          (*f.mutable_label_selector())["tier"] = "front";
        }).empty());
}

TEST_CASE("UpdatePodSandboxResources keeps the numbers and refuses those that cannot be") {
  FakeRuntime fake;
  const runtime::SandboxPtr sandbox = fake.AddSandbox('a');
  v1::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(Id('a'));
  request.mutable_resources()->set_cpu_shares(512);
  REQUIRE(UpdatePodSandboxResources(fake.api(), request, fake.call).ok());
  CHECK(sandbox->record().config.linux().resources().cpu_shares() == 512);
  request.mutable_resources()->set_cpu_shares(-1);
  CHECK(
      absl::IsInvalidArgument(UpdatePodSandboxResources(fake.api(), request, fake.call).status()));
  CHECK(sandbox->record().config.linux().resources().cpu_shares() == 512);
  request.set_pod_sandbox_id(Id('b'));
  CHECK(absl::IsNotFound(UpdatePodSandboxResources(fake.api(), request, fake.call).status()));
}

TEST_CASE("PodSandboxStats of a pod that ends meanwhile has no numbers, and is no error") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  fake.AddContainer('c', 'a');
  FakeRuntime::Exit(*fake.AddContainer('d', 'a'));
  v1::PodSandboxStatsRequest request;
  request.set_pod_sandbox_id(Id('a'));
  auto stats = PodSandboxStats(fake.api(), request, fake.call);
  REQUIRE(stats.ok());
  CHECK(stats->stats().attributes().id() == Id('a'));
  CHECK_FALSE(stats->stats().linux().has_cpu());
  CHECK(stats->stats().linux().containers_size() == 1);
  fake.stats.cgroup = cgroup::Usage{.stats = {}, .nano_cores = 1};
  stats = PodSandboxStats(fake.api(), request, fake.call);
  CHECK(stats->stats().linux().process().process_count().value() == 3);
  CHECK(stats->stats().linux().cpu().usage_nano_cores().value() == 1);
  CHECK(fake.stats.refreshed == 4);  // the pod and its container, each time
  request.set_pod_sandbox_id(Id('9'));
  CHECK(absl::IsNotFound(PodSandboxStats(fake.api(), request, fake.call).status()));
}

TEST_CASE("ListPodSandboxStats and ListPodSandboxMetrics show ready sandboxes only") {
  FakeRuntime fake;
  fake.stats.cgroup = cgroup::Usage();
  fake.AddSandbox('a', true, {{"app", "web"}});
  fake.AddSandbox('b', /*ready=*/false);
  fake.AddSandbox('c')->MarkStopped();
  fake.AddContainer('d', 'a');
  FakeRuntime::Start(*fake.AddContainer('e', 'a'));
  v1::ListPodSandboxStatsRequest request;
  CHECK(ListPodSandboxStats(fake.api(), request, fake.call)->stats_size() == 1);
  request.mutable_filter()->set_id(Id('c'));
  CHECK(ListPodSandboxStats(fake.api(), request, fake.call)->stats_size() == 0);
  request.mutable_filter()->clear_id();
  (*request.mutable_filter()->mutable_label_selector())["app"] = "db";
  CHECK(ListPodSandboxStats(fake.api(), request, fake.call)->stats_size() == 0);
  const auto metrics = ListPodSandboxMetrics(fake.api(), {}, fake.call);
  REQUIRE(metrics->pod_metrics_size() == 1);
  CHECK(metrics->pod_metrics(0).container_metrics_size() == 1);  // the one that runs
  CHECK(metrics->pod_metrics(0).container_metrics(0).container_id() == Id('e'));
  REQUIRE(metrics->pod_metrics(0).metrics_size() > 10);  // of the pod's group
  CHECK(metrics->pod_metrics(0).metrics(0).label_values(4) == "pod-a");
  CHECK(ListMetricDescriptors(fake.api(), {}, fake.call)->descriptors_size() > 10);
}

}  // namespace
}  // namespace crisp::cri
