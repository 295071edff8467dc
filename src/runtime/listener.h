// Whoever wants to know of changes of the objects: cri/ makes CRI events of them. Called after
// readers can see the change and before its waiters are woken, in the order of the changes of one
// object; must not block. Thread-safe.
#pragma once

#include "runtime/objects.h"

namespace crisp::runtime {

enum class Change { kCreated, kStarted, kStopped, kRemoved };

class Listener {
 public:
  virtual ~Listener() = default;
  virtual void OnChange(Change change, const container::Container& container) = 0;
  // Only of sandboxes that clients know.
  virtual void OnChange(Change change, const sandbox::Sandbox& sandbox) = 0;
};

}  // namespace crisp::runtime
