#include "spec/sysctls.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "linux/sysctl.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kSysctlsField[] = "sysctls";

absl::Status CheckNamespaced(const std::string& key, absl::string_view path,
                             const v1::NamespaceOption& options) {
  switch (linux::ScopeOfSysctl(path)) {
    case linux::SysctlScope::kNetwork:
      if (options.network() != v1::NODE) return absl::OkStatus();
      return Invalid(kSysctlsField, key, "would change the host's network");
    case linux::SysctlScope::kIpc:
      if (options.ipc() != v1::NODE) return absl::OkStatus();
      return Invalid(kSysctlsField, key, "would change the host's ipc");
    case linux::SysctlScope::kUts:  // Kubernetes does not take it for namespaced
    case linux::SysctlScope::kHost:
      break;
  }
  return Invalid(kSysctlsField, key, "is not a namespaced sysctl");
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> PodSysctls(const v1::PodSandboxConfig& config) {
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  constexpr size_t kMaxValue = 4096;  // the kernel reads no more of one write
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : config.linux().sysctls()) {
    const std::optional<std::string> path = linux::SysctlPath(key);
    if (!path.has_value()) return Invalid(kSysctlsField, key, "is not a sysctl key");
    CRISP_RETURN_IF_ERROR(CheckNamespaced(key, *path, options));
    CRISP_RETURN_IF_ERROR(CheckText(absl::StrCat(kSysctlsField, "[\"", key, "\"]"),
                                    absl::StrReplaceAll(value, {{"\t", " "}}), kMaxValue));
    if (!result.emplace(absl::StrReplaceAll(*path, {{"/", "."}, {".", "/"}}), value).second) {
      return Invalid(kSysctlsField, key, "is set twice");
    }
  }
  if (options.network() == v1::NODE) return result;
  result.emplace("net.ipv4.ip_unprivileged_port_start", "0");
  // Not all of the range is mapped in a user namespace, so the kernel would refuse it there.
  const bool userns = options.has_userns_options() && options.userns_options().mode() == v1::POD;
  if (!userns) result.emplace("net.ipv4.ping_group_range", "0 2147483647");
  return result;
}

}  // namespace crisp::spec
