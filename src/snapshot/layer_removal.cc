#include "snapshot/layer_removal.h"

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::snapshot {

absl::Status LayerRemoval::Delete(absl::Span<const uint64_t> numbers) {
  absl::MutexLock lock(&change_mu_);
  numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
  absl::Status moved = MoveAll();
  if (!moved.ok()) trash_.Wake();
  return moved;
}

bool LayerRemoval::Finish() {
  absl::MutexLock lock(&change_mu_);
  return MoveAll().ok();
}

// The renames are synced before the first file is deleted: after a power cut every layer below
// layers/ must be complete.
absl::Status LayerRemoval::MoveAll() {
  if (numbers_.empty()) return absl::OkStatus();
  const auto staged = [this](uint64_t number) {
    return base::JoinPath(staging_dir_, absl::StrCat(number));
  };
  for (const uint64_t number : numbers_) {
    const std::string layer = base::JoinPath(layers_dir_, absl::StrCat(number));
    // Not there: renamed by an earlier attempt.
    if (rename(layer.c_str(), staged(number).c_str()) != 0 && errno != ENOENT)
      return base::Errno("rename", layer);
    base::Failpoint("layers: one back in staging");
  }
  CRISP_RETURN_IF_ERROR(base::SyncDirectory(layers_dir_));
  for (const uint64_t number : numbers_) {
    CRISP_RETURN_IF_ERROR(trash_.Throw(staged(number)));
    base::Failpoint("layers: one in the trash");
  }
  numbers_.clear();
  return absl::OkStatus();
}

}  // namespace crisp::snapshot
