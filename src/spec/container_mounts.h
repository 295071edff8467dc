// What is mounted into a container: the file systems every container has, the sandbox's files, and
// the mounts of its configuration. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"
#include "spec/container_spec.h"

namespace crisp::spec {

// A mount of an image; the caller finds the image.
struct ImageVolume {
  std::string container_path;
  std::string image;  // id or reference, as the mount has it
  std::string sub_path;
  bool noexec = false;  // nodev and nosuid are set in any case
};

struct ContainerMounts {
  std::vector<oci::Mount> mounts;  // in the order in which they are to be made
  std::string rootfs_propagation;  // "rshared" or "rslave" when a mount needs it
};

// A configured mount replaces the default at exactly its path; one at /dev also replaces those
// below /dev, except the pod's /dev/shm. `userns`: the pod has a user namespace.
absl::StatusOr<ContainerMounts> MakeContainerMounts(const ContainerInput& input, bool userns);

// The paths at which the image's volumes are mounted, sorted, as `resolve` answers: without the
// links that the image has. There is none at or below a mount of the pod, and "/", the file systems
// of the kernel and the pod's files are not replaced by an image. kInvalidArgument when there are
// too many, or a mount of the pod is not valid; what `resolve` answers for a volume.
absl::StatusOr<std::vector<std::string>> DeclaredPaths(
    const ::runtime::v1::ContainerConfig& config, const oci::ImageConfig& image,
    absl::FunctionRef<absl::StatusOr<std::string>(const std::string& path)> resolve);

// One configured mount: of the host, or of an image (`mount.has_image()`). `field` is its place in
// the configuration ("volumeMounts[2]"), for the kInvalidArgument that names what is wrong.
absl::StatusOr<oci::Mount> HostMount(absl::string_view field, const ::runtime::v1::Mount& mount);
absl::StatusOr<ImageVolume> ImageMount(absl::string_view field, const ::runtime::v1::Mount& mount);

}  // namespace crisp::spec
