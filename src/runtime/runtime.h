// The CRI's RuntimeService and ImageService, one method per RPC, each in its own <noun>_<verb>.cc
// as a straight-line script over the domain objects. Knows CRI messages and absl::Status, nothing
// of gRPC (grpc_service.cc does). Thread-safe: every method may run on any number of threads.
// List*, *Status and *Stats take no operation lock and talk to no shim.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call.h"
#include "base/paths.h"
#include "cgroup/cgroups.h"
#include "cni/netns.h"
#include "cni/network.h"
#include "config/config.h"
#include "container/container.h"
#include "events/hub.h"
#include "image/image_store.h"
#include "image/puller.h"
#include "layers/image_users.h"
#include "layers/layer_use.h"
#include "runtime/background.h"
#include "runtime/exec.h"
#include "runtime/joined.h"
#include "runtime/output_budget.h"
#include "runtime/v1/api.pb.h"
#include "sandbox/sandbox.h"
#include "shim_client/launcher.h"
#include "shim_client/monitor.h"
#include "snapshot/snapshot_store.h"
#include "store/index.h"
#include "store/record_store.h"
#include "streaming/server.h"

namespace crisp::cri {

namespace v1 = runtime::v1;

// Output that all ExecSyncs together hold; a single one may have half of it. gRPC's copy of the
// answers comes on top, so this is to be a quarter of what crispd may take.
inline constexpr size_t kExecOutputBytes = 32 << 20;

// What the service works with; made by main, outlives the service.
struct Parts {
  const config::Config& config;
  const base::Paths& paths;
  cgroup::Cgroups& cgroups;
  snapshot::SnapshotStore& snapshots;
  image::ImageStore& images;
  image::Puller& puller;
  LayerUse& layer_use;
  cni::Network& network;
  const shim_client::Launcher& shims;
  std::string pause_root;  // rootfs of every pause container
};

class Service {
 public:
  explicit Service(const Parts& parts);
  ~Service();

  // Reads the records, finds what runs, finishes what a dead daemon owed; then starts the
  // background threads. Never fails because of one object: those are quarantined and logged. Call
  // once, before serving.
  absl::Status Recover();
  // Listens for exec, attach and port-forward clients.
  absl::Status StartStreaming();
  // Begins to end exec, attach and port-forward, whose clients are told.
  void StopStreaming();
  // Stops the threads; containers run on.
  void Stop();

  // runtime_status.cc
  absl::StatusOr<v1::VersionResponse> Version(const v1::VersionRequest&, const Call&);
  absl::StatusOr<v1::StatusResponse> Status(const v1::StatusRequest&, const Call&);
  absl::StatusOr<v1::RuntimeConfigResponse> RuntimeConfig(const v1::RuntimeConfigRequest&,
                                                          const Call&);
  absl::StatusOr<v1::UpdateRuntimeConfigResponse> UpdateRuntimeConfig(
      const v1::UpdateRuntimeConfigRequest&, const Call&);
  // What GetContainerEvents serves; every change of a visible object is announced here.
  EventHub& events() { return events_; }

  absl::StatusOr<v1::RunPodSandboxResponse> RunPodSandbox(const v1::RunPodSandboxRequest&,
                                                          const Call&);
  absl::StatusOr<v1::StopPodSandboxResponse> StopPodSandbox(const v1::StopPodSandboxRequest&,
                                                            const Call&);
  absl::StatusOr<v1::RemovePodSandboxResponse> RemovePodSandbox(const v1::RemovePodSandboxRequest&,
                                                                const Call&);
  absl::StatusOr<v1::PodSandboxStatusResponse> PodSandboxStatus(const v1::PodSandboxStatusRequest&,
                                                                const Call&);
  absl::StatusOr<v1::ListPodSandboxResponse> ListPodSandbox(const v1::ListPodSandboxRequest&,
                                                            const Call&);
  absl::StatusOr<v1::UpdatePodSandboxResourcesResponse> UpdatePodSandboxResources(
      const v1::UpdatePodSandboxResourcesRequest&, const Call&);
  absl::StatusOr<v1::PodSandboxStatsResponse> PodSandboxStats(const v1::PodSandboxStatsRequest&,
                                                              const Call&);
  absl::StatusOr<v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
      const v1::ListPodSandboxStatsRequest&, const Call&);
  absl::StatusOr<v1::ListMetricDescriptorsResponse> ListMetricDescriptors(
      const v1::ListMetricDescriptorsRequest&, const Call&);
  absl::StatusOr<v1::ListPodSandboxMetricsResponse> ListPodSandboxMetrics(
      const v1::ListPodSandboxMetricsRequest&, const Call&);

