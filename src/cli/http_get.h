// One HTTP request, as kubelet's probes make it. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crisp::cli {

// OK for a status from 200 to 399. Certificates are not checked, proxies not used, redirects not
// followed (kubelet follows those to the same host; the answer is a success either way).
absl::Status HttpProbe(const std::string& url,
                       const std::vector<std::pair<std::string, std::string>>& headers,
                       absl::Duration timeout);

}  // namespace crisp::cli
