#include "runtime/runtime.h"

#include "absl/strings/str_cat.h"

namespace crisp::cri {

Service::Service(const Parts& parts)
    : config_(parts.config),
      paths_(parts.paths),
      cgroups_(parts.cgroups),
      snapshots_(parts.snapshots),
      images_(parts.images),
      puller_(parts.puller),
      layer_use_(parts.layer_use),
      network_(parts.network),
      shims_(parts.shims),
      pause_root_(parts.pause_root),
      sandbox_records_(paths_.SandboxRecords(), paths_.Quarantine()),
      container_records_(paths_.ContainerRecords(), paths_.Quarantine()),
      monitor_([this](const std::string& id) { OnShimGone(id); }),
      streams_(StreamLookup()) {}

Service::~Service() { Stop(); }

void Service::StopStreaming() {
  if (streaming_ != nullptr) streaming_->BeginStop();
}

void Service::Stop() {
  if (streaming_ != nullptr) streaming_->Stop();
  monitor_.Stop();
  background_.Stop();
}

std::vector<Service::ContainerPtr> Service::ContainersOf(const std::string& sandbox_id) const {
  std::vector<ContainerPtr> of_sandbox;
  for (ContainerPtr& container : containers_.List()) {
    if (container->sandbox_id() == sandbox_id) of_sandbox.push_back(std::move(container));
  }
  return of_sandbox;
}

absl::StatusOr<Service::ContainerPtr> Service::FindRunning(absl::string_view id) const {
  absl::StatusOr<ContainerPtr> container = containers_.Find(id);
  if (!container.ok()) return container;
  const v1::ContainerState state = (*container)->state();
  if (state == v1::CONTAINER_RUNNING) return container;
  return absl::FailedPreconditionError(absl::StrCat(
      "container \"", id, "\" is ", v1::ContainerState_Name(state), ", not CONTAINER_RUNNING"));
}

}  // namespace crisp::cri
