// Layers that nobody uses any more, on their way out: from layers/ to staging/, from there to the
// trash. What fails, as without a descriptor, is tried again by the trash's thread. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "snapshot/trash.h"

namespace crisp::snapshot {

class LayerRemoval {
 public:
  // Borrows both; `change_mu` is held while the set of layers on disk changes.
  LayerRemoval(std::string layers_dir, std::string staging_dir, absl::Mutex& change_mu,
               Trash& trash)
      : layers_dir_(std::move(layers_dir)),
        staging_dir_(std::move(staging_dir)),
        change_mu_(change_mu),
        trash_(trash) {}

  // In the order given, children first: cut short at any moment, it leaves no layer without its
  // parent, which the next start would take for damage. After an error they go later.
  absl::Status Delete(absl::Span<const uint64_t> numbers);
  // What Delete() could not finish; whether nothing is left of it.
  bool Finish();

 private:
  absl::Status MoveAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);

  const std::string layers_dir_;
  const std::string staging_dir_;
  absl::Mutex& change_mu_;
  Trash& trash_;
  std::vector<uint64_t> numbers_ ABSL_GUARDED_BY(change_mu_);
};

}  // namespace crisp::snapshot
