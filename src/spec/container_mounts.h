// What is mounted into a container: the file systems every container has, the sandbox's files, and
// the mounts of its configuration.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"
#include "spec/container_spec.h"

namespace crisp::spec {

// A mount of an image; the caller finds the image.
struct ImageVolume {
  std::string container_path;
  std::string image;  // id or reference, as the mount has it
  std::string sub_path;
};

struct ContainerMounts {
  std::vector<oci::Mount> mounts;  // in the order in which they are to be made
  std::string rootfs_propagation;  // "rshared" or "rslave" when a mount needs it
};

// A configured mount stands in for the default at exactly its path; one at /dev also for those
// below it, except the pod's /dev/shm. `userns`: the pod has a user namespace.
absl::StatusOr<ContainerMounts> MakeContainerMounts(const ContainerInput& input, bool userns);

// One configured mount: of the host, or of an image (`mount.has_image()`). kInvalidArgument names
// the field.
absl::StatusOr<oci::Mount> HostMount(const ::runtime::v1::Mount& mount);
absl::StatusOr<ImageVolume> ImageMount(const ::runtime::v1::Mount& mount);

}  // namespace crisp::spec
