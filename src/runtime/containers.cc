// What is done with a running container besides its start and end: limits and log.
#include "runtime/containers.h"

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "shim_client/session.h"
#include "spec/resources.h"

namespace crisp::runtime {
namespace {

// A limit below what the container works with would be met by the kernel killing it.
absl::Status CheckMemory(const v1::LinuxContainerResources& update, const cgroup::Stats& stats) {
  const int64_t limit = update.memory_limit_in_bytes();
  const uint64_t used = stats.memory.working_set_bytes.value_or(0);
  if (limit <= 0 || static_cast<uint64_t>(limit) >= used) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("limits.memory ", limit, " is below the ", used,
                                                    " bytes the container works with"));
}

}  // namespace

absl::Status Containers::ApplyResources(const container::Container& container) {
  CRISP_ASSIGN_OR_RETURN(const cgroup::Resources limits,
                         container.Read([](const store::ContainerRecord& record) {
                           return spec::CgroupUpdate(record.resources);
                         }));
  return core_.cgroups.Update(core_.CgroupPath(container), limits);
}

// Checked -> on record -> in the cgroup. The record comes first, so that a crispd that dies in
// between finishes the update when it starts again.
absl::Status Containers::Update(const ContainerPtr& container,
                                const v1::LinuxContainerResources& update) {
  absl::MutexLock lock(&container->operation());
  CRISP_RETURN_IF_ERROR(core_.objects.containers.Find(container->id().str()).status());  // removed
  const v1::ContainerState state = container->state();
  if (state == v1::CONTAINER_EXITED) return absl::FailedPreconditionError("container has ended");
  const v1::LinuxContainerResources before =
      container->Read([](const store::ContainerRecord& record) { return record.resources; });
  const v1::LinuxContainerResources after = spec::Merge(before, update);
  CRISP_RETURN_IF_ERROR(spec::CgroupResources(after, oci::Linux()).status());
  if (state == v1::CONTAINER_RUNNING) {
    const absl::StatusOr<cgroup::Stats> stats =
        core_.cgroups.ReadStats(core_.CgroupPath(*container));
    if (stats.ok()) CRISP_RETURN_IF_ERROR(CheckMemory(update, *stats));
  }
  CRISP_RETURN_IF_ERROR(
      container->Update([&](store::ContainerRecord& record) { record.resources = after; }));
  // A container that is created gets its limits when it starts.
  if (state != v1::CONTAINER_RUNNING) return absl::OkStatus();
  absl::Status applied = ApplyResources(*container);
  if (applied.ok()) return applied;
  const absl::Status restored =
      container->Update([&](store::ContainerRecord& record) { record.resources = before; });
  if (!restored.ok()) {
    base::Log(base::LogLevel::kError, "an update that failed is still on record",
              {{"container", container->id().str()}, {"error", std::string(restored.message())}});
  }
  return absl::IsNotFound(applied) ? absl::FailedPreconditionError("container has ended") : applied;
}

absl::Status Containers::ReopenLog(const ContainerPtr& container, const base::Call& call) {
  return shim_client::ReopenLog(core_.paths.Bundle(container->id()),
                                call.Before(base::Deadline::In(kKillTime)).deadline);
}

}  // namespace crisp::runtime
