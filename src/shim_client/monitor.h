// Watches all running shims, each by its tether, an idle connection: end of file means that the
// shim has ended and that its exit record, if it wrote one, is complete. Before it ends, a shim
// says on the tether how its container ended. Watches the pauses of sandboxes, which have no shim,
// by their pidfds. One thread of its own, epoll(7), which waits for no single shim. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "ipc/facts.h"

namespace crisp::shim_client {

// What a shim said of its container's end.
struct ToldExit {
  ipc::ExitRecord exit;
  bool on_disk = false;  // exit.json says the same; shims of an older crispd do not tell
};

class Monitor {
 public:
  // Called on the monitor's thread, once per watched id, with what the shim said of its container's
  // end: after the shim is dead and reaped, or after it has outlived SIGKILL for `patience`
  // (uninterruptible sleep): it runs no instruction any more then, and is reaped when it ends. A
  // process without a shim has ended, and may be a zombie that is not crispd's. Must not block.
  using GoneCallback =
      std::function<void(const std::string& id, const std::optional<ToldExit>& told)>;

  explicit Monitor(GoneCallback on_gone, absl::Duration patience = absl::Seconds(10))
      : on_gone_(std::move(on_gone)), patience_(patience) {}
  Monitor(const Monitor&) = delete;
  ~Monitor() { Stop(); }

  absl::Status Start();
  // Afterwards the callback is not running and is not called again.
  void Stop();

  // Takes the tether and the shim's pidfd. A shim that an earlier crispd started is not a child of
  // this one; its pidfd may be invalid (unknown).
  absl::Status Watch(const std::string& container_id, ipc::Channel tether, base::UniqueFd pidfd);

  // Takes the pidfd of a process whose end nobody tells crispd. It is reported when it has ended,
  // and reaped if it is a child. With an empty id nobody wants to know, and it is only reaped.
  absl::Status WatchProcess(const std::string& id, base::UniqueFd pidfd);

  // SIGKILL to a shim that hangs; the callback follows. Nothing happens when the id is not watched.
  void KillShim(const std::string& container_id);

 private:
  struct Watched {
    std::string container_id;
    ipc::Channel tether;  // not valid: a process without one, its id may be a sandbox's
    base::UniqueFd pidfd;
    std::optional<ToldExit> told;
  };

  // A shim that was killed and has not ended.
  struct Ending {
    std::string container_id;
    base::UniqueFd pidfd;
    std::optional<ToldExit> told;
    base::Deadline deadline;  // when its end is reported all the same; never once it was
  };

  void Run();
  // Takes a packet that has arrived. False at the end of file.
  bool TakePacket(int tether_fd);
  // `fd`: the tether or, without one, the pidfd.
  void Gone(int fd);
  // Reaps the shim if it has ended.
  void CheckEnd(int pidfd);
  void ReportLate();
  base::Deadline NextReport();
  // Has the kernel tell what happens to `fd`. When it has no memory or no watch left for that
  // (epoll_ctl(2): ENOMEM, ENOSPC), this is tried again until it has: a shim that ends unnoticed
  // would stay a zombie, and its container would run for ever.
  absl::Status Poll(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Before a descriptor is closed: a program that is being started has a copy of it for a moment,
  // so that the kernel would go on to tell about it, by a number that is another's by then.
  void Unpoll(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PollAgain();
  absl::Status Add(int fd, Watched watched);

  const GoneCallback on_gone_;
  const absl::Duration patience_;
  base::UniqueFd epoll_;
  base::UniqueFd wake_;
  std::atomic<bool> stopping_ = false;
  base::Thread thread_;
  absl::Mutex mu_;
  std::map<int, Watched> watched_ ABSL_GUARDED_BY(mu_);  // by tether fd or, without one, pidfd
  std::set<int> unpolled_ ABSL_GUARDED_BY(mu_);          // of both maps
  std::map<int, Ending> ending_;                         // by pidfd; the thread's own
};

}  // namespace crisp::shim_client
