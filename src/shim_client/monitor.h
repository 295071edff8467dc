// Watches every running shim by its tether (an idle connection): end of file means the shim is gone
// and its exit record, if any, is complete. One thread, epoll(7). Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"

namespace crisp::shim_client {

class Monitor {
 public:
  // Called on the monitor's thread, once per watched id, after the shim process is dead and reaped.
  // Must not block.
  using GoneCallback = std::function<void(const std::string& container_id)>;

  explicit Monitor(GoneCallback on_gone) : on_gone_(std::move(on_gone)) {}
  Monitor(const Monitor&) = delete;
  ~Monitor() { Stop(); }

  absl::Status Start();
  // Returns when the callback is not running and will not be called again.
  void Stop();

  // Takes the tether and the shim's pidfd. A shim of ours is reaped here; one that an earlier
  // daemon started is not our child and its pidfd may be invalid (unknown).
  absl::Status Watch(const std::string& container_id, ipc::Channel tether, base::UniqueFd pidfd);

  // SIGKILL to a watched shim that hangs; the callback follows.
  void KillShim(const std::string& container_id);

 private:
  struct Watched {
    std::string container_id;
    ipc::Channel tether;
    base::UniqueFd pidfd;
  };

  void Run();
  void Gone(int tether_fd);

  const GoneCallback on_gone_;
  base::UniqueFd epoll_;
  base::UniqueFd stop_;
  std::thread thread_;
  absl::Mutex mu_;
  std::map<int, Watched> watched_ ABSL_GUARDED_BY(mu_);  // by tether fd
};

}  // namespace crisp::shim_client
