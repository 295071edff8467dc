#include "runtime/handler.h"

#include "absl/strings/str_cat.h"

namespace crisp::runtime {

Handlers::Handlers() {
  const HandlerFeatures native = {
      .recursive_read_only_mounts = true, .user_namespaces = true, .cgroup_namespaces = true};
  for (const char* name : {"", "crisp"})
    all_.push_back({.name = name, .kind = HandlerKind::kNative, .features = native});
}

absl::StatusOr<const Handler*> Handlers::Find(absl::string_view name) const {
  for (const Handler& handler : all_) {
    if (handler.name == name) return &handler;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("RuntimeClass handler \"", name, "\" is not configured"));
}

}  // namespace crisp::runtime
