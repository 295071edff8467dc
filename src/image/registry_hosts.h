// Where the images of a registry may be fetched from: containerd's certs.d layout
// (containerd docs/hosts.md), read as it is:
//   <dir>/<host>_<port>_/hosts.toml, <dir>/<host>:<port>/hosts.toml, <dir>/_default/hosts.toml;
//   in a directory without hosts.toml, Docker's *.crt (CA), *.cert with *.key (client).
// Thread-safe: reads files, keeps nothing.
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
  bool configured = false;  // named by a hosts.toml and not only by an image reference
  bool is_mirror = false;   // is told whose content it is asked for (?ns=)
  HttpTls tls;
  std::vector<std::string> headers;
  absl::Duration connect_timeout = absl::Seconds(30);
};

// In the order to try: mirrors as hosts.toml lists them, then the registry itself. `registry` is
// Reference::host(). Plain HTTP only where a URL says http:// or, without configuration, for
// loopback hosts. kInvalidArgument naming file and key when a file cannot be understood: a pull
// fails rather than go somewhere else than the administrator wrote.
absl::StatusOr<std::vector<RegistryHost>> RegistryHosts(absl::string_view registry,
                                                        const std::vector<std::string>& dirs);

}  // namespace crisp::image
