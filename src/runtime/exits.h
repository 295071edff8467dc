// What follows when a shim is gone: its container, or its sandbox's pause, has ended. How is what
// the shim said on its tether or, when crispd was not there to hear it, left on disk. Thread-safe.
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
  void OnShimGone(const std::string& id, const std::optional<ipc::ExitRecord>& told);

 private:
  void EndContainer(const ContainerPtr& container, const std::optional<ipc::ExitRecord>& told);
  // False when what the shim left cannot be read now (out of descriptors or memory).
  bool RecordExit(const ContainerPtr& container, const std::optional<ipc::ExitRecord>& told);

  Core& core_;
};

}  // namespace crisp::runtime
