// Runs the STATUS verb in the background: kubelet calls the Status RPC every few seconds, and it
// must not wait for a plugin. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/thread.h"
#include "base/wait.h"
#include "cni/conf.h"

namespace crisp::cni {

class StatusProbe {
 public:
  // `group`: as PluginCall::group. Starts the thread; when the kernel refuses, Verdict() tries
  // again.
  StatusProbe(std::vector<std::string> plugin_dirs, std::string group);
  // Waits for a running plugin, which is killed after two seconds.
  ~StatusProbe();
  StatusProbe(const StatusProbe&) = delete;
  StatusProbe& operator=(const StatusProbe&) = delete;

  // The latest STATUS result of this network, which is the one asked about every ten seconds from
  // then on: the result is at most 20 s old, also when a plugin hangs. Never waits: kUnavailable
  // before the first result of a network. Always OK for versions without the verb.
  absl::Status Verdict(const NetworkConf& network);
  // Asks no more, until the next Verdict().
  void Forget();

 private:
  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();
  absl::Status Ask(const NetworkConf& network) const;

  const std::vector<std::string> plugin_dirs_;
  const std::string group_;
  absl::Mutex mutex_;
  base::CondVar changed_;
  std::optional<NetworkConf> network_ ABSL_GUARDED_BY(mutex_);  // to ask about
  std::string judged_ ABSL_GUARDED_BY(mutex_);                  // the JSON of the one of `verdict_`
  absl::Status verdict_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  base::Thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace crisp::cni
