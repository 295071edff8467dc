#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/pull_credentials.h"

namespace crisp::cli {
namespace {

using base::Json;

// "https://index.docker.io/v1/" -> "index.docker.io"
std::string ServerOf(absl::string_view key) {
  absl::ConsumePrefix(&key, "https://");
  absl::ConsumePrefix(&key, "http://");
  const size_t slash = key.find('/');
  std::string path(slash == key.npos ? "" : key.substr(slash));
  for (const char* version : {"/v1", "/v2"}) {
    if (path == version || absl::StartsWith(path, absl::StrCat(version, "/"))) path.erase(0, 3);
  }
  while (!path.empty() && path.back() == '/') path.pop_back();
  return absl::StrCat(key.substr(0, slash), path);
}

RegistryCredential Credential(const std::string& key, const Json& entry) {
  RegistryCredential out;
  out.server = ServerOf(key);
  std::string user = entry.value("username", std::string());
  std::string password = entry.value("password", std::string());
  const std::string auth = entry.value("auth", std::string());
  std::string pair;
  // It wins, as it does for kubelet.
  if (!auth.empty()) {
    if (!absl::Base64Unescape(auth, &pair) || pair.find(':') == pair.npos) {
      throw Json::other_error::create(
          501, absl::StrCat("auth of ", key, " must be base64 of user:password"), &entry);
    }
    user = pair.substr(0, pair.find(':'));
    password = pair.substr(pair.find(':') + 1);
    while (!password.empty() && password.back() == '\0') password.pop_back();
  }
  out.auth.set_username(user);
  out.auth.set_password(password);
  out.auth.set_identity_token(entry.value("identitytoken", std::string()));
  out.auth.set_registry_token(entry.value("registrytoken", std::string()));
  return out;
}

}  // namespace

absl::StatusOr<std::vector<RegistryCredential>> DecodePullSecret(const DataObject& secret) {
  const bool is_old = secret.type == "kubernetes.io/dockercfg";
  if (!is_old && secret.type != "kubernetes.io/dockerconfigjson") {
    return absl::InvalidArgumentError(
        absl::StrCat("Secret ", secret.metadata.name, ": type \"", secret.type,
                     "\" must be kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg"));
  }
  const std::string key = is_old ? ".dockercfg" : ".dockerconfigjson";
  const auto text = secret.data.find(key);
  if (text == secret.data.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Secret ", secret.metadata.name, ": key ", key, " is missing"));
  }
  return base::DecodeJson(absl::StrCat("Secret ", secret.metadata.name, ": ", key), text->second,
                          [&](const Json& config) {
                            std::vector<RegistryCredential> out;
                            const Json& auths = is_old ? config : config.at("auths");
                            for (const auto& [server, entry] : auths.items())
                              out.push_back(Credential(server, entry));
                            return out;
                          });
}

}  // namespace crisp::cli
