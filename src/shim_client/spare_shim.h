// A shim that waits to be told whose it is, so that a launch need not wait until a program is
// loaded, which takes as long as all else that a pause needs. There is one at most. It ends by
// itself when crispd does; one that is killed is reaped at once. Thread-safe.
#pragma once

#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "linux/spawn.h"

namespace crisp::shim_client {

// Lengths of the arguments that the shim shows in ps(1). It can write others over them, but no
// longer ones.
struct ArgumentSizes {
  size_t bundle = 0;
  size_t id = 0;

  bool operator==(const ArgumentSizes& other) const {
    return bundle == other.bundle && id == other.id;
  }
};

// A shim that was started and belongs to no container yet.
struct NamelessShim {
  linux::Child process;
  ipc::Channel adoption;  // for the Adopt; when it is closed before, the shim ends
  ArgumentSizes sizes;
};

class SpareShim {
 public:
  using Spawn = std::function<absl::StatusOr<NamelessShim>(ArgumentSizes)>;
  explicit SpareShim(Spawn spawn) : spawn_(std::move(spawn)) {}
  ~SpareShim();
  SpareShim(const SpareShim&) = delete;

  // Without the thread there is never a spare shim.
  absl::Status Start();
  // The spare shim, if there is one that fits. The caller reaps it. The next one will be of these
  // sizes.
  std::optional<NamelessShim> Take(ArgumentSizes sizes);
  // Has one made, unless there is one. Does not wait.
  void Refill();

 private:
  void Run();
  // Empty when this is being destroyed. Reaps the spare shim if it ends meanwhile.
  std::optional<ArgumentSizes> AwaitWanted();
  void ForgetDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake() const;

  const Spawn spawn_;
  base::UniqueFd wake_;  // eventfd
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool wanted_ ABSL_GUARDED_BY(mu_) = false;
  ArgumentSizes sizes_ ABSL_GUARDED_BY(mu_);
  std::optional<NamelessShim> spare_ ABSL_GUARDED_BY(mu_);
  base::Thread thread_;
};

}  // namespace crisp::shim_client
