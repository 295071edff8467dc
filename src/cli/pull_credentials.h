// Credentials for pulls from imagePullSecrets, chosen as kubelet does. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/manifest/manifest.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

struct RegistryCredential {
  std::string server;  // host, port and path, without scheme: registry.example.com:5000/team
  ::runtime::v1::AuthConfig auth;
};

// Of a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg.
// kInvalidArgument for other types and for what cannot be read.
absl::StatusOr<std::vector<RegistryCredential>> DecodePullSecret(const DataObject& secret);

// Of all imagePullSecrets of a pod, which are among `objects`.
absl::StatusOr<std::vector<RegistryCredential>> PullCredentialsOf(const Pod& pod,
                                                                  const Manifest& objects);

// Those whose server is `image`'s, the closest first. An empty answer: pull without.
std::vector<::runtime::v1::AuthConfig> CredentialsFor(absl::string_view image,
                                                      const std::vector<RegistryCredential>& all);

}  // namespace crisp::cli
