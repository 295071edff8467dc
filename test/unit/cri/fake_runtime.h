// A runtime without a kernel, for the handlers in cri/: the indexes and records are the real ones,
// what would be done is only noted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cri/handlers.h"

namespace crisp::cri {

// Every action is noted as "<verb> <what>" and answered with `result`.
struct FakeActions {
  std::vector<std::string> calls;
  absl::Status result;

  absl::Status Note(const std::string& call) {
    calls.push_back(call);
    return result;
  }
};

class FakeSandboxes final : public runtime::SandboxApi {
 public:
  explicit FakeSandboxes(FakeActions& actions) : actions_(actions) {}
  absl::StatusOr<base::SandboxId> Run(const v1::PodSandboxConfig& config,
                                      const std::string& handler, const Call&) override {
    const absl::Status status = actions_.Note("run " + config.metadata().name() + " " + handler);
    if (!status.ok()) return status;
    return base::SandboxId(std::string(64, 'e'));
  }
  absl::Status Stop(const runtime::SandboxPtr& sandbox, const Call&) override {
    return actions_.Note("stop " + sandbox->id().str());
  }
  absl::Status Remove(const runtime::SandboxPtr& sandbox, const Call&) override {
    return actions_.Note("remove " + sandbox->id().str());
  }

 private:
  FakeActions& actions_;
};

class FakeContainers final : public runtime::ContainerApi {
 public:
  explicit FakeContainers(FakeActions& actions) : actions_(actions) {}
  absl::StatusOr<base::ContainerId> Create(const runtime::SandboxPtr& sandbox,
                                           const v1::PodSandboxConfig& pod,
                                           const v1::ContainerConfig& config,
                                           const Call&) override {
    created_in = pod;
    const absl::Status status =
        actions_.Note("create " + config.metadata().name() + " in " + sandbox->id().str());
    if (!status.ok()) return status;
    return base::ContainerId(std::string(64, 'f'));
  }
  absl::Status Start(const runtime::ContainerPtr& container, const Call&) override {
    return actions_.Note("start " + container->id().str());
  }
  absl::Status Stop(const runtime::ContainerPtr& container, absl::Duration grace,
                    const Call&) override {
    return actions_.Note("stop " + container->id().str() + " " + absl::FormatDuration(grace));
  }
  absl::Status Remove(const runtime::ContainerPtr& container, const Call&) override {
    return actions_.Note("remove " + container->id().str());
  }
  absl::Status Update(const runtime::ContainerPtr& container,
                      const v1::LinuxContainerResources& update) override {
    return actions_.Note("update " + container->id().str() + " " +
                         std::to_string(update.cpu_shares()));
  }
  absl::Status ReopenLog(const runtime::ContainerPtr& container, const Call&) override {
    return actions_.Note("reopen " + container->id().str());
  }

  v1::PodSandboxConfig created_in;  // by the last Create

 private:
  FakeActions& actions_;
};

class FakeExec final : public runtime::ExecApi {
 public:
  explicit FakeExec(FakeActions& actions) : actions_(actions) {}
  absl::StatusOr<runtime::ExecOutput> Sync(const runtime::ContainerPtr& container,
                                           const std::vector<std::string>& command,
                                           absl::Duration timeout, const Call&) override {
    const absl::Status status = actions_.Note("exec " + container->id().str() + " " + command[0] +
                                              " " + absl::FormatDuration(timeout));
    if (!status.ok()) return status;
    return runtime::ExecOutput{.exit_code = 3, .out = "out", .err = "err"};
  }
  absl::StatusOr<std::string> Url(const streaming::Request& request) override;

 private:
  FakeActions& actions_;
};

class FakeImages final : public runtime::ImageApi {
 public:
  explicit FakeImages(FakeActions& actions) : actions_(actions) {}
  std::map<std::string, image::ImagePtr> by_name;  // all names an image is found by

  std::vector<image::ImagePtr> List() const override;
  absl::StatusOr<image::ImagePtr> Find(const std::string& name) const override;
  absl::StatusOr<image::ImagePtr> Pull(const oci::Reference& reference,
                                       const image::Credentials& credentials,
                                       const Call& call) override;
  absl::Status Remove(const image::ImagePtr& image) override {
    return actions_.Note("remove " + image->id.str());
  }

 private:
  FakeActions& actions_;
};

class FakeProfiles final : public runtime::ProfileApi {
 public:
  explicit FakeProfiles(FakeActions& actions) : actions_(actions) {}
  bool present = false;
  std::vector<runtime::ProfileInfo> all;

