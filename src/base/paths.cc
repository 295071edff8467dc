#include "base/paths.h"

#include "base/file.h"

namespace crisp::base {

std::string Paths::SandboxRecords() const { return JoinPath(root_, "sandboxes"); }
std::string Paths::ContainerRecords() const { return JoinPath(root_, "containers"); }
std::string Paths::Images() const { return JoinPath(root_, "images"); }
std::string Paths::Snapshots() const { return JoinPath(root_, "snapshots"); }
std::string Paths::Quarantine() const { return JoinPath(root_, "quarantine"); }

std::string Paths::SandboxDirs() const { return JoinPath(root_, "pods"); }
std::string Paths::SandboxDir(absl::string_view id) const { return JoinPath(SandboxDirs(), id); }
std::string Paths::Bundles() const { return JoinPath(state_, "containers"); }
std::string Paths::Bundle(absl::string_view container_id) const {
  return JoinPath(Bundles(), container_id);
}

}  // namespace crisp::base
