#include "shim/exec_session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/failpoint.h"

namespace crisp::shim {

void ExecSession::Start(ExecHost& host, uint64_t serial, Connection& connection,
                        const ::shim::v1::Exec& exec, const std::vector<base::UniqueFd>& fds) {
  const size_t streams = exec.tty() ? 0 : 3;
  if (fds.size() != streams + (exec.args_in_file() ? 1 : 0))
    return connection.Fail(ipc::Step::kExec, EINVAL,
                           "needs three descriptors, or none with a terminal, and the file");
  absl::StatusOr<base::UniqueFd> group =
      cgroup::MakeExecGroup(host.container.cgroup->v2.get(), serial);
  if (!group.ok()) return connection.Fail(ipc::Step::kCgroup, group.status());
  base::Failpoint("shim: exec's group made");
  active_ = true;
  exited_ = killed_ = started_ = false;
  pid_ = 0;
  host_ = &host;
  serial_ = serial;
  connection_ = &connection;
  survives_ = exec.survives();
  survives_until_ns_ = exec.survives_until_ns();
  if (survives_ && !exec.tty()) KeepReaders(fds);
  group_ = *std::move(group);
  absl::StatusOr<base::UniqueFd> events = cgroup::OpenEvents(group_.get());
  if (events.ok()) events_ = *std::move(events);
  LaunchFds given = {.group = group_.get()};
  for (size_t i = 0; i < streams; ++i) given.stdio[i] = fds[i].get();
  if (exec.args_in_file()) given.args_file = fds.back().get();
  if (events_.valid()) (void)IsEmpty();  // read once, so that the next event is a change
  if (events_.valid() && host.container.loop->Add(events_.get(), EPOLLPRI, *this))
    launch_ = host.runtime->StartExec(host.container, *this, given, exec);
  base::Failpoint("shim: exec's builder forked");
  if (launch_ != nullptr) return;
  connection.Fail(ipc::Step::kFork, errno, errno == EAGAIN ? "is the pids limit reached?" : "");
  connection_ = nullptr;
  exited_ = killed_ = true;
  Advance();
}

// A pipe is opened once more through its write end.
void ExecSession::KeepReaders(const std::vector<base::UniqueFd>& stdio) {
  for (int i = 0; i < 2; ++i) {
    const int output = stdio[static_cast<size_t>(i) + 1].get();
    struct stat info;
    if (fstat(output, &info) != 0 || !S_ISFIFO(info.st_mode)) continue;
    const std::string path = absl::StrCat("/proc/self/fd/", output);
    readers_[i].session = this;
    readers_[i].fd.reset(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
}

void ExecSession::WatchReaders() {
  if (!null_.valid()) null_.reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (Reader& reader : readers_) {
    if (null_.valid() && reader.fd.valid() && !reader.watched)
      reader.watched = host_->container.loop->Add(reader.fd.get(), EPOLLIN, reader);
  }
}

void ExecSession::StopWatching(Reader& reader) {
  if (reader.watched) host_->container.loop->Remove(reader.fd.get());
  reader.watched = false;
}

void ExecSession::CloseReaders() {
  for (Reader& reader : readers_) {
    StopWatching(reader);
    reader.fd.reset();
  }
  read_at_ns_ = INT64_MAX;
}

void ExecSession::Discard(Reader& reader) {
  // All that a pipe holds, without copying: 50 times a second it is hardly any CPU time.
  constexpr size_t kMost = 1 << 20;
  constexpr int64_t kRestNs = 20'000'000;
  const ssize_t n =
      splice(reader.fd.get(), nullptr, null_.get(), nullptr, kMost, SPLICE_F_NONBLOCK);
  const bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  StopWatching(reader);
  if (ended) return reader.fd.reset();
  read_at_ns_ = std::min(read_at_ns_, base::MonotonicNanos() + kRestNs);
}

void ExecSession::OnTime(int64_t now_ns) {
  if (read_at_ns_ <= now_ns) {
    read_at_ns_ = INT64_MAX;
    WatchReaders();
  }
  if (kill_at_ns() <= now_ns) Kill();
}

int64_t ExecSession::kill_at_ns() const {
  const bool alone = is_alive() && !killed_ && connection_ == nullptr;
  return alone && survives_until_ns_ != 0 ? survives_until_ns_ : INT64_MAX;
}

void ExecSession::Kill() {
  killed_ = true;
  SendKill();
  Advance();
}

void ExecSession::SendKill() const {
  if (pid_ > 0 && !exited_) kill(pid_, SIGKILL);
  // Fails only when the group is gone, and with it everything that was in it.
  (void)cgroup::KillGroup(group_.get());
}

void ExecSession::Hangup() {
  connection_ = nullptr;
  if (!exited_ && !survives_) return Kill();
  if (!exited_) WatchReaders();
}

void ExecSession::OnLaunched() {
  pid_ = launch_->child();
  base::UniqueFd master = launch_->TakeTerminal();
  if (killed_) SendKill();  // as in Advance()
  if (launch_->ok()) {
    started_ = true;
    base::Failpoint("shim: exec runs");
    launch_->Close();
    ::shim::v1::Reply reply;
    reply.mutable_exec_started()->set_pid(pid_);
    if (connection_ != nullptr && !connection_->Send(reply, master.get())) Hangup();
  } else {
    exited_ = pid_ == 0;
    SendKill();  // a process whose helper was killed, or that said it failed, goes on
  }
  Advance();
}

bool ExecSession::OnExit(pid_t pid, int status) {
  if (!active_ || pid == 0) return false;
  if (pid == helper()) {
    launch_->OnHelperExit(status);
    if (active_) Advance();
    return true;
  }
  // A session whose process was reaped may wait for what that left running; its pid may belong to
  // another process by now.
  if (pid != pid_ || exited_) return false;
  base::Failpoint("shim: exec reaped");
  exited_ = true;
  CloseReaders();
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  Advance();
  return true;
}

bool ExecSession::IsEmpty() const {
  const absl::StatusOr<bool> populated = cgroup::Populated(events_.get());
  return !populated.ok() || !*populated;  // the file cannot be read when the group is gone
}

// Reports the end of the process when that is due, and ends the session when nothing is left of it.
void ExecSession::Advance() {
  if (!exited_ || IsLaunching()) return;
  const bool gone = IsEmpty() && helper() == 0;
  if ((killed_ || !started_) && !gone) {
    // Once more: before Linux 6.14 a fork could escape cgroup.kill. The group's next event comes
    // when it is empty.
    if (killed_) SendKill();
    return;
  }
  Report();
  if (gone && active_) Finish();
}

bool ExecSession::GiveUp() {
  const bool over = active_ && exited_ && !killed_ && started_ && connection_ == nullptr &&
                    !IsLaunching() && helper() == 0;
  if (over) Finish();
  return over;
}

void ExecSession::Report() {
  if (connection_ == nullptr) return;
  // When crispd has closed it, sending brings the KillExec that had arrived: Kill() is called
  // within, and may have reported and finished the session.
  Connection& connection = *connection_;
  if (started_) {
    ::shim::v1::Reply reply;
    reply.mutable_exec_exited()->set_exit_code(exit_code_);
    (void)connection.Send(reply);
    connection.Close();
  } else {
    const LaunchFailure failure = launch_->failure();
    if (failure.killed) {
      connection.Fail(ipc::Step::kLaunch, 0,
                      absl::StrCat("killed in step ", ipc::StepName(failure.step)));
    } else {
      connection.Fail(failure.step, failure.error, failure.detail);
    }
  }
  connection_ = nullptr;
}

void ExecSession::Finish() {
  if (launch_ != nullptr) launch_->Close();
  CloseReaders();
  StopWatchingGroup();
  group_.reset();
  // Only processes that the exec left running keep the group from being removed.
  const absl::Status removed = cgroup::RemoveExecGroup(host_->container.cgroup->v2.get(), serial_,
                                                       base::Deadline::In(kRemoveTime));
  base::Failpoint("shim: exec's group gone");
  if (absl::IsFailedPrecondition(removed)) host_->leftover_groups.push_back(serial_);
  active_ = false;
}

void ExecSession::OnEvent(uint32_t) {
  // Reading the file acknowledges the event. Of a group that its container has removed, as one with
  // writable cgroups can, the file cannot be read, and has an event for ever.
  if (!cgroup::Populated(events_.get()).ok()) StopWatchingGroup();
  Advance();
}

void ExecSession::StopWatchingGroup() {
  if (events_.valid()) host_->container.loop->Remove(events_.get());
  events_.reset();
}

}  // namespace crisp::shim
