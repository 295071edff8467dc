#include "cli/pod_dns.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace crisp::cli {
namespace {

using ::runtime::v1::DNSConfig;

constexpr int kMaxServers = 3, kMaxSearches = 32;
constexpr size_t kMaxSearchBytes = 2048;

template <typename List>
void AddOnce(const std::string& value, List* list) {
  if (std::find(list->begin(), list->end(), value) == list->end()) *list->Add() = value;
}

// An option is known by its name: a later "ndots:2" takes the place of "ndots:5".
void SetOption(const std::string& name, const std::string& option, DNSConfig& out) {
  for (std::string& old : *out.mutable_options()) {
    if (old == name || absl::StartsWith(old, name + ":")) {
      old = option;
      return;
    }
  }
  out.add_options(option);
}

DNSConfig ParseResolvConf(absl::string_view text) {
  DNSConfig out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.size() < 2 || words[0][0] == '#' || words[0][0] == ';') continue;
    if (words[0] == "nameserver") out.add_servers(words[1]);
    if (words[0] == "search") out.clear_searches();  // the last line counts
    for (size_t i = 1; i < words.size(); ++i) {
      std::string word = words[i];
      if (words[0] == "options") SetOption(word.substr(0, word.find(':')), word, out);
      if (words[0] != "search") continue;
      if (word != "." && word.back() == '.') word.pop_back();
      out.add_searches(word);
    }
  }
  return out;
}

// resolv.conf(5) of older C libraries takes no more.
void Limit(DNSConfig& out) {
  while (out.servers_size() > kMaxServers) out.mutable_servers()->RemoveLast();
  while (out.searches_size() > kMaxSearches ||
         absl::StrJoin(out.searches(), " ").size() > kMaxSearchBytes)
    out.mutable_searches()->RemoveLast();
}

std::string Aliases(const PodSpec& spec) {
  if (spec.host_aliases.empty()) return "";
  std::string out = "\n# Entries added by HostAliases.\n";
  for (const HostAlias& alias : spec.host_aliases)
    absl::StrAppend(&out, alias.ip, "\t", absl::StrJoin(alias.hostnames, "\t"), "\n");
  return out;
}

}  // namespace

DNSConfig DnsMessage(const PodSpec& spec, const Node& node) {
  DNSConfig out;
  if (spec.dns_policy != DnsPolicy::kNone) out = ParseResolvConf(node.resolv_conf);
  for (const std::string& server : spec.dns_config.nameservers)
    AddOnce(server, out.mutable_servers());
  for (const std::string& search : spec.dns_config.searches)
    AddOnce(search, out.mutable_searches());
  for (const DnsOption& option : spec.dns_config.options) {
    const std::string value = option.value.value_or("");
    SetOption(option.name, value.empty() ? option.name : absl::StrCat(option.name, ":", value),
              out);
  }
  Limit(out);
  return out;
}

std::string HostnameOf(const Pod& pod) {
  constexpr size_t kMaxHostname = 63;
  if (!pod.spec.hostname.empty()) return pod.spec.hostname;
  std::string name = pod.metadata.name.substr(0, kMaxHostname);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string HostsFile(const Pod& pod, const PodInstance& instance, const Node& node) {
  if (pod.spec.host_network) {
    return absl::StrCat("# Kubernetes-managed hosts file (host network).\n", node.hosts,
                        Aliases(pod.spec));
  }
  std::string out =
      "# Kubernetes-managed hosts file.\n"
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "fe00::0\tip6-mcastprefix\n"
      "fe00::1\tip6-allnodes\n"
      "fe00::2\tip6-allrouters\n";
  for (const std::string& ip : instance.ips) absl::StrAppend(&out, ip, "\t", HostnameOf(pod), "\n");
  return out + Aliases(pod.spec);
}

}  // namespace crisp::cli
