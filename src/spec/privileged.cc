#include "spec/privileged.h"

#include "spec/fields.h"

namespace crisp::spec {

bool IsPrivileged(const ::runtime::v1::LinuxContainerSecurityContext& context) {
  return context.privileged();
}

bool IsPrivileged(const ::runtime::v1::LinuxSandboxSecurityContext& context) {
  return context.privileged();
}

absl::Status CheckPrivileged(const ::runtime::v1::LinuxContainerSecurityContext& container,
                             const ::runtime::v1::LinuxSandboxSecurityContext& sandbox) {
  if (!IsPrivileged(container) || IsPrivileged(sandbox)) return absl::OkStatus();
  return Invalid("securityContext.privileged", "true", "needs a privileged sandbox");
}

}  // namespace crisp::spec
