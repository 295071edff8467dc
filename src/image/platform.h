// Selects the image of a multi-platform index for this node. Architectures are named as in GOARCH.
// Pure, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "oci/image_spec.h"

namespace crisp::image {

// linux on the architecture crisp was built for.
oci::Platform HostPlatform();

// The best entry: first of the host's own architecture (for arm, the highest variant it runs), then
// of the 32-bit architecture it also runs, then without a platform; among equals the first.
// kNotFound naming the platform when the host can run none.
absl::StatusOr<oci::Descriptor> ChooseManifest(const oci::Index& index, const oci::Platform& host);

// Whether an image with this platform in its config can run on `host`; empty members match all.
bool CanRun(const oci::Platform& image, const oci::Platform& host);

}  // namespace crisp::image
