// Layers that the start has found damaged. They are moved out of the way at once but not deleted:
// a container may run on one, which moving does not disturb. Once that cannot be any more, the
// layer is deleted in the background, and only its record is kept to be looked at
// (base/quarantine.h). Until then its size counts. Thread-safe.
//
//   <directory>/<layer>-<time>/{record.json,fs}   a layer
//   <directory>/records/<layer>-<time>            the record of one that was deleted
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "oci/chain_id.h"
#include "snapshot/trash.h"
#include "snapshot/usage.h"

namespace crisp::snapshot {

struct DamagedLayer {
  std::string name;       // of its directory
  oci::ChainId chain_id;  // empty when its record does not tell
};

class DamagedLayers {
 public:
  // Borrows `trash`, on the same file system.
  DamagedLayers(std::string directory, Trash& trash)
      : directory_(std::move(directory)), trash_(trash) {}

  // Those of earlier starts.
  absl::Status Load();
  // Moves the layer's directory `path` aside, where it is called `name` and the time. Returns the
  // new path.
  absl::StatusOr<std::string> SetAside(const std::string& path, const std::string& name);

  std::vector<DamagedLayer> List() const;
  // Frees the space in the background. `name` is one from List().
  absl::Status Delete(const std::string& name);

  // Of those in List(). Without a readable record a layer counts from Measure() on, which walks it.
  Usage usage() const;
  void Measure();

 private:
  struct Entry {
    oci::ChainId chain_id;
    std::optional<Usage> usage;
  };
  void Add(const std::string& name);

  const std::string directory_;
  Trash& trash_;
  mutable absl::Mutex mu_;
  std::map<std::string, Entry> layers_ ABSL_GUARDED_BY(mu_);  // by name
};

}  // namespace crisp::snapshot
