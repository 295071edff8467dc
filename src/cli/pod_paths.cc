// Where things of a pod are on the host.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/pod_messages.h"

namespace crisp::cli {

std::string LogDirectory(const Pod& pod, const PodInstance& instance) {
  return absl::StrCat(instance.logs, "/", pod.metadata.namespace_, "_", pod.metadata.name, "_",
                      instance.uid);
}

std::string LogFile(const Container& container, uint32_t attempt) {
  return absl::StrCat(container.name, "/", attempt, ".log");
}

// This and the termination message a container can write without end: on disk it does not take the
// host's memory. No volume has such a name.
std::string HostsPath(const PodInstance& instance) {
  return base::JoinPath(instance.disk_directory, ".hosts");
}

std::string VolumePath(const Volume& volume, const PodInstance& instance) {
  if (volume.host_path.has_value()) return volume.host_path->path;
  if (volume.empty_dir.has_value() && !volume.empty_dir->in_memory)
    return base::JoinPath(instance.disk_directory, volume.name);
  return base::JoinPath(instance.directory, "volumes", volume.name);
}

std::string SubPathTarget(const Container& container, size_t index, const PodInstance& instance) {
  return base::JoinPath(instance.directory, "subpaths", container.name, absl::StrCat(index));
}

std::string TerminationLog(const Container& container, uint32_t attempt,
                           const PodInstance& instance) {
  return base::JoinPath(instance.disk_directory, ".containers", container.name,
                        absl::StrCat(attempt, ".end"));
}

absl::StatusOr<std::string> SubPathOf(const VolumeMount& mount, const Environment& environment) {
  if (mount.sub_path_expr.empty()) return mount.sub_path;
  CRISP_ASSIGN_OR_RETURN(const std::string path, Expand(mount.sub_path_expr, environment, true));
  bool is_good = !path.empty() && path[0] != '/';
  for (const absl::string_view part : absl::StrSplit(path, '/')) is_good = is_good && part != "..";
  if (is_good) return path;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", path, "\" must be a relative path without \"..\""));
}

const Volume& VolumeOf(const PodSpec& spec, const std::string& name) {
  const Volume* found = nullptr;
  for (const Volume& volume : spec.volumes) found = volume.name == name ? &volume : found;
  CRISP_CHECK(found != nullptr);  // the decoder refuses a mount without a volume
  return *found;
}

}  // namespace crisp::cli
