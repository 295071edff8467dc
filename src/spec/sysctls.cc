#include "spec/sysctls.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kSysctlsField[] = "linux.sysctls";

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_-.:@", c);
}

// The path below /proc/sys. As sysctl(8) reads a key: the separator is whichever of "." and "/"
// comes first, and the other one then stands for the separator's character inside a name
// ("net.ipv4.conf.eth0/100.forwarding").
absl::StatusOr<std::string> SysctlPath(const std::string& key) {
  const size_t first = key.find_first_of("./");
  if (first == std::string::npos) return Invalid(kSysctlsField, key, "is no sysctl");
  std::string path = key[first] == '.' ? absl::StrReplaceAll(key, {{".", "/"}, {"/", "."}}) : key;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == ".." ||
        !std::all_of(part.begin(), part.end(), IsNameCharacter)) {
      return Invalid(kSysctlsField, key, "is no sysctl");
    }
  }
  return path;
}

absl::Status CheckNamespaced(const std::string& key, const std::string& path,
                             const v1::NamespaceOption& options) {
  using absl::StartsWith;
  if (StartsWith(path, "net/")) {
    if (options.network() != v1::NODE) return absl::OkStatus();
    return Invalid(kSysctlsField, key, "would change the host's network");
  }
  if (StartsWith(path, "kernel/shm") || StartsWith(path, "kernel/msg") || path == "kernel/sem" ||
      StartsWith(path, "fs/mqueue/")) {
    if (options.ipc() != v1::NODE) return absl::OkStatus();
    return Invalid(kSysctlsField, key, "would change the host's ipc");
  }
  return Invalid(kSysctlsField, key, "is not a namespaced sysctl");
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> PodSysctls(const v1::PodSandboxConfig& config) {
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  constexpr size_t kMaxValue = 4096;  // the kernel reads no more of one write
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : config.linux().sysctls()) {
    CRISP_ASSIGN_OR_RETURN(const std::string path, SysctlPath(key));
    CRISP_RETURN_IF_ERROR(CheckNamespaced(key, path, options));
    CRISP_RETURN_IF_ERROR(CheckText(absl::StrCat(kSysctlsField, "[\"", key, "\"]"),
                                    absl::StrReplaceAll(value, {{"\t", " "}}), kMaxValue));
    if (!result.emplace(absl::StrReplaceAll(path, {{"/", "."}, {".", "/"}}), value).second) {
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
