// Which image of a multi-platform index this machine runs. Architectures are named as in GOARCH.
#pragma once

#include "absl/status/statusor.h"
#include "oci/image_spec.h"

namespace crisp::image {

// linux on the architecture crisp was built for.
oci::Platform HostPlatform();

// The best entry: the machine's own architecture first (of arm the highest variant that runs), then
// the 32-bit one it also runs, then an entry that names no platform; among equals the first.
// kNotFound naming the platform when none fits.
absl::StatusOr<oci::Descriptor> ChooseManifest(const oci::Index& index, const oci::Platform& host);

// Whether an image whose config names `image` can run; empty members say nothing.
bool CanRun(const oci::Platform& image, const oci::Platform& host);

}  // namespace crisp::image
