#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/security_profile.h"
#include "spec/sysctls.h"
#include "spec/validate.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

absl::Status CheckHostname(const v1::PodSandboxConfig& config) {
  const std::string& hostname = config.hostname();
  constexpr size_t kMaxHostname = 64;  // HOST_NAME_MAX
  const bool valid = std::all_of(hostname.begin(), hostname.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._", c);
  });
  if (hostname.size() > kMaxHostname || !valid) {
    return Invalid("hostname", hostname,
                   "must be at most 64 letters, digits, \"-\", \".\" or \"_\"");
  }
  // The kernel knows one name for each UTS namespace, and that is the host's; /etc/hostname would
  // say another one. kubelet sends none.
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  if (!hostname.empty() && options.network() == v1::NODE)
    return Invalid("hostname", hostname, "must be empty with the host's network");
  return absl::OkStatus();
}

struct DnsBounds {
  int words;
  size_t bytes;  // of a word
  bool spaces;   // may be in it
};
// Kubernetes allows three servers and 32 domains.
constexpr DnsBounds kDnsNames = {.words = 64, .bytes = 255, .spaces = false};
// Of options Kubernetes takes any number and any text: here as much as fits into the pod's files.
// With a space in it one is two for the resolver.
constexpr DnsBounds kDnsOptions = {.words = 256, .bytes = 4096, .spaces = true};

// Each entry becomes a part of a line in resolv.conf.
absl::Status CheckDnsWords(absl::string_view field,
                           const google::protobuf::RepeatedPtrField<std::string>& words,
                           const DnsBounds& bounds) {
  if (words.size() > bounds.words) {
    return Invalid(field, words.size(), absl::StrCat("too many entries, at most ", bounds.words));
  }
  for (int i = 0; i < words.size(); ++i) {
    const std::string entry = absl::StrCat(field, "[", i, "]");
    CRISP_RETURN_IF_ERROR(CheckText(entry, words[i], bounds.bytes));
    if (words[i].empty()) return Invalid(entry, words[i], "must not be empty");
    if (!bounds.spaces && absl::StrContains(words[i], ' '))
      return Invalid(entry, words[i], "must not contain spaces");
  }
  return absl::OkStatus();
}

absl::Status CheckDns(const v1::DNSConfig& dns) {
  CRISP_RETURN_IF_ERROR(CheckDnsWords("dnsConfig.nameservers", dns.servers(), kDnsNames));
  CRISP_RETURN_IF_ERROR(CheckDnsWords("dnsConfig.searches", dns.searches(), kDnsNames));
  return CheckDnsWords("dnsConfig.options", dns.options(), kDnsOptions);
}

absl::Status CheckPortMapping(absl::string_view field, const v1::PortMapping& mapping) {
  const auto member = [field](absl::string_view name) { return absl::StrCat(field, ".", name); };
  constexpr int32_t kMaxPort = 65535;
  // Nothing is mapped, and nobody looks at the rest.
  if (mapping.host_port() <= 0) return absl::OkStatus();
  if (!v1::Protocol_IsValid(mapping.protocol())) {
    return Invalid(member("protocol"), mapping.protocol(), "is not a protocol");
  }
  if (mapping.container_port() < 1 || mapping.container_port() > kMaxPort) {
    return Invalid(member("containerPort"), mapping.container_port(),
                   "must be between 1 and 65535");
  }
  if (mapping.host_port() > kMaxPort) {
    return Invalid(member("hostPort"), mapping.host_port(), "must be at most 65535");
  }
  const std::string& ip = mapping.host_ip();
  in6_addr address;
  // inet_pton(3) would accept an address that a NUL and other bytes follow.
  const bool is_ip = !HasControl(ip) && (inet_pton(AF_INET, ip.c_str(), &address) == 1 ||
                                         inet_pton(AF_INET6, ip.c_str(), &address) == 1);
  if (!ip.empty() && !is_ip) return Invalid(member("hostIP"), ip, "must be an IP address");
  return absl::OkStatus();
}

absl::Status CheckCgroupParent(absl::string_view parent) {
  if (absl::StartsWith(parent, "/")) return CleanAbsolute("linux.cgroup_parent", parent).status();
  return CleanRelative("linux.cgroup_parent", parent).status();
}

absl::Status CheckUser(const v1::LinuxSandboxSecurityContext& context) {
  if (context.has_run_as_group() && !context.has_run_as_user()) {
    return GroupNeedsUser(context.run_as_group().value());
  }
  CRISP_RETURN_IF_ERROR(CheckId("runAsUser", context.run_as_user().value()));
  CRISP_RETURN_IF_ERROR(CheckId("runAsGroup", context.run_as_group().value()));
  for (int i = 0; i < context.supplemental_groups_size(); ++i) {
    CRISP_RETURN_IF_ERROR(
        CheckId(absl::StrCat("supplementalGroups[", i, "]"), context.supplemental_groups(i)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSandboxConfig(const v1::PodSandboxConfig& config) {
  CRISP_RETURN_IF_ERROR(CheckName("metadata.name", config.metadata().name()));
  CRISP_RETURN_IF_ERROR(CheckName("metadata.namespace", config.metadata().namespace_()));
  CRISP_RETURN_IF_ERROR(CheckName("metadata.uid", config.metadata().uid()));
  CRISP_RETURN_IF_ERROR(CheckHostname(config));
  CRISP_RETURN_IF_ERROR(CheckDns(config.dns_config()));
  for (int i = 0; i < config.port_mappings_size(); ++i) {
    CRISP_RETURN_IF_ERROR(
        CheckPortMapping(absl::StrCat("ports[", i, "]"), config.port_mappings(i)));
  }
  if (!config.log_directory().empty()) {
    CRISP_RETURN_IF_ERROR(CleanAbsolute("log_directory", config.log_directory()).status());
  }
  CRISP_RETURN_IF_ERROR(CheckCgroupParent(config.linux().cgroup_parent()));
  const v1::LinuxSandboxSecurityContext& context = config.linux().security_context();
  CRISP_RETURN_IF_ERROR(CheckNamespaces(context.namespace_options()));
  CRISP_RETURN_IF_ERROR(CheckUser(context));
  CRISP_RETURN_IF_ERROR(CheckSeccompField(context.seccomp()));
  CRISP_RETURN_IF_ERROR(CheckAppArmorField(context.apparmor()));
  return PodSysctls(config).status();
}

}  // namespace crisp::spec
