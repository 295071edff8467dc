// Settings of the kernel below /proc/sys/net, in the network namespace of the calling thread.
// Thread-safe. Source: ip-sysctl of the kernel's documentation.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace crisp::cni::native {

// Of one link, by family: "ipv4" or "ipv6".
std::string SysctlPath(const char* family, const std::string& link, const char* name);

// Sets it, where it can be set: a kernel may lack it, and the plugins do not look either.
// kResourceExhausted when it was not tried, for want of a descriptor.
absl::Status SetIfThere(const std::string& path, const std::string& value);

}  // namespace crisp::cni::native
