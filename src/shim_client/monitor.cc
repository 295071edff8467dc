#include "shim_client/monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/errno.h"
#include "base/failpoint.h"
#include "base/status_macros.h"
#include "linux/reap.h"
#include "linux/syscalls.h"

namespace crisp::shim_client {
namespace {

constexpr absl::Duration kPollAgain = absl::Milliseconds(100);

void Kill(int pidfd) {
  if (pidfd >= 0) (void)linux::SendSignal(pidfd, SIGKILL);
}

// ECHILD: not a child, such as a shim of an earlier crispd; init reaps it.
void Reap(int pidfd) {
  siginfo_t info = {};
  (void)waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
}

}  // namespace

absl::Status Monitor::Start() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !wake_.valid()) return base::Errno("epoll", "shim monitor");
  epoll_event event = {.events = EPOLLIN, .data = {.fd = wake_.get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0)
    return base::Errno("epoll_ctl", "shim monitor");
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("tether", [this] { Run(); }));
  return absl::OkStatus();
}

void Monitor::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.Join();
}

absl::Status Monitor::Watch(const std::string& container_id, ipc::Channel tether,
                            base::UniqueFd pidfd) {
  const int fd = tether.fd();
  return Add(fd, {.container_id = container_id,
                  .tether = std::move(tether),
                  .pidfd = std::move(pidfd),
                  .told = std::nullopt});
}

absl::Status Monitor::WatchProcess(const std::string& id, base::UniqueFd pidfd) {
  const int fd = pidfd.get();
  return Add(fd, {.container_id = id, .tether = {}, .pidfd = std::move(pidfd), .told = {}});
}

absl::Status Monitor::Add(int fd, Watched watched) {
  absl::MutexLock lock(&mu_);
  watched_[fd] = std::move(watched);
  absl::Status status = Poll(fd);
  if (!status.ok()) watched_.erase(fd);
  return status;
}

absl::Status Monitor::Poll(int fd) {
  epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) {
    unpolled_.erase(fd);
    return absl::OkStatus();
  }
  if (errno != ENOMEM && errno != ENOSPC) return base::Errno("epoll_ctl", "shim");
  if (unpolled_.insert(fd).second) eventfd_write(wake_.get(), 1);
  return absl::OkStatus();
}

void Monitor::Unpoll(int fd) {
  unpolled_.erase(fd);
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Monitor::PollAgain() {
  absl::MutexLock lock(&mu_);
  for (const int fd : std::vector<int>(unpolled_.begin(), unpolled_.end())) (void)Poll(fd);
}

void Monitor::KillShim(const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  for (const auto& [fd, shim] : watched_) {
    if (shim.container_id == container_id && shim.tether.valid()) Kill(shim.pidfd.get());
  }
}

void Monitor::Run() {
  while (true) {
    epoll_event events[64];
    const int n = epoll_wait(epoll_.get(), events, std::size(events), NextReport().PollMillis());
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (stopping_) return;
      eventfd_t unused;
      if (fd == wake_.get()) {
        (void)eventfd_read(fd, &unused);
      } else if (ending_.count(fd) > 0) {
        CheckEnd(fd);
      } else if (!TakePacket(fd)) {
        Gone(fd);
      }
    }
    ReportLate();
    PollAgain();
  }
}

bool Monitor::TakePacket(int tether_fd) {
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(tether_fd);
  if (it == watched_.end() || !it->second.tether.valid()) return false;
  const auto reply =
      it->second.tether.ReceiveMessage<::shim::v1::Reply>(nullptr, base::Deadline::At(0));
  if (!reply.ok()) return absl::IsDeadlineExceeded(reply.status());
  if (reply->has_exited()) {
    base::Failpoint("monitor: exit told");
    it->second.told = {.exit = {.exit_code = reply->exited().exit_code(),
                                .oom_killed = reply->exited().oom_killed(),
                                .finished_at_ns = reply->exited().finished_at_ns()},
                       .on_disk = reply->exited().on_disk()};
  }
  return true;
}

void Monitor::Gone(int fd) {
  Watched shim;
  {
    absl::MutexLock lock(&mu_);
    auto it = watched_.find(fd);
    if (it == watched_.end()) return;
    const bool process = !it->second.tether.valid();
    if (process && !linux::AwaitEnd(fd, base::Deadline::At(0))) return;
    shim = std::move(it->second);
    watched_.erase(it);
    Unpoll(fd);
  }
  if (!shim.tether.valid()) {
    Reap(shim.pidfd.get());
    base::Failpoint("monitor: process gone");
    if (!shim.container_id.empty()) on_gone_(shim.container_id, std::nullopt);
    return;
  }
  base::Failpoint("monitor: shim's tether ended");
  shim.tether.Close();
  if (!shim.pidfd.valid()) return on_gone_(shim.container_id, shim.told);
  // A shim that closed the tether but did not end is broken: it is killed.
  Kill(shim.pidfd.get());
  const int pidfd = shim.pidfd.get();
  ending_[pidfd] = {.container_id = shim.container_id,
                    .pidfd = std::move(shim.pidfd),
                    .told = shim.told,
                    .deadline = base::Deadline::In(patience_)};
  absl::MutexLock lock(&mu_);
  (void)Poll(pidfd);  // a pidfd can be polled
}

void Monitor::CheckEnd(int pidfd) {
  Reap(pidfd);
  base::Failpoint("monitor: shim reaped");
  {
    absl::MutexLock lock(&mu_);
    Unpoll(pidfd);
  }
  const Ending shim = std::move(ending_[pidfd]);
  ending_.erase(pidfd);
  if (!shim.deadline.is_never()) on_gone_(shim.container_id, shim.told);
}

void Monitor::ReportLate() {
  for (auto& [fd, shim] : ending_) {
    if (!shim.deadline.Passed()) continue;
    shim.deadline = base::Deadline::Never();
    on_gone_(shim.container_id, shim.told);
  }
}

base::Deadline Monitor::NextReport() {
  base::Deadline next;
  {
    absl::MutexLock lock(&mu_);
    if (!unpolled_.empty()) next = base::Deadline::In(kPollAgain);
  }
  for (const auto& [fd, shim] : ending_) next = std::min(next, shim.deadline);
  return next;
}

}  // namespace crisp::shim_client
