// ExecSync: a command in a running container, its output in the answer. The command's tree is dead
// and reaped before a timeout is reported.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <functional>

#include "base/errno.h"
#include "base/failpoint.h"
#include "base/status_macros.h"
#include "linux/null_device.h"
#include "linux/pipe.h"
#include "runtime/exec.h"
#include "shim_client/session.h"

namespace crisp::runtime {
namespace {

// Clients take messages of 16 MiB; both streams together leave room for the rest of the message.
constexpr size_t kMaxOutputBytes = (16 << 20) - 4096;

// When to look at the caller again: without a descriptor for its cancellation, every second.
base::Deadline NextLook(const base::Call& call) {
  if (call.cancel->fd() >= 0) return call.deadline;
  return std::min(call.deadline, base::Deadline::In(absl::Seconds(1)));
}

absl::Status ForCaller(const absl::Status& why) {
  return absl::IsDeadlineExceeded(why) ? absl::DeadlineExceededError("command timed out") : why;
}

// Until the command's process runs, or why there is none; at most until the caller has left or its
// time is up, because the container decides how long it takes. When crispd is stopped the command
// is left to the shim, as one that runs.
absl::StatusOr<shim_client::ExecSession> AwaitStart(shim_client::PendingExec pending,
                                                    const base::Call& call,
                                                    const std::function<bool()>& stopping) {
  pollfd fds[] = {{pending.fd(), POLLIN, 0}, {call.cancel->fd(), POLLIN, 0}};
  while (fds[0].revents == 0) {
    const absl::Status caller = call.Check();
    if (!caller.ok() && stopping()) pending.Leave();
    if (!caller.ok()) return ForCaller(caller);
    poll(fds, std::size(fds), NextLook(call).PollMillis());
  }
  return pending.Started(base::Deadline::In(absl::ZeroDuration()));
}

// One stream of the command: its read end and what was kept of it.
class Capture {
 public:
  Capture(base::UniqueFd fd, std::string* output) : fd_(std::move(fd)), output_(output) {}

  int fd() const { return fd_.get(); }

  // Reads at most what the pipe holds, because a command may write faster than this reads. Drops
  // what does not fit. Closes at end of file.
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
    // Once something was dropped the rest is dropped too: an answer may be cut off, but not in the
    // middle.
    if (full_) return;
    const size_t kept = share.Take(bytes.size());
    full_ = kept < bytes.size();
    // Reserved memory costs nothing until it is written to; growing would copy.
    if (output_->size() + kept > output_->capacity()) output_->reserve(kMaxOutputBytes);
    output_->append(bytes.data(), kept);
  }

  base::UniqueFd fd_;
  std::string* const output_;
  bool full_ = false;
};

// One command under way.
class SyncExec {
 public:
  // `stopping`: whether crispd ends, and not the caller has left.
  SyncExec(shim_client::ExecSession session, linux::Pipe out, linux::Pipe err, OutputBudget& budget,
           std::function<bool()> stopping)
      : session_(std::move(session)),
        stopping_(std::move(stopping)),
        share_(budget, kMaxOutputBytes),
        out_(std::move(out.read), &output_.out),
        err_(std::move(err.read), &output_.err) {}

  // Copies output until the command has exited, the caller has left or its time is up; nothing of
  // the command's tree runs afterwards. When crispd is stopped it runs on, as the containers do.
  absl::StatusOr<ExecOutput> Run(const base::Call& call) {
    while (true) {
      const absl::Status caller = call.Check();
      if (!caller.ok()) return Abandon(caller);
      pollfd fds[] = {{session_.fd(), POLLIN, 0},
                      {out_.fd(), POLLIN, 0},
                      {err_.fd(), POLLIN, 0},
                      {call.cancel->fd(), POLLIN, 0}};
      poll(fds, std::size(fds), NextLook(call).PollMillis());
      Drain();
      if (fds[0].revents == 0) continue;
      CRISP_ASSIGN_OR_RETURN(output_.exit_code, session_.Wait());
      // A child that lives on may hold the pipes open; what it writes later belongs to no answer.
      Drain();
      return std::move(output_);
    }
  }

 private:
  void Drain() {
    out_.Drain(share_);
    err_.Drain(share_);
  }

  absl::Status Abandon(const absl::Status& why) {
    if (stopping_()) {
      session_.Leave();
      return why;
    }
    CRISP_RETURN_IF_ERROR(session_.Kill());
    CRISP_RETURN_IF_ERROR(session_.Wait(base::Deadline::In(kKillTime)).status());
    return ForCaller(why);
  }

  shim_client::ExecSession session_;
  const std::function<bool()> stopping_;
  ExecOutput output_;
  OutputBudget::Share share_;
  Capture out_;
  Capture err_;
};

}  // namespace

absl::StatusOr<ExecOutput> Execs::Sync(const ContainerPtr& container,
                                       const std::vector<std::string>& command,
                                       absl::Duration timeout, const base::Call& caller) {
  const base::Call call = caller.Before(base::Deadline::In(timeout));
  CRISP_ASSIGN_OR_RETURN(linux::Pipe out, linux::MakePipe());
  CRISP_ASSIGN_OR_RETURN(linux::Pipe err, linux::MakePipe());
  for (const linux::Pipe* pipe : {&out, &err}) {
    if (fcntl(pipe->read.get(), F_SETFL, O_NONBLOCK) != 0) return base::Errno("fcntl", "pipe");
  }
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd null, linux::OpenNull());
  base::Failpoint("exec: pipes made");
  absl::StatusOr<shim_client::PendingExec> pending =
      shim_client::PendingExec::Ask(core_.paths.Bundle(container->id()), command, /*tty=*/false,
                                    {null.get(), out.write.get(), err.write.get()}, call.deadline,
                                    /*survives=*/true);
  if (!pending.ok()) return base::Prefix(pending.status(), "exec");
  base::Failpoint("exec: asked");
  out.write.reset();
  err.write.reset();
  const auto stopping = [this] {
    absl::MutexLock lock(&server_mu_);
    return stopping_;
  };
  absl::StatusOr<shim_client::ExecSession> session =
      AwaitStart(*std::move(pending), call, stopping);
  if (!session.ok()) return base::Prefix(session.status(), "exec");
  base::Failpoint("exec: runs");
  return SyncExec(*std::move(session), std::move(out), std::move(err), sync_output_, stopping)
      .Run(call);
}

}  // namespace crisp::runtime
