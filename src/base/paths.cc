#include "base/paths.h"

#include "base/file.h"

namespace crisp::base {

std::string Paths::SandboxRecords() const { return JoinPath(root_, "sandboxes"); }
std::string Paths::ContainerRecords() const { return JoinPath(root_, "containers"); }
std::string Paths::ProfileRecords() const { return JoinPath(root_, "profiles"); }
std::string Paths::Images() const { return JoinPath(root_, "images"); }
std::string Paths::Snapshots() const { return JoinPath(root_, "snapshots"); }
std::string Paths::Quarantine() const { return JoinPath(root_, "quarantine"); }
std::string Paths::PauseRoot() const { return JoinPath(root_, "pause"); }

std::string Paths::SandboxDirs() const { return JoinPath(root_, "pods"); }
std::string Paths::SandboxDir(const SandboxId& id) const {
  return JoinPath(SandboxDirs(), id.str());
}
std::string Paths::Bundles() const { return JoinPath(state_, "containers"); }
std::string Paths::Bundle(const ContainerId& id) const { return JoinPath(Bundles(), id.str()); }
std::string Paths::Bundle(const SandboxId& id) const { return JoinPath(Bundles(), id.str()); }

}  // namespace crisp::base
