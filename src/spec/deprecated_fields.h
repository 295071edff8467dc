// Deprecated fields of CRI that old clients still set. Only here the compiler's warning about them
// is turned off.
#pragma once

#include <string>

#include "runtime/v1/api.pb.h"

namespace crisp::spec {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

template <typename SecurityContext>  // of a sandbox or a container
const std::string& SeccompProfilePath(const SecurityContext& context) {
  return context.seccomp_profile_path();
}

inline const std::string& AppArmorProfileName(
    const ::runtime::v1::LinuxContainerSecurityContext& context) {
  return context.apparmor_profile();
}

#pragma GCC diagnostic pop

}  // namespace crisp::spec
