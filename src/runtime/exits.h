// What follows when a container's shim is gone, or the pause of a sandbox. How the container ended
// is what the shim said on its tether or, when crispd was not there to hear it, left on disk.
// Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "ipc/facts.h"
#include "runtime/core.h"

namespace crisp::runtime {

class Exits {
 public:
  explicit Exits(Core& core) : core_(core) {}

  // `id`: of the container or the sandbox; `told`: what the shim said. Called by the monitor, on
  // its thread; does not block.
  void OnGone(const std::string& id, const std::optional<shim_client::ToldExit>& told);

  // Makes known how a container ended whose shim is gone, as the shim left it on disk; waits for
  // the disk. Without such a record the container's processes are killed, too: they have no parent
  // that would report their end. Tried again in the background when what the shim left cannot be
  // read now (out of descriptors or memory).
  void EndContainer(const ContainerPtr& container);

 private:
  void EndLater(const ContainerPtr& container, absl::Duration delay);
  // `on_disk`: exit.json says the same, so a crispd that dies now loses nothing.
  void Ended(const ContainerPtr& container, const ipc::ExitRecord& exit, bool on_disk);
  void ShimDied(const ContainerPtr& container, const absl::Status& why);
  void RemoveCgroup(const container::Container& container);

  Core& core_;
};

}  // namespace crisp::runtime
