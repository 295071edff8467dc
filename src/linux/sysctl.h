// Names of sysctls and which of them the kernel keeps per namespace: the one list that CRI
// configurations and runtime specs are checked against. Pure, thread-safe.
// Sources: sysctl(8), proc(5), ipc_namespaces(7), network_namespaces(7).
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace crisp::linux {

// The path of a sysctl below /proc/sys. As sysctl(8) reads a key: the separator is whichever of "."
// and "/" comes first, and the other one then stands for the separator's character inside a name
// ("net.ipv4.conf.eth0/100.forwarding"). std::nullopt for what is not a key: no separator, a name
// that is empty, "." or "..", or a character outside [A-Za-z0-9_.:@-].
std::optional<std::string> SysctlPath(absl::string_view key);

// The kind of namespace that has a value of its own; kHost: every other value is the host's.
enum class SysctlScope { kHost, kNetwork, kIpc, kUts };
// `path` as SysctlPath gives it.
SysctlScope ScopeOfSysctl(absl::string_view path);

}  // namespace crisp::linux
