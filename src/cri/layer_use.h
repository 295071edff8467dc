// Which layers containers stand on: RemoveImage must not take a layer away from a container,
// however it was removed. Thread-safe. `mu()` is held over "find the image and count its layers"
// and over "remove the image and delete what nobody counts", so that neither can slip between the
// halves of the other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::cri {

class LayerUse {
 public:
  absl::Mutex& mu() ABSL_LOCK_RETURNED(mu_) { return mu_; }

  void Add(const std::vector<std::string>& chain_ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const std::string& id : chain_ids) ++users_[id];
  }
  void Drop(const std::vector<std::string>& chain_ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const std::string& id : chain_ids) {
      auto it = users_.find(id);
      if (it != users_.end() && --it->second == 0) users_.erase(it);
    }
  }
  bool InUse(const std::string& chain_id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return users_.count(chain_id) > 0;
  }

 private:
  absl::Mutex mu_;
  std::map<std::string, int> users_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::cri