  absl::StatusOr<v1::CreateContainerResponse> CreateContainer(const v1::CreateContainerRequest&,
                                                              const Call&);
  absl::StatusOr<v1::StartContainerResponse> StartContainer(const v1::StartContainerRequest&,
                                                            const Call&);
  absl::StatusOr<v1::StopContainerResponse> StopContainer(const v1::StopContainerRequest&,
                                                          const Call&);
  absl::StatusOr<v1::RemoveContainerResponse> RemoveContainer(const v1::RemoveContainerRequest&,
                                                              const Call&);
  absl::StatusOr<v1::ContainerStatusResponse> ContainerStatus(const v1::ContainerStatusRequest&,
                                                              const Call&);
  absl::StatusOr<v1::ListContainersResponse> ListContainers(const v1::ListContainersRequest&,
                                                            const Call&);
  absl::StatusOr<v1::UpdateContainerResourcesResponse> UpdateContainerResources(
      const v1::UpdateContainerResourcesRequest&, const Call&);
  absl::StatusOr<v1::ReopenContainerLogResponse> ReopenContainerLog(
      const v1::ReopenContainerLogRequest&, const Call&);
  absl::StatusOr<v1::ExecSyncResponse> ExecSync(const v1::ExecSyncRequest&, const Call&);
  absl::StatusOr<v1::ExecResponse> Exec(const v1::ExecRequest&, const Call&);
  absl::StatusOr<v1::AttachResponse> Attach(const v1::AttachRequest&, const Call&);
  absl::StatusOr<v1::PortForwardResponse> PortForward(const v1::PortForwardRequest&, const Call&);
  absl::StatusOr<v1::ContainerStatsResponse> ContainerStats(const v1::ContainerStatsRequest&,
                                                            const Call&);
  absl::StatusOr<v1::ListContainerStatsResponse> ListContainerStats(
      const v1::ListContainerStatsRequest&, const Call&);

  absl::StatusOr<v1::PullImageResponse> PullImage(const v1::PullImageRequest&, const Call&);
  absl::StatusOr<v1::ImageStatusResponse> ImageStatus(const v1::ImageStatusRequest&, const Call&);
  absl::StatusOr<v1::ListImagesResponse> ListImages(const v1::ListImagesRequest&, const Call&);
  absl::StatusOr<v1::RemoveImageResponse> RemoveImage(const v1::RemoveImageRequest&, const Call&);
  absl::StatusOr<v1::ImageFsInfoResponse> ImageFsInfo(const v1::ImageFsInfoRequest&, const Call&);

 private:
  using SandboxPtr = std::shared_ptr<sandbox::Sandbox>;
  using ContainerPtr = std::shared_ptr<container::Container>;

  // sandbox_run.cc
  absl::StatusOr<std::string> MakeSandbox(const v1::RunPodSandboxRequest& request,
                                          const Call& call);
  absl::Status BringUp(sandbox::Sandbox& sandbox, absl::Time deadline);
  // sandbox_teardown.cc: pays what the record says is owed; what cannot be paid now stays owed and
  // is named.
  absl::Status Teardown(sandbox::Sandbox& sandbox, absl::Time deadline);
  absl::Status StopPauseOf(sandbox::Sandbox& sandbox);
  // Teardown in the background until it is done; `then_forget`: the sandbox was never acknowledged,
  // or its removal.
  void TeardownLater(const SandboxPtr& sandbox, bool then_forget);
  absl::Status ForgetSandbox(const SandboxPtr& sandbox);
  cni::PodNetworkRequest NetworkRequest(const store::SandboxRecord& record) const;
  std::vector<ContainerPtr> ContainersOf(const std::string& sandbox_id) const;

