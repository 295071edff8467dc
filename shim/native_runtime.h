// The native runtime handler: the shim forks a builder (builder.h), which clones the process and
// ends; both tell how it goes through a shared page (report.h) and a pipe.
#pragma once

#include "shim/runtime.h"

namespace crisp::shim {

class NativeRuntime final : public Runtime {
 public:
  std::unique_ptr<Launch> StartContainer(const RuntimeHost& host, LaunchOwner& owner,
                                         const LaunchFds& fds,
                                         const ::shim::v1::Start& start) override;
  std::unique_ptr<Launch> StartExec(const RuntimeHost& host, LaunchOwner& owner,
                                    const LaunchFds& fds, const ::shim::v1::Exec& exec) override;
};

}  // namespace crisp::shim
