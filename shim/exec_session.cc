#include "shim/exec_session.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"

namespace crisp::shim {

void ExecSession::Start(const ExecHost& host, uint64_t serial, Connection& connection,
                        const ::shim::v1::Exec& exec, const std::vector<base::UniqueFd>& stdio) {
  if (stdio.size() != (exec.tty() ? 0u : 3u))
    return connection.Fail(ipc::Step::kExec, EINVAL, "three descriptors, or a tty");
  absl::StatusOr<base::UniqueFd> group = cgroup::MakeExecGroup(host.cgroup->v2.get(), serial);
  if (!group.ok())
    return connection.Fail(ipc::Step::kCgroup, 0, std::string(group.status().message()));
  active_ = true;
  exited_ = killed_ = started_ = false;
  pid_ = 0;
  host_ = &host;
  serial_ = serial;
  connection_ = &connection;
  group_ = *std::move(group);
  absl::StatusOr<base::UniqueFd> events = cgroup::OpenEvents(group_.get());
  if (events.ok()) events_ = *std::move(events);
  BuilderInput input = {
      .bundle = host.bundle, .cgroup = host.cgroup, .clone_into = group_.get(), .init = host.init};
  for (size_t i = 0; i < stdio.size(); ++i) input.stdio[i] = stdio[i].get();
  if (events_.valid()) (void)IsEmpty();  // read once, so that the next event is a change
  const bool ok = events_.valid() && host.loop->Add(events_.get(), EPOLLPRI, *this) &&
                  launch_.StartExec(*host.loop, *this, input, exec, {.terminal = exec.tty()});
  if (ok) return;
  connection.Fail(ipc::Step::kFork, errno, "");
  connection_ = nullptr;
  launch_.Close();
  exited_ = true;
  Advance();
}

void ExecSession::Kill() {
  killed_ = true;
  // The builder is not in the group yet; what it has cloned is.
  if (launch_.builder() != 0) kill(launch_.builder(), SIGKILL);
  (void)cgroup::KillGroup(
      group_.get());  // fails only when the group is gone, and everything with it
  Advance();
}

void ExecSession::Hangup() {
  connection_ = nullptr;
  if (!exited_) Kill();
}

void ExecSession::OnLaunched() {
  pid_ = launch_.child();
  base::UniqueFd master = launch_.TakeMaster();
  if (launch_.ok()) {
    started_ = true;
    launch_.Close();
    ::shim::v1::Reply reply;
    reply.mutable_exec_started()->set_pid(pid_);
    if (connection_ != nullptr && !connection_->Send(reply, master.get())) Hangup();
  } else {
    exited_ = pid_ == 0;
  }
  Advance();
}

bool ExecSession::OnExit(pid_t pid, int status) {
  if (!active_ || pid == 0) return false;
  if (pid == launch_.builder()) {
    launch_.ForgetBuilder();
    Advance();
    return true;
  }
  // The pid of a session that only waits for what it has left running is free for others.
  if (pid != pid_ || exited_) return false;
  exited_ = true;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  Advance();
  return true;
}

bool ExecSession::IsEmpty() const {
  const absl::StatusOr<bool> populated = cgroup::Populated(events_.get());
  return !populated.ok() || !*populated;  // an unreadable file: the group is gone
}

// Reports the end when it is time, and ends the session when nothing is left of it.
void ExecSession::Advance() {
  if (!exited_ || launch_.pending()) return;
  const bool gone = IsEmpty() && launch_.builder() == 0;
  if ((killed_ || !started_) && !gone) {
    // The rest of the tree is dying, and with it what the builder cloned in its last moment; the
    // next event tells.
    if (killed_ && launch_.builder() == 0) (void)cgroup::KillGroup(group_.get());
    return;
  }
  Report();
  if (gone) Finish();
}

bool ExecSession::GiveUp() {
  const bool over = active_ && exited_ && !killed_ && started_ && connection_ == nullptr &&
                    !launch_.pending() && launch_.builder() == 0;
  if (over) Finish();
  return over;
}

void ExecSession::Report() {
  if (connection_ == nullptr) return;
  if (started_) {
    ::shim::v1::Reply reply;
    reply.mutable_exec_exited()->set_exit_code(exit_code_);
    (void)connection_->Send(reply);
    connection_->Close();
  } else {
    const shim::Report& report = launch_.report();
    connection_->Fail(report.step(), report.error, report.failed ? report.detail : "killed");
  }
  connection_ = nullptr;
}

void ExecSession::Finish() {
  launch_.Close();
  if (events_.valid()) host_->loop->Remove(events_.get());
  events_.reset();
  group_.reset();
  // Gone with the container's, empty, or kept by what the exec has left running.
  const absl::Status removed = cgroup::RemoveExecGroup(host_->cgroup->v2.get(), serial_);
  if (absl::IsFailedPrecondition(removed)) host_->leftover_groups->push_back(serial_);
  active_ = false;
}

void ExecSession::OnEvent(uint32_t) {
  (void)IsEmpty();  // reading is what acknowledges the event
  Advance();
}

}  // namespace crisp::shim
