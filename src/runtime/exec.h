// What the streaming server asks of the runtime, answered with shims and network namespaces: exec
// and attach hand out pipe ends, port-forward a socket made inside the pod. Thread-safe; every
// call is bounded in time.
#pragma once

#include <functional>
#include <string>

#include "streaming/runtime.h"

namespace crisp::cri {

class Streams : public streaming::StreamingRuntime {
 public:
  // Where the objects are; answered by the Service. An error reaches the client's user.
  struct Lookup {
    std::function<absl::StatusOr<std::string>(const std::string& container_id)> running_bundle;
    // Of the sandbox's network namespace; an invalid descriptor means the host's.
    std::function<absl::StatusOr<base::UniqueFd>(const std::string& sandbox_id)> netns;
  };
  explicit Streams(Lookup lookup) : lookup_(std::move(lookup)) {}

  absl::StatusOr<streaming::Process> Exec(const streaming::ExecRequest& request) override;
  absl::StatusOr<streaming::Process> Attach(const streaming::AttachRequest& request) override;
  absl::StatusOr<base::UniqueFd> PodSocket(const std::string& sandbox_id, int family) override;

 private:
  const Lookup lookup_;
};

}  // namespace crisp::cri
