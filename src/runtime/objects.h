// The sandboxes and containers crispd knows, by id. In memory; the records on disk are read at
// start (recovery.h) and written by the objects themselves. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "container/container.h"
#include "sandbox/sandbox.h"
#include "store/index.h"

namespace crisp::runtime {

using container::ContainerPtr;
using sandbox::SandboxPtr;

struct Objects {
  store::Index<sandbox::Sandbox> sandboxes{"sandbox"};
  store::Index<container::Container> containers{"container"};

  std::vector<ContainerPtr> ContainersOf(const base::SandboxId& id) const;
  // The same of every sandbox that has any.
  std::map<base::SandboxId, std::vector<ContainerPtr>> ContainersBySandbox() const;
  // A container that runs, by id or prefix of it; kFailedPrecondition in any other state.
  absl::StatusOr<ContainerPtr> FindRunning(absl::string_view id) const;
  // A sandbox whose containers may be started, by id or prefix of it; kFailedPrecondition when it
  // is not ready.
  absl::StatusOr<SandboxPtr> FindReady(absl::string_view id) const;
  // A sandbox that clients may know of, by id or prefix of it; kNotFound while it is still being
  // made.
  absl::StatusOr<SandboxPtr> FindVisible(absl::string_view id) const;
};

}  // namespace crisp::runtime
