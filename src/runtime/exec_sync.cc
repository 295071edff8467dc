// ExecSync: a command in a running container, its output in the answer. The command's tree is dead
// and reaped before a timeout is reported.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/null_device.h"
#include "linux/pipe.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/session.h"

namespace crisp::cri {
namespace {

// Clients take messages of 16 MiB; both streams together leave room for the rest of the message.
constexpr size_t kMaxOutputBytes = (16 << 20) - 4096;
// Between the exit of the command and the end of what it had already written there is no wait; this
// bounds how often the daemon looks whether its client is still there.
constexpr absl::Duration kClientCheck = absl::Seconds(1);

// One stream of the command: its read end and what was kept of it.
class Capture {
 public:
  Capture(base::UniqueFd fd, std::string* output) : fd_(std::move(fd)), output_(output) {}

  int fd() const { return fd_.get(); }

  // Reads what is there now, that is at most what the pipe holds: a command may write faster than
  // this reads. What there is no room for is dropped. Closes at end of file.
  void Drain(OutputBudget::Share& share) {
    char buffer[64 << 10];
    for (int left = fd_.valid() ? fcntl(fd_.get(), F_GETPIPE_SZ) : 0; left > 0;) {
      const ssize_t n = read(fd_.get(), buffer, sizeof(buffer));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return fd_.reset();
      Keep({buffer, static_cast<size_t>(n)}, share);
      left -= static_cast<int>(n);
    }
  }

 private:
  void Keep(absl::string_view bytes, OutputBudget::Share& share) {
    // Once something was dropped the rest is, too: an answer has an end, but no holes.
    if (full_) return;
    const size_t kept = share.Take(bytes.size());
    full_ = kept < bytes.size();
    // Memory that is reserved costs nothing until it is written to; growing would copy.
    if (output_->size() + kept > output_->capacity()) output_->reserve(kMaxOutputBytes);
    output_->append(bytes.data(), kept);
  }

  base::UniqueFd fd_;
  std::string* const output_;
  bool full_ = false;
};

class SyncExec {
 public:
  SyncExec(shim_client::ExecSession session, Pipe out, Pipe err, OutputBudget& budget)
      : session_(std::move(session)),
        share_(budget, kMaxOutputBytes),
        out_(std::move(out.read), response_.mutable_stdout()),
        err_(std::move(err.read), response_.mutable_stderr()) {}

  // Copies output until the command has exited or `deadline`; then nothing of its tree runs any
  // more.
  absl::StatusOr<v1::ExecSyncResponse> Run(absl::Time deadline, const Call& call) {
    while (true) {
      const absl::Time now = absl::Now();
      if (now >= deadline) return Abandon(absl::DeadlineExceededError("command timed out"));
      if (call.cancelled()) return Abandon(absl::CancelledError("client is gone"));
      pollfd fds[] = {{session_.fd(), POLLIN, 0}, {out_.fd(), POLLIN, 0}, {err_.fd(), POLLIN, 0}};
      const absl::Duration wait = std::min(deadline - now, kClientCheck);
      poll(fds, 3, static_cast<int>(absl::ToInt64Milliseconds(wait) + 1));
      Drain();
      if (fds[0].revents == 0) continue;
      CRISP_ASSIGN_OR_RETURN(const int exit_code, session_.Wait());
      // A child that lives on may hold the pipes open: what it writes later is nobody's answer.
      Drain();
      response_.set_exit_code(exit_code);
      return std::move(response_);
    }
  }

 private:
  void Drain() {
    out_.Drain(share_);
    err_.Drain(share_);
  }

  absl::Status Abandon(absl::Status why) {
    CRISP_RETURN_IF_ERROR(session_.Kill());
    CRISP_RETURN_IF_ERROR(
        session_.Wait(base::Deadline::At(MonotonicDeadline(absl::Now() + kKillTime))).status());
    return why;
  }

  shim_client::ExecSession session_;
  v1::ExecSyncResponse response_;
  OutputBudget::Share share_;
  Capture out_;
  Capture err_;
};

}  // namespace

absl::StatusOr<v1::ExecSyncResponse> Service::ExecSync(const v1::ExecSyncRequest& request,
                                                       const Call& call) {
  if (request.cmd().empty()) return absl::InvalidArgumentError("cmd is empty");
  if (request.timeout() < 0)
    return absl::InvalidArgumentError(absl::StrCat("timeout ", request.timeout(), " is negative"));
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, FindRunning(request.container_id()));
  const absl::Time timeout = request.timeout() == 0
                                 ? absl::InfiniteFuture()
                                 : absl::Now() + absl::Seconds(request.timeout());
  const absl::Time deadline = std::min(timeout, call.deadline);
  CRISP_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  CRISP_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  for (const Pipe* pipe : {&out, &err}) {
    if (fcntl(pipe->read.get(), F_SETFL, O_NONBLOCK) != 0) return base::Errno("fcntl", "pipe");
  }
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd null, linux::OpenNull());
  absl::StatusOr<shim_client::ExecSession> session = shim_client::ExecSession::Open(
      paths_.Bundle(container->id()), {request.cmd().begin(), request.cmd().end()}, /*tty=*/false,
      {null.get(), out.write.get(), err.write.get()},
      base::Deadline::At(MonotonicDeadline(deadline)));
  if (!session.ok()) return base::Prefix(session.status(), "exec");
  out.write.reset();
  err.write.reset();
  return SyncExec(*std::move(session), std::move(out), std::move(err), exec_output_)
      .Run(deadline, call);
}

}  // namespace crisp::cri
