#include "spec/pod_files.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"

namespace crisp::spec {

namespace v1 = ::runtime::v1;

std::string ResolvConf(const v1::PodSandboxConfig& config, absl::string_view host_text) {
  const v1::DNSConfig& dns = config.dns_config();
  std::string text;
  if (!dns.searches().empty()) {
    absl::StrAppend(&text, "search ", absl::StrJoin(dns.searches(), " "), "\n");
  }
  for (const std::string& server : dns.servers())
    absl::StrAppend(&text, "nameserver ", server, "\n");
  if (!dns.options().empty()) {
    absl::StrAppend(&text, "options ", absl::StrJoin(dns.options(), " "), "\n");
  }
  return text.empty() ? std::string(host_text) : text;
}

std::string Hostname(const v1::PodSandboxConfig& config, absl::string_view node_name) {
  return config.hostname().empty() ? std::string(node_name) : config.hostname();
}

std::string ContainerHostname(absl::string_view directory, absl::string_view container_id) {
  return base::JoinPath(directory, kContainerLinks, container_id, kHostnameFile);
}

}  // namespace crisp::spec
