// The hosts that serve the images of a registry, from containerd's certs.d layout (containerd
// docs/hosts.md):
//   <dir>/<host>_<port>_/hosts.toml, <dir>/<host>:<port>/hosts.toml, <dir>/_default/hosts.toml;
//   in a directory without hosts.toml: Docker's *.crt (CA), *.cert with *.key (client).
// Thread-safe: no shared state.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "image/http_client.h"

namespace crisp::image {

struct RegistryHost {
  Url api;  // "https://registry-1.docker.io/v2", no slash at the end
  bool can_pull = true;
  bool can_resolve = true;
  bool configured = false;  // from a hosts.toml, not only from an image reference
  // On loopback, and nothing says by which scheme: `api` is http, but may have to be https.
  bool may_speak_tls = false;
  bool is_mirror = false;  // gets the registry's name with each request (?ns=)
  HttpTls tls;
  std::vector<std::string> headers;
  absl::Duration connect_timeout = absl::Seconds(30);
};

// In the order to try: mirrors in the order of hosts.toml, then the registry itself. `registry` is
// Reference::host(). Plain HTTP only for URLs with http:// and, without configuration, for loopback
// hosts. kInvalidArgument names the file and the key of a bad configuration: the pull fails,
// because otherwise it could use a host that the administrator has excluded.
absl::StatusOr<std::vector<RegistryHost>> RegistryHosts(absl::string_view registry,
                                                        const std::vector<std::string>& dirs);

// The same host by https, for one that may speak TLS.
RegistryHost ByTls(const RegistryHost& plain);

}  // namespace crisp::image
