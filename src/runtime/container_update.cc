// UpdateContainerResources: checked -> on record -> in the cgroup. The record comes first, so that
// a daemon that dies in between finishes the update when it starts again.
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "oci/runtime_spec.h"
#include "runtime/runtime.h"
#include "spec/resources.h"

namespace crisp::cri {
namespace {

// What cannot be given back would be taken by killing: that is no way to make a container smaller.
absl::Status CheckMemory(const v1::LinuxContainerResources& update, const cgroup::Stats& stats) {
  const int64_t limit = update.memory_limit_in_bytes();
  const uint64_t used = stats.memory.working_set_bytes.value_or(0);
  if (limit <= 0 || static_cast<uint64_t>(limit) >= used) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "memory_limit_in_bytes ", limit, " is below the ", used, " bytes the container works with"));
}

}  // namespace

absl::Status Service::ApplyResources(const container::Container& container) {
  CRISP_ASSIGN_OR_RETURN(const cgroup::Resources limits,
                         container.Read([](const store::ContainerRecord& record) {
                           return spec::CgroupUpdate(record.resources);
                         }));
  return cgroups_.Update(CgroupPath(container), limits);
}

absl::StatusOr<v1::UpdateContainerResourcesResponse> Service::UpdateContainerResources(
    const v1::UpdateContainerResourcesRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, containers_.Find(request.container_id()));
  const v1::LinuxContainerResources& update = request.linux();
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(update).status());
  absl::MutexLock lock(&container->operation());
  const v1::ContainerState state = container->state();
  if (state == v1::CONTAINER_EXITED)
    return absl::FailedPreconditionError("container is CONTAINER_EXITED");
  const v1::LinuxContainerResources before =
      container->Read([](const store::ContainerRecord& record) { return record.resources; });
  const v1::LinuxContainerResources after = spec::Merge(before, update);
  CRISP_RETURN_IF_ERROR(spec::CgroupResources(after, oci::Linux()).status());
  if (state == v1::CONTAINER_RUNNING) {
    const absl::StatusOr<cgroup::Stats> stats = cgroups_.ReadStats(CgroupPath(*container));
    if (stats.ok()) CRISP_RETURN_IF_ERROR(CheckMemory(update, *stats));
  }
  CRISP_RETURN_IF_ERROR(
      container->Update([&](store::ContainerRecord& record) { record.resources = after; }));
  if (state != v1::CONTAINER_RUNNING) return v1::UpdateContainerResourcesResponse();
  // A container that is created gets its limits when it starts.
  absl::Status applied = ApplyResources(*container);
  if (applied.ok()) return v1::UpdateContainerResourcesResponse();
  const absl::Status restored =
      container->Update([&](store::ContainerRecord& record) { record.resources = before; });
  if (!restored.ok()) {
    base::Log(base::LogLevel::kError, "an update that failed is still on record",
              {{"container", container->id()}, {"error", std::string(restored.message())}});
  }
  if (absl::IsNotFound(applied)) applied = absl::FailedPreconditionError("container has ended");
  return base::Prefix(applied, "update container resources");
}

}  // namespace crisp::cri
