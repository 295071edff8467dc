// The profile behind SecurityProfile.RuntimeDefault: everything is EPERM but what is listed.
#pragma once

#include "oci/runtime_spec.h"

namespace crisp::spec {

// At least what Docker's and containerd's default profiles allow a container with this bounding
// set, so that an image that runs there runs here; no io_uring, no AF_VSOCK and AF_ALG sockets, no
// new namespaces without CAP_SYS_ADMIN.
oci::Seccomp DefaultSeccomp(const oci::Capabilities& capabilities);

}  // namespace crisp::spec