  absl::StatusOr<bool> Pull(const std::string& name, const image::Credentials& credentials,
                            const Call&) override {
    const absl::Status status = actions_.Note("pull profile " + name + " " + credentials.username);
    if (!status.ok()) return status;
    return present;
  }
  std::vector<runtime::ProfileInfo> List() const override { return all; }
  absl::Status Remove(const std::string& digest) override {
    return actions_.Note("remove profile " + digest);
  }

 private:
  FakeActions& actions_;
};

class FakeStats final : public runtime::StatsApi {
 public:
  std::optional<cgroup::Usage> cgroup;
  std::optional<snapshot::MeasuredUsage> layer;
  size_t refreshed = 0;  // objects in all calls

  void Refresh(const std::vector<container::ContainerPtr>& containers,
               const std::vector<sandbox::SandboxPtr>& sandboxes) override {
    refreshed += containers.size() + sandboxes.size();
  }
  runtime::ContainerUsage Container(container::Container&) const override {
    return {.cgroup = cgroup, .writable_layer = layer};
  }
  runtime::PodUsage Pod(sandbox::Sandbox&,
                        const std::vector<runtime::ContainerUsage>& containers) const override {
    runtime::PodUsage pod = {.cgroup = cgroup, .interfaces = {}};
    if (pod.cgroup.has_value()) pod.cgroup->processes = 1 + 2 * containers.size();
    return pod;
  }
  absl::StatusOr<std::vector<cni::InterfaceStats>> Interfaces(
      const sandbox::Sandbox&) const override {
    return absl::NotFoundError("host network");
  }
  absl::StatusOr<metrics::ContainerReadings> Metrics(container::Container&,
                                                     const store::SandboxRecord&) override {
    if (!cgroup.has_value()) return absl::NotFoundError("cgroup");
    metrics::ContainerReadings readings;
    readings.stats = cgroup->stats;
    return readings;
  }
  absl::StatusOr<metrics::ContainerReadings> PodMetrics(sandbox::Sandbox& sandbox) override {
    if (!cgroup.has_value()) return absl::NotFoundError("cgroup");
    metrics::ContainerReadings readings;
    readings.stats = cgroup->stats;
    readings.labels.pod =
        sandbox.Read([](const store::SandboxRecord& r) { return r.config.metadata().name(); });
    return readings;
  }
  metrics::MetricLabels PodLabels(const store::SandboxRecord&) const override { return {}; }
  metrics::MetricHost Host() const override { return {}; }
  snapshot::Usage Layers() const override { return {.bytes = 100, .inodes = 10}; }
  std::string LayersRoot() const override { return "/layers"; }
};

class FakeNetwork final : public cni::Network {
 public:
  cni::NetworkState state;

  absl::StatusOr<cni::PodNetwork> Attach(const cni::PodNetworkRequest&, base::Deadline) override {
    return absl::UnimplementedError("fake");
  }
  absl::Status Detach(const cni::PodNetworkRequest&, base::Deadline) override {
    return absl::UnimplementedError("fake");
  }
  absl::Status CollectGarbage(const std::vector<std::string>&, base::Deadline) override {
    return absl::OkStatus();
  }
  cni::NetworkState State() override { return state; }
};

class FakeRuntime {
 public:
  FakeRuntime();
  ~FakeRuntime();

  Api api();
  // A call without a deadline whose client stays.
  const Call call;

  // READY unless `ready` is false (then RunPodSandbox is still at work); `id` is one hex digit.
  runtime::SandboxPtr AddSandbox(char id, bool ready = true,
                                 const std::map<std::string, std::string>& labels = {});
  // In the sandbox `sandbox`. CREATED.
  runtime::ContainerPtr AddContainer(char id, char sandbox,
                                     const std::map<std::string, std::string>& labels = {});
  static void Start(container::Container& container);
  static void Exit(container::Container& container);

  FakeActions actions;
  FakeContainers containers{actions};
  FakeImages images{actions};
  FakeProfiles profiles{actions};
  FakeStats stats;
  FakeNetwork network;
  config::Config config;

 private:
  std::string dir_;
  base::Paths paths_;
  store::RecordDirectory records_;
  runtime::Handlers handlers_;
  runtime::Objects objects_;
  FakeSandboxes sandboxes_{actions};
  FakeExec exec_{actions};
};

std::string Id(char digit);
image::ImagePtr MakeImage(char digit, const std::string& tag);

}  // namespace crisp::cri
