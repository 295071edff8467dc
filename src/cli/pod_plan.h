// What to start and what to stop next in a pod, from what its containers are doing: the rules of
// kubelet for init containers, sidecars, restart policies and the crash loop back-off. Time comes
// in as a value and actions go out as a list, so that all of it is tested without a runtime. Used
// by one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/manifest/manifest.h"

namespace crisp::cli {

enum class Role { kInit, kSidecar, kMain };

// Init containers and sidecars in the order of the manifest, then the main containers. Other
// functions here name a container by its index in this list.
struct Member {
  const Container* container;  // of the pod's spec
  Role role;
};
std::vector<Member> MembersOf(const PodSpec& spec);

// What the runtime says of a container: of its last run in the present sandbox, or of one before
// that is not repeated.
struct Observed {
  enum class State { kNone, kRunning, kExited };

  State state = State::kNone;
  bool has_started = true;  // of one that runs: its startup probe has succeeded
  int exit_code = 0;
  absl::Time finished = absl::InfinitePast();
  bool is_earlier = false;  // it ran in an earlier sandbox
  // When it could not be started, or not again: an image that cannot be pulled, a refused
  // configuration. It is tried again whatever the restart policy says.
  std::optional<absl::Time> failed;
};

// 10 seconds before the second restart, twice as long before each further one, at most five
// minutes; forgotten when a container has run for ten.
class BackOff {
 public:
  // When what ended at `ended` may be started again; the past for at once.
  absl::Time Until(absl::Time ended) const;
  // It is started again at `now`.
  void Restarted(absl::Time ended, absl::Time now);

 private:
  bool IsForgotten(absl::Time ended) const;
  absl::Duration delay_;
  absl::Time last_ = absl::InfinitePast();
};

enum class Phase { kPending, kRunning, kSucceeded, kFailed };
absl::string_view PhaseName(Phase phase);

struct Actions {
  Phase phase = Phase::kPending;
  std::vector<size_t> start;
  std::vector<size_t> stop;                  // one after the other, in this order
  absl::Time wake = absl::InfiniteFuture();  // when to ask again although nothing happened
  // Nothing runs any more and nothing will.
  bool is_over = false;
};

class PodPlan {
 public:
  PodPlan(std::vector<Member> members, RestartPolicy policy);

  // What to do at `now`; `observed` has one entry for each member. What is in `start` counts as
  // restarted from now on.
  Actions Next(const std::vector<Observed>& observed, absl::Time now);

 private:
  // Wants to start `index` at once or after its back-off.
  void Want(size_t index, const Observed& observed, absl::Time now, Actions& actions);
  // Returns whether the main containers may run; sets the phase when an init container has failed.
  bool Initialize(const std::vector<Observed>& observed, bool was_initialized, absl::Time now,
                  Actions& actions);
  void RunMain(const std::vector<Observed>& observed, absl::Time now, Actions& actions);
  bool IsRestarted(const Observed& observed) const;

  const std::vector<Member> members_;
  const RestartPolicy policy_;
  std::vector<BackOff> back_offs_;
};

// How a pod is stopped: the members of a group together, the groups one after the other. Sidecars
// serve the others and go last, in the reverse order of their start.
std::vector<std::vector<size_t>> StopOrder(const std::vector<Member>& members);

}  // namespace crisp::cli