  // container_create.cc, container_start.cc, container_stop.cc, container_remove.cc
  absl::StatusOr<std::string> MakeContainer(const SandboxPtr& sandbox,
                                            const v1::CreateContainerRequest& request);
  absl::Status PrepareContainer(const sandbox::Sandbox& sandbox, const image::Image& image,
                                store::ContainerRecord& record);
  absl::StatusOr<container::Init> Target(const std::string& sandbox_id,
                                         const v1::ContainerConfig& config) const;
  absl::Status Launch(container::Container& container, absl::Time deadline);
  absl::Status StopOne(container::Container& container, absl::Duration grace, absl::Time give_up);
  absl::Status KillOne(container::Container& container, absl::Time give_up);
  // Until a start that is under way is over: what it makes must be stopped too.
  void AwaitStart(container::Container& container);
  absl::Status RemoveOne(const ContainerPtr& container, absl::Time give_up);
  absl::StatusOr<ContainerPtr> FindRunning(absl::string_view id) const;
  std::string CgroupPath(const container::Container& container) const;
  // container_update.cc: makes the running container's group have the limits on record.
  absl::Status ApplyResources(const container::Container& container);
  v1::ContainerStats StatsOf(container::Container& container);

  // sandbox_stats.cc
  std::map<std::string, int> PodsByCgroupParent() const;
  // `own_parent`: no other pod has the same cgroup parent.
  v1::PodSandboxStats StatsOf(sandbox::Sandbox& sandbox, bool own_parent);
  // kNotFound for a pod on the host's network.
  absl::StatusOr<std::vector<cni::InterfaceStats>> InterfacesOf(
      const store::SandboxRecord& record) const;
  // metrics_list.cc
  v1::ContainerMetrics MetricsOf(const container::Container& container,
                                 const store::SandboxRecord& pod);

  // events.cc: tells the subscribers what became of an object that clients know; called after the
  // change, in the order of the changes of one object.
  void Announce(v1::ContainerEventType type, const container::Container& container);
  void Announce(v1::ContainerEventType type, const sandbox::Sandbox& sandbox);

  // exits.cc: a shim is gone; runs on the monitor's thread.
  void OnShimGone(const std::string& id);
  void EndContainer(const ContainerPtr& container);
  // False when what the shim left cannot be read now (out of descriptors or memory).
  bool RecordExit(container::Container& container);

  Streams::Lookup StreamLookup();

  // recovery.cc
  absl::Status RecoverSandbox(store::SandboxRecord record);
  void FinishTeardowns();
  absl::Status RecoverContainer(store::ContainerRecord record);
  void Tie(const std::string& id, ipc::Channel tether, base::UniqueFd pidfd);
  absl::Status RemoveOrphans();
  absl::Status ReclaimSandbox(const std::string& id);
  void ReclaimContainer(const std::string& id);

  const config::Config& config_;
  const base::Paths& paths_;
  cgroup::Cgroups& cgroups_;
  snapshot::SnapshotStore& snapshots_;
  image::ImageStore& images_;
  image::Puller& puller_;
  LayerUse& layer_use_;
  cni::Network& network_;
  const shim_client::Launcher& shims_;
  const std::string pause_root_;

  const store::RecordDirectory sandbox_records_;
  const store::RecordDirectory container_records_;
  store::Index<sandbox::Sandbox> sandboxes_{"sandbox"};
  store::Index<container::Container> containers_{"container"};
  Joined<std::string> run_operations_;
  Joined<std::string> create_operations_;
  ImageUsers image_users_;
  OutputBudget exec_output_{kExecOutputBytes};
  Background background_;
  shim_client::Monitor monitor_;
  EventHub events_;
  Streams streams_;
  std::unique_ptr<streaming::Server> streaming_;
};

}  // namespace crisp::cri
