#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/sysctls.h"
#include "spec/validate.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

absl::Status CheckHostname(const std::string& hostname) {
  constexpr size_t kMaxHostname = 64;  // HOST_NAME_MAX
  const bool valid = std::all_of(hostname.begin(), hostname.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._", c);
  });
  if (hostname.size() > kMaxHostname || !valid) {
    return Invalid("hostname", hostname, "is not a host name of up to 64 characters");
  }
  return absl::OkStatus();
}

// Each becomes a word of a line of resolv.conf.
absl::Status CheckDnsWords(absl::string_view field,
                           const google::protobuf::RepeatedPtrField<std::string>& words) {
  constexpr int kMaxWords = 64;
  constexpr size_t kMaxWord = 255;
  if (words.size() > kMaxWords) return Invalid(field, words.size(), "entries are too many");
  for (const std::string& word : words) {
    CRISP_RETURN_IF_ERROR(CheckText(field, word, kMaxWord));
    if (word.empty() || absl::StrContains(word, ' ')) return Invalid(field, word, "is no word");
  }
  return absl::OkStatus();
}

absl::Status CheckDns(const v1::DNSConfig& dns) {
  CRISP_RETURN_IF_ERROR(CheckDnsWords("dns_config.servers", dns.servers()));
  CRISP_RETURN_IF_ERROR(CheckDnsWords("dns_config.searches", dns.searches()));
  return CheckDnsWords("dns_config.options", dns.options());
}

absl::Status CheckPortMapping(const v1::PortMapping& mapping) {
  constexpr int32_t kMaxPort = 65535;
  if (!v1::Protocol_IsValid(mapping.protocol())) {
    return Invalid("port_mappings.protocol", mapping.protocol(), "does not exist");
  }
  if (mapping.container_port() < 1 || mapping.container_port() > kMaxPort) {
    return Invalid("port_mappings.container_port", mapping.container_port(), "is no port");
  }
  if (mapping.host_port() < 0 || mapping.host_port() > kMaxPort) {
    return Invalid("port_mappings.host_port", mapping.host_port(), "is no port");
  }
  const std::string& ip = mapping.host_ip();
  in6_addr address;
  // inet_pton stops at a NUL.
  const bool is_ip = !HasControl(ip) && (inet_pton(AF_INET, ip.c_str(), &address) == 1 ||
                                         inet_pton(AF_INET6, ip.c_str(), &address) == 1);
  if (!ip.empty() && !is_ip) return Invalid("port_mappings.host_ip", ip, "is no address");
  return absl::OkStatus();
}

absl::Status CheckCgroupParent(absl::string_view parent) {
  if (absl::StartsWith(parent, "/")) return CleanAbsolute("linux.cgroup_parent", parent).status();
  return CleanRelative("linux.cgroup_parent", parent).status();
}

absl::Status CheckUser(const v1::LinuxSandboxSecurityContext& context) {
  if (context.has_run_as_group() && !context.has_run_as_user()) {
    return Invalid("run_as_group", context.run_as_group().value(), "is given without a user");
  }
  CRISP_RETURN_IF_ERROR(CheckId("run_as_user", context.run_as_user().value()));
  CRISP_RETURN_IF_ERROR(CheckId("run_as_group", context.run_as_group().value()));
  for (const int64_t group : context.supplemental_groups()) {
    CRISP_RETURN_IF_ERROR(CheckId("supplemental_groups", group));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSandboxConfig(const v1::PodSandboxConfig& config) {
  CRISP_RETURN_IF_ERROR(CheckName("metadata.name", config.metadata().name()));
  CRISP_RETURN_IF_ERROR(CheckName("metadata.namespace", config.metadata().namespace_()));
  CRISP_RETURN_IF_ERROR(CheckName("metadata.uid", config.metadata().uid()));
  CRISP_RETURN_IF_ERROR(CheckHostname(config.hostname()));
  CRISP_RETURN_IF_ERROR(CheckDns(config.dns_config()));
  for (const v1::PortMapping& mapping : config.port_mappings()) {
    CRISP_RETURN_IF_ERROR(CheckPortMapping(mapping));
  }
  if (!config.log_directory().empty()) {
    CRISP_RETURN_IF_ERROR(CleanAbsolute("log_directory", config.log_directory()).status());
  }
  CRISP_RETURN_IF_ERROR(CheckCgroupParent(config.linux().cgroup_parent()));
  const v1::LinuxSandboxSecurityContext& context = config.linux().security_context();
  CRISP_RETURN_IF_ERROR(CheckNamespaces(context.namespace_options()));
  CRISP_RETURN_IF_ERROR(CheckUser(context));
  return PodSysctls(config).status();
}

}  // namespace crisp::spec
