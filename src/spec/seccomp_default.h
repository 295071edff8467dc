// The seccomp profile of RuntimeDefault: an allow list, everything else gets EPERM. Pure.
#pragma once

#include "oci/runtime_spec.h"

namespace crisp::spec {

// Allows what Docker's and containerd's default profiles allow a container with this bounding set,
// so that images that run there run here. Not allowed: io_uring, AF_VSOCK and AF_ALG sockets, and
// new namespaces without CAP_SYS_ADMIN.
oci::Seccomp DefaultSeccomp(const oci::Capabilities& capabilities);

}  // namespace crisp::spec
