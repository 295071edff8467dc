// The STATUS verb, asked for in the background: Status is called every few seconds and must not
// wait for a plugin. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cni/conf.h"

namespace crisp::cni {

class StatusProbe {
 public:
  explicit StatusProbe(std::vector<std::string> plugin_dirs);
  // Waits for a running plugin, which has two seconds.
  ~StatusProbe();
  StatusProbe(const StatusProbe&) = delete;
  StatusProbe& operator=(const StatusProbe&) = delete;

  // The last verdict of this network's plugins, at most ten seconds older than the last call.
  // Always OK for versions without the verb. Only before the first verdict of a network this
  // waits, up to a second; then it is kUnavailable.
  absl::Status Verdict(const NetworkConf& network);

 private:
  void Loop();
  absl::Status Ask(const NetworkConf& network) const;

  const std::vector<std::string> plugin_dirs_;
  absl::Mutex mutex_;
  std::optional<NetworkConf> wanted_ ABSL_GUARDED_BY(mutex_);  // the thread's next task
  std::string asked_ ABSL_GUARDED_BY(mutex_);                  // last asked for, by its JSON
  int64_t asked_at_ ABSL_GUARDED_BY(mutex_) = 0;               // CLOCK_MONOTONIC nanoseconds
  std::string judged_ ABSL_GUARDED_BY(mutex_);                 // the network `verdict_` is about
  absl::Status verdict_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // started by the first network that has the verb
};

}  // namespace crisp::cni
