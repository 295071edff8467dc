// HTTP requests as kubelet's probes and hooks make them. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace crisp::cli {

// The status of GET `url`. Certificates are not checked, proxies not used. Redirects are followed
// on the same host, for ten requests; of one to another host its own status counts, as for kubelet.
// kUnavailable when there is none within `timeout`, which all requests share.
absl::StatusOr<long> HttpStatus(const std::string& url,
                                const std::vector<std::pair<std::string, std::string>>& headers,
                                absl::Duration timeout);

}  // namespace crisp::cli
