// The part of the store that a LayerWriter needs; private to this directory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "snapshot/layer_record.h"
#include "snapshot/layer_writer.h"
#include "snapshot/unpack_workers.h"

namespace crisp::snapshot {

struct LayerStaging {
  LayerSpec spec;
  UnpackLimits limits;
  std::string directory;  // staging/<n>, holding an empty fs/
  std::string store_root;
  UnpackWorkers* workers = nullptr;  // borrowed
  // Lower directories of the parent chain, relative to `store_root`, top-most first;
  // kFailedPrecondition when the parent is not published.
  std::function<absl::StatusOr<std::vector<std::string>>()> parent_directories;
  // Gives the directory, which is complete and synced, its final name.
  std::function<absl::Status(const LayerRecord&)> publish;
  // Removes the directory in the background.
  std::function<void()> discard;
};

inline constexpr char kFsDirectory[] = "fs";

}  // namespace crisp::snapshot
