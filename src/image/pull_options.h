// Settings of pulls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace crisp::image {

struct PullOptions {
  // Directories in containerd's certs.d layout, read at every pull; the first with an entry for the
  // registry counts.
  std::vector<std::string> registry_config_dirs = {"/etc/containerd/certs.d"};
  int parallel_layers = 3;  // per pull
  // A transfer with less than min_progress_bytes in this time is ended and resumed. The pull fails
  // after `attempts` of that without 1 MiB of progress: a registry cannot occupy it for long with a
  // drip, and over a link of 4 KiB/s an image still comes. (containerd goes on as long as any byte
  // comes within 5 min.)
  absl::Duration progress_timeout = absl::Seconds(60);
  int64_t min_progress_bytes = 1 << 20;
  // How long a registry may leave a request without an answer, or without 1 MiB of progress, in all
  // attempts together. The first one ends after progress_timeout, as its connection may be dead.
  // The second one gets what is left, about 5 min, as a registry may itself have to fetch first
  // what it is asked for.
  absl::Duration silence_timeout = absl::Minutes(6);
  // For one request that fails with an error that may go away (connection, 429, 5xx).
  int attempts = 5;
  absl::Duration backoff = absl::Milliseconds(250);  // doubled each time
  absl::Duration max_retry_after = absl::Seconds(30);
};

}  // namespace crisp::image
