#include "runtime/objects.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::runtime {

namespace v1 = ::runtime::v1;

std::vector<ContainerPtr> Objects::ContainersOf(const base::SandboxId& id) const {
  std::vector<ContainerPtr> of_sandbox;
  for (ContainerPtr& container : containers.List()) {
    if (container->sandbox_id() == id) of_sandbox.push_back(std::move(container));
  }
  return of_sandbox;
}

std::map<base::SandboxId, std::vector<ContainerPtr>> Objects::ContainersBySandbox() const {
  std::map<base::SandboxId, std::vector<ContainerPtr>> all;
  for (ContainerPtr& container : containers.List())
    all[container->sandbox_id()].push_back(std::move(container));
  return all;
}

absl::StatusOr<ContainerPtr> Objects::FindRunning(absl::string_view id) const {
  CRISP_ASSIGN_OR_RETURN(ContainerPtr container, containers.Find(id));
  if (container->state() == v1::CONTAINER_RUNNING) return container;
  return absl::FailedPreconditionError(absl::StrCat("container \"", id, "\" is not running"));
}

absl::StatusOr<SandboxPtr> Objects::FindReady(absl::string_view id) const {
  CRISP_ASSIGN_OR_RETURN(SandboxPtr sandbox, sandboxes.Find(id));
  if (sandbox->ready()) return sandbox;
  return absl::FailedPreconditionError(
      absl::StrCat("sandbox \"", sandbox->id().str(), "\" is not ready"));
}

absl::StatusOr<SandboxPtr> Objects::FindVisible(absl::string_view id) const {
  CRISP_ASSIGN_OR_RETURN(SandboxPtr sandbox, sandboxes.Find(id));
  if (sandbox->visible()) return sandbox;
  return absl::NotFoundError(
      absl::StrCat("sandbox \"", sandbox->id().str(), "\" is still being made"));
}

}  // namespace crisp::runtime
