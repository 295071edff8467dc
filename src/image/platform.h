// Selects the image of a multi-platform index for this node. Architectures are named as in GOARCH.
// Pure, thread-safe.
#pragma once

#include <vector>

#include "oci/image_spec.h"

namespace crisp::image {

// linux on the architecture crisp was built for.
oci::Platform HostPlatform();

// The entries that the host may be able to run, the best first: those of its own architecture (for
// arm, the highest variant it runs), then of the 32-bit architecture it also runs, then without a
// platform; equals in their order.
std::vector<oci::IndexEntry> RunnableManifests(const oci::Index& index, const oci::Platform& host);

// Without an operating system it is that of the host.
bool IsLinux(const oci::Platform& platform);

// Whether an image with this platform in its config can run on `host`; empty members match all.
bool CanRun(const oci::Platform& image, const oci::Platform& host);

}  // namespace crisp::image
