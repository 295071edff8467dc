#include "shim_client/monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/syscalls.h"

namespace crisp::shim_client {
namespace {

void Kill(int pidfd) {
  if (pidfd >= 0) (void)linux::SendSignal(pidfd, SIGKILL);
}

}  // namespace

absl::Status Monitor::Start() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  stop_.reset(eventfd(0, EFD_CLOEXEC));
  if (!epoll_.valid() || !stop_.valid()) return base::Errno("epoll", "shim monitor");
  epoll_event event = {.events = EPOLLIN, .data = {.fd = stop_.get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0)
    return base::Errno("epoll_ctl", "shim monitor");
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("tether", [this] { Run(); }));
  return absl::OkStatus();
}

void Monitor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.Join();
}

absl::Status Monitor::Watch(const std::string& container_id, ipc::Channel tether,
                            base::UniqueFd pidfd) {
  absl::MutexLock lock(&mu_);
  const int fd = tether.fd();
  watched_[fd] = {.container_id = container_id,
                  .tether = std::move(tether),
                  .pidfd = std::move(pidfd),
                  .exit = std::nullopt};
  epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    absl::Status status = base::Errno("epoll_ctl", "shim tether");
    watched_.erase(fd);
    return status;
  }
  return absl::OkStatus();
}

void Monitor::KillShim(const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  for (const auto& [fd, shim] : watched_) {
    if (shim.container_id == container_id) Kill(shim.pidfd.get());
  }
}

void Monitor::Run() {
  while (true) {
    epoll_event events[64];
    const int n = epoll_wait(epoll_.get(), events, std::size(events), -1);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.fd == stop_.get()) return;
      if (!TakePacket(events[i].data.fd)) Gone(events[i].data.fd);
    }
  }
}

bool Monitor::TakePacket(int tether_fd) {
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(tether_fd);
  if (it == watched_.end()) return false;
  const auto reply =
      it->second.tether.ReceiveMessage<::shim::v1::Reply>(nullptr, base::Deadline::At(0));
  if (!reply.ok()) return absl::IsDeadlineExceeded(reply.status());
  if (reply->has_exited()) {
    it->second.exit = {.exit_code = reply->exited().exit_code(),
                       .oom_killed = reply->exited().oom_killed(),
                       .finished_at_ns = reply->exited().finished_at_ns()};
  }
  return true;
}

void Monitor::Gone(int tether_fd) {
  Watched shim;
  {
    absl::MutexLock lock(&mu_);
    auto it = watched_.find(tether_fd);
    if (it == watched_.end()) return;
    shim = std::move(it->second);
    watched_.erase(it);
  }
  shim.tether.Close();
  if (shim.pidfd.valid()) {
    // A shim that closed the tether but did not end is broken: it is killed.
    Kill(shim.pidfd.get());
    siginfo_t info;
    // ECHILD: a shim of an earlier crispd, which init reaps.
    while (waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) < 0 &&
           errno == EINTR) {
    }
  }
  on_gone_(shim.container_id, shim.exit);
}

}  // namespace crisp::shim_client
