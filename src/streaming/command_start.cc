#include "streaming/command_start.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace crisp::streaming {

CommandStart::CommandStart(const SessionContext& context, Done done)
    : context_(context), done_(std::move(done)), timer_(context.loop) {}

std::shared_ptr<CommandStart> CommandStart::Begin(const SessionContext& context,
                                                  const Request& request, Done done) {
  const std::shared_ptr<CommandStart> self(new CommandStart(context, std::move(done)));
  context.loop->RunOnWorker([self, request] {
    StreamingRuntime* const runtime = self->context_.runtime;
    const auto* exec = std::get_if<ExecRequest>(&request);
    auto pending = std::make_shared<absl::StatusOr<PendingProcess>>(
        exec != nullptr ? runtime->Exec(*exec) : runtime->Attach(std::get<AttachRequest>(request)));
    self->context_.loop->Post([self, pending] { self->Asked(std::move(*pending)); });
  });
  return self;
}

void CommandStart::Asked(absl::StatusOr<PendingProcess> pending) {
  if (given_up_) return;
  if (!pending.ok()) return Finish(pending.status());
  start_ = std::move(pending->start);
  answered_ = std::make_unique<FdWatch>(context_.loop, std::move(pending->answered));
  answered_->WhenReadable([this] { Answered(); });
  timer_.Start(context_.start_timeout, [this] {
    Finish(absl::DeadlineExceededError(absl::StrCat("the process does not run after ",
                                                    absl::FormatDuration(context_.start_timeout))));
  });
}

void CommandStart::Answered() {
  finishing_ = true;
  timer_.Cancel();
  context_.loop->RunOnWorker([self = shared_from_this(), start = std::move(start_)] {
    auto process = std::make_shared<absl::StatusOr<Process>>(start->Finish());
    self->context_.loop->Post([self, process] { self->Finish(std::move(*process)); });
  });
  answered_.reset();  // this is its callback
}

void CommandStart::Finish(absl::StatusOr<Process> process) {
  const std::shared_ptr<CommandStart> alive = shared_from_this();
  start_.reset();
  answered_.reset();
  timer_.Cancel();
  std::exchange(done_, nullptr)(std::move(process));
}

void CommandStart::GiveUp() {
  given_up_ = true;
  timer_.Cancel();
  answered_.reset();
  start_.reset();
  if (!finishing_) done_ = nullptr;
}

}  // namespace crisp::streaming
