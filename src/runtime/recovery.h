// Start: records and the shims' files are read and reconciled, cleanup that a dead crispd left
// pending is finished, orphans (whatever no record names) are removed. An object that cannot be
// read never fails the start; running out of descriptors or memory does, because then an object
// that is there could be taken for lost.
#pragma once

#include <string>

#include "runtime/containers.h"
#include "runtime/core.h"
#include "runtime/exits.h"
#include "runtime/sandboxes.h"

namespace crisp::runtime {

class Recovery {
 public:
  Recovery(Core& core, Exits& exits, Containers& containers, Sandboxes& sandboxes)
      : core_(core), exits_(exits), containers_(containers), sandboxes_(sandboxes) {}

  // Once, after the monitor and the background thread are started and before anything is served.
  absl::Status Run();

 private:
  absl::Status LoadSandboxes();
  absl::Status LoadContainers();
  absl::Status RecoverSandbox(store::SandboxRecord record);
  absl::Status RecoverContainer(store::ContainerRecord record);
  void MarkLost(const ContainerPtr& container, const absl::Status& why);
  void Reattach(const std::string& id, const std::string& bundle, ipc::Channel tether,
                base::UniqueFd pidfd);
  absl::Status RemoveOrphans();
  absl::Status RemoveOrphanBundles();
  bool IsKnown(const std::string& id) const;
  absl::Status ReclaimSandbox(const base::SandboxId& id);
  void ReclaimContainer(const std::string& id);
  void FinishTeardowns();

  Core& core_;
  Exits& exits_;
  Containers& containers_;
  Sandboxes& sandboxes_;
};

}  // namespace crisp::runtime
