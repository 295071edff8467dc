// Start: records and the shims' files are read and reconciled, cleanup that a dead crispd left
// pending is finished, orphans (whatever no record names) are removed. Nothing has to be written,
// so crispd also starts on a disk that is full or read-only, and no shim is waited for in turn. An
// object that cannot be read never fails the start; having no descriptor or no memory to read it
// with does, because then an object that is there could be taken for lost.
#pragma once

#include <functional>
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
  absl::Status WatchPause(const std::string& id, base::UniqueFd pidfd);
  absl::Status WatchShim(const std::string& id, const std::string& bundle);
  void WatchLater(const std::string& id, const std::function<absl::Status()>& watch);
  absl::Status EmptyCgroup(const std::string& path);
  absl::Status RemoveOrphans();
  absl::Status RemoveOrphanBundles();
  bool DeleteDamagedLayers(const std::vector<base::ContainerId>& older);
  bool IsKnown(const std::string& id) const;
  absl::Status ReclaimSandbox(const store::Damaged& damaged);
  void ReclaimContainer(const std::string& id, const char* trail,
                        const std::function<void()>& forget);
  void FinishTeardowns();

  Core& core_;
  Exits& exits_;
  Containers& containers_;
  Sandboxes& sandboxes_;
  base::Deadline settled_;  // when starts that a dead crispd began are over
  base::Deadline emptied_;  // when cgroups that are left over are waited for no longer
};

}  // namespace crisp::runtime
