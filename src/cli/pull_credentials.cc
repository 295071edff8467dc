#include "cli/pull_credentials.h"

#include <fnmatch.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace crisp::cli {
namespace {

constexpr char kDockerHub[] = "docker.io";
// What docker login writes for Docker Hub.
constexpr char kDockerHubIndex[] = "index.docker.io";

// "nginx" -> "docker.io/library/nginx", as images are named in full; tags do not matter here.
std::string FullName(absl::string_view image) {
  const size_t slash = image.find('/');
  const absl::string_view first = image.substr(0, slash);
  const bool has_host =
      slash != image.npos && (first.find_first_of(".:") != first.npos || first == "localhost");
  if (has_host) return std::string(image);
  return absl::StrCat(kDockerHub, slash == image.npos ? "/library/" : "/", image);
}

// A '*' stands for a part of one label of the host name: "*.example.com".
bool HostMatches(absl::string_view pattern, absl::string_view host) {
  const std::vector<std::string> patterns = absl::StrSplit(pattern, '.');
  const std::vector<std::string> labels = absl::StrSplit(host, '.');
  if (patterns.size() != labels.size()) return false;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (fnmatch(patterns[i].c_str(), labels[i].c_str(), 0) != 0) return false;
  }
  return true;
}

bool Matches(absl::string_view server, absl::string_view image) {
  const auto split = [](absl::string_view name) {
    const size_t slash = name.find('/');
    return std::pair(name.substr(0, slash),
                     slash == name.npos ? absl::string_view() : name.substr(slash));
  };
  const auto [pattern, pattern_path] = split(server);
  const auto [host, path] = split(image);
  const bool is_hub = host == kDockerHub && pattern == kDockerHubIndex;
  return (is_hub || HostMatches(pattern, host)) && absl::StartsWith(path, pattern_path);
}

}  // namespace

absl::StatusOr<std::vector<RegistryCredential>> PullCredentialsOf(const Pod& pod,
                                                                  const Manifest& objects) {
  std::vector<RegistryCredential> all;
  for (const KeyRef& ref : pod.spec.image_pull_secrets) {
    const DataObject& secret = objects.secrets.at({pod.metadata.namespace_, ref.name});
    CRISP_ASSIGN_OR_RETURN(const std::vector<RegistryCredential> more, DecodePullSecret(secret));
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::vector<::runtime::v1::AuthConfig> CredentialsFor(absl::string_view image,
                                                      const std::vector<RegistryCredential>& all) {
  const std::string name = FullName(image);
  std::vector<const RegistryCredential*> found;
  for (const RegistryCredential& credential : all) {
    if (Matches(credential.server, name)) found.push_back(&credential);
  }
  // The longer name is the closer one: it has a path, or a host without '*'.
  std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
    return a->server.size() > b->server.size();
  });
  std::vector<::runtime::v1::AuthConfig> out;
  for (const RegistryCredential* credential : found) out.push_back(credential->auth);
  return out;
}

}  // namespace crisp::cli
