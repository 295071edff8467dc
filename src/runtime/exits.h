// What follows when a shim is gone: its container, or its sandbox's pause, has ended. Everything is
// read from what the shim left on disk, so an exit seen live and one found at start take the same
// way. Thread-safe.
#pragma once

#include <string>

#include "runtime/core.h"

namespace crisp::runtime {

class Exits {
 public:
  explicit Exits(Core& core) : core_(core) {}

  // `id`: of the container or the sandbox. Called by the monitor, on its thread; does not block.
  void OnShimGone(const std::string& id);

 private:
  void EndContainer(const ContainerPtr& container);
  // False when what the shim left cannot be read now (out of descriptors or memory).
  bool RecordExit(container::Container& container);

  Core& core_;
};

}  // namespace crisp::runtime
