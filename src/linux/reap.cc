#include "linux/reap.h"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::linux {
namespace {

// Does not wait. Empty while the child runs. Its pid cannot be another process's, as it has not
// been reaped.
std::optional<siginfo_t> TryReap(pid_t pid) {
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
    return std::nullopt;
  return info;
}

// Children that have not ended in time.
class Leftovers {
 public:
  void Add(pid_t pid) {
    absl::MutexLock lock(&mu_);
    pids_.push_back(pid);
  }
  void Reap() {
    absl::MutexLock lock(&mu_);
    std::erase_if(pids_, [](pid_t pid) { return TryReap(pid).has_value(); });
  }

 private:
  absl::Mutex mu_;
  std::vector<pid_t> pids_ ABSL_GUARDED_BY(mu_);
};

Leftovers& TheLeftovers() {
  static Leftovers* const leftovers = new Leftovers;  // never destroyed: threads may use it
  return *leftovers;
}

}  // namespace

std::optional<siginfo_t> Reap(pid_t pid, int pidfd, base::Deadline deadline) {
  TheLeftovers().Reap();
  if (pidfd >= 0) (void)AwaitEnd(pidfd, deadline);
  const std::optional<siginfo_t> end = TryReap(pid);
  if (!end.has_value()) TheLeftovers().Add(pid);
  return end;
}

void EndChild(pid_t pid, int pidfd) {
  kill(pid, SIGKILL);
  (void)Reap(pid, pidfd, base::Deadline::In(kEndTime));
}

bool AwaitEnd(int pidfd, base::Deadline deadline) {
  while (true) {
    pollfd entry = {.fd = pidfd, .events = POLLIN, .revents = 0};
    const int ready = poll(&entry, 1, deadline.PollMillis());
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace crisp::linux
