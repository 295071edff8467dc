// Measures what takes long to measure: how much the writable layers of containers take on disk, and
// whatever else is given to it. One thread does it beforehand, so that calls only read the last
// values and wait neither for a disk nor for a tree that a container has made large or moves about.
//
// Turns are taken in the order in which they are due. A turn ends after a few milliseconds; a layer
// that needs more goes on at its next turn, behind all that are due earlier. The thread uses at
// most a tenth of a core, a single container at most a twenty-fifth. A value that falls is
// published at the end of a walk, one that grows also before; a walk that fails or is cut leaves
// the last value.
//
// Project quotas (quotactl_fd(2)) would count without walks, but do not hold: root in a container
// without a user namespace owns its files and may give them another project id.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "base/wait.h"
#include "runtime/objects.h"
#include "snapshot/usage_walk.h"

namespace crisp::runtime {

// Measures a layer that is new, so that it has a value from the first call on. Errors leave it
// without one.
void MeasureNewLayer(std::vector<base::UniqueFd> directories, container::Container& container);

// Thread-safe.
class Measurer {
 public:
  struct Options {
    // What a container writes to; see snapshot::SnapshotStore::OpenContainer.
    std::function<absl::StatusOr<std::vector<base::UniqueFd>>(const base::ContainerId&)> open_layer;
    // Called at the beginning of a walk of a container that runs.
    std::function<void(container::Container&)> measure_more;
    // Called first and then every `interval`.
    std::function<void()> measure_host;
    // From the end of a walk to the next of the same container, unless it took long.
    absl::Duration interval = absl::Seconds(10);
    absl::Duration turn = absl::Milliseconds(5);  // CPU time
    // How long a walk may keep others from being begun.
    absl::Duration patience = absl::Seconds(60);
    size_t walks = 8;  // that are begun and not ended, at most
  };

  // Borrows `objects`.
  Measurer(const Objects& objects, Options options)
      : objects_(objects), options_(std::move(options)) {}
  ~Measurer() { Stop(); }

  absl::Status Start();
  // Waits for the end of the turn.
  void Stop();

 private:
  struct Subject {
    container::ContainerPtr container;
    base::Deadline due = base::Deadline::At(0);
    std::unique_ptr<snapshot::UsageWalk> walk;  // begun and not ended
    base::Deadline hurry;                       // of the walk: `patience` is over
    bool waits = false;                         // for another walk to end
    bool told = false;                          // that a walk has left something out
    // Of the container, when its last walk began.
    ::runtime::v1::ContainerState state = ::runtime::v1::CONTAINER_UNKNOWN;
    absl::Duration cpu = absl::ZeroDuration();  // of the walk
  };

  void Run();
  void FindSubjects();
  Subject* Next();
  void TakeTurn(Subject& subject);
  absl::StatusOr<snapshot::UsageWalk::Progress> Step(Subject& subject);
  void EndWalk(Subject& subject);
  bool SomeoneWaits() const;
  // False when the measurer stops.
  bool WaitUntil(base::Deadline deadline);

  const Objects& objects_;
  const Options options_;
  // Used by the thread alone.
  std::map<std::string, Subject> subjects_;
  size_t walking_ = 0;
  absl::Duration turn_cpu_;
  absl::Duration turn_time_;

  absl::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  base::Thread thread_;
};

}  // namespace crisp::runtime
