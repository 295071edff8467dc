// Operations join: of several calls with one key, the first does the work and the others wait for
// its result, each for as long as its own caller waits. A kubelet that retries after a timeout gets
// the same sandbox; "name is reserved" does not exist. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "base/errno.h"
#include "base/wait.h"

namespace crisp::runtime {

template <typename Result>
class Joined {
 public:
  absl::StatusOr<Result> Run(const std::string& key, const base::Call& call,
                             const std::function<absl::StatusOr<Result>()>& work) {
    bool first = false;
    const std::shared_ptr<Operation> operation = Join(key, first);
    if (!first) {
      const absl::Status waited = operation->done.Wait(call);
      if (!waited.ok()) return base::Prefix(waited, "the same operation is still running");
      return *operation->result;
    }
    operation->result = work();
    {
      absl::MutexLock lock(&mu_);
      running_.erase(key);
    }
    operation->done.Set();
    return *operation->result;
  }

 private:
  struct Operation {
    std::optional<absl::StatusOr<Result>> result;  // written once, before `done`
    base::Latch done;
  };

  std::shared_ptr<Operation> Join(const std::string& key, bool& first) {
    absl::MutexLock lock(&mu_);
    std::shared_ptr<Operation>& slot = running_[key];
    first = slot == nullptr;
    if (first) slot = std::make_shared<Operation>();
    return slot;
  }

  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<Operation>> running_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::runtime
