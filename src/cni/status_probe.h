// Runs the STATUS verb in the background: kubelet calls the Status RPC every few seconds, and it
// must not wait for a plugin. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/thread.h"
#include "cni/conf.h"

namespace crisp::cni {

class StatusProbe {
 public:
  // Starts the thread; when the kernel refuses, Verdict() tries again.
  explicit StatusProbe(std::vector<std::string> plugin_dirs);
  // Waits for a running plugin, which is killed after two seconds.
  ~StatusProbe();
  StatusProbe(const StatusProbe&) = delete;
  StatusProbe& operator=(const StatusProbe&) = delete;

  // The latest STATUS result of this network. A call starts a new one when the last began more than
  // ten seconds before. Always OK for versions without the verb. Waits only before the first result
  // of a network, up to a second; then kUnavailable.
  absl::Status Verdict(const NetworkConf& network);

 private:
  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();
  absl::Status Ask(const NetworkConf& network) const;

  const std::vector<std::string> plugin_dirs_;
  absl::Mutex mutex_;
  std::optional<NetworkConf> wanted_ ABSL_GUARDED_BY(mutex_);  // the next for the thread
  std::string asked_ ABSL_GUARDED_BY(mutex_);                  // the last wanted, its JSON
  int64_t asked_at_ ABSL_GUARDED_BY(mutex_) = 0;               // CLOCK_MONOTONIC nanoseconds
  std::string judged_ ABSL_GUARDED_BY(mutex_);                 // the network of `verdict_`
  absl::Status verdict_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  base::Thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace crisp::cni
