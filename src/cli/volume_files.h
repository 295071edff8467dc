// Volumes of files: what ConfigMaps, Secrets and the pod's own fields become (VolumeFiles, pure),
// and how it is written (WriteVolumeFiles), as kubelet does both.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"

namespace crisp::cli {

struct VolumeFile {
  std::string bytes;
  mode_t mode = 0;
};

// By path below the volume. Of a projected volume the later source wins.
std::map<std::string, VolumeFile> VolumeFiles(const Volume& volume, const Pod& pod,
                                              const Manifest& objects, const PodInstance& instance,
                                              const Node& node);

// Who owns what a volume has: root unless said otherwise.
struct VolumeOwner {
  std::optional<int64_t> group;  // fsGroup: the group, with read access and the set-group-ID bit
};

// Makes the volume `directory`: the files in a directory of their own, the link ..data to it, and
// for each name of the top level a link below ..data. A reader sees all files or none. A directory
// that is complete already is left as it is. Errors: base::Errno with the path.
absl::Status WriteVolumeFiles(const std::map<std::string, VolumeFile>& files,
                              const VolumeOwner& owner, const std::string& directory);

}  // namespace crisp::cli
