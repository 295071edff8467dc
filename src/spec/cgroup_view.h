// What a container sees of its cgroups: its cgroup namespace, and the mount at /sys/fs/cgroup.
// Pure, thread-safe. Sources: api.proto, CgroupNamespace and CgroupMountMode; KEP-5474, KEP-5714.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// What the host can give.
struct CgroupHost {
  bool v2 = false;          // it has only cgroup v2
  bool nsdelegate = false;  // cgroup::HasNsdelegate(); counts only for a writable mount
};

struct CgroupView {
  bool own_namespace = false;  // rooted at the container's group; false: the host's
  bool writable = false;
};

// Whether the modes are valid and possible together; kInvalidArgument names field and value.
absl::Status CheckCgroupView(const ::runtime::v1::LinuxContainerSecurityContext& context);

// Without modes in the request: a namespace of its own on cgroup v2, read-only; a privileged
// container has the host's, writable. kFailedPrecondition for a mode that the host cannot give.
absl::StatusOr<CgroupView> MakeCgroupView(
    const ::runtime::v1::LinuxContainerSecurityContext& context, const CgroupHost& host);

}  // namespace crisp::spec
