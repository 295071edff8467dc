// The runtime handlers a pod may name (RunPodSandboxRequest.runtime_handler, RuntimeClass): a table
// of name, kind and features. Immutable after construction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::runtime {

enum class HandlerKind {
  kNative,  // crisp-shim's own executor (shim/native_runtime.h)
};

// What CRI's Status tells of a handler (RuntimeHandlerFeatures).
struct HandlerFeatures {
  bool recursive_read_only_mounts = false;
  bool user_namespaces = false;
  bool cgroup_namespaces = false;
};

struct Handler {
  std::string name;  // as a RuntimeClass has it; empty: the default
  HandlerKind kind = HandlerKind::kNative;
  HandlerFeatures features;
};

class Handlers {
 public:
  // "" and "crisp", both native.
  Handlers();

  const std::vector<Handler>& all() const { return all_; }
  // kInvalidArgument for a name that is not configured.
  absl::StatusOr<const Handler*> Find(absl::string_view name) const;

 private:
  std::vector<Handler> all_;
};

}  // namespace crisp::runtime
