// Operations join: of several calls with one key, the first does the work and the others wait for
// its result, each for as long as its own client does. A kubelet that retries after a timeout gets
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
#include "absl/time/time.h"

namespace crisp::cri {

template <typename Result>
class Joined {
 public:
  absl::StatusOr<Result> Run(const std::string& key, absl::Time deadline,
                             const std::function<absl::StatusOr<Result>()>& work) {
    std::shared_ptr<Operation> operation;
    {
      absl::MutexLock lock(&mu_);
      std::shared_ptr<Operation>& slot = running_[key];
      if (slot != nullptr) {
        operation = slot;
        if (!mu_.AwaitWithDeadline(absl::Condition(&operation->done), deadline)) {
          return absl::DeadlineExceededError("the same operation is still running");
        }
        return *operation->result;
      }
      slot = operation = std::make_shared<Operation>();
    }
    absl::StatusOr<Result> result = work();
    absl::MutexLock lock(&mu_);
    operation->result = result;
    operation->done = true;
    running_.erase(key);
    return result;
  }

 private:
  struct Operation {
    bool done = false;
    std::optional<absl::StatusOr<Result>> result;
  };
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<Operation>> running_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::cri
