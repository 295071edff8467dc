// The start of a remote command: asks the runtime for the process and waits, on no thread, until it
// runs. I/O thread only.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "streaming/command_session.h"
#include "streaming/loop.h"
#include "streaming/request.h"
#include "streaming/runtime.h"

namespace crisp::streaming {

class CommandStart : public std::enable_shared_from_this<CommandStart> {
 public:
  // Once: the running process, or why there is none; kDeadlineExceeded after the context's
  // start_timeout.
  using Done = std::function<void(absl::StatusOr<Process>)>;

  // `request` is an ExecRequest or an AttachRequest.
  static std::shared_ptr<CommandStart> Begin(const SessionContext& context, const Request& request,
                                             Done done);

  // Nobody wants the process any more. `done` is called only if it may run already.
  void GiveUp();

 private:
  CommandStart(const SessionContext& context, Done done);

  void Asked(absl::StatusOr<PendingProcess> pending);
  void Answered();
  void Finish(absl::StatusOr<Process> process);

  const SessionContext context_;
  Done done_;
  std::shared_ptr<ProcessStart> start_;
  std::unique_ptr<FdWatch> answered_;
  Timer timer_;
  bool finishing_ = false;  // Finish() of the runtime is under way
  bool given_up_ = false;
};

}  // namespace crisp::streaming
