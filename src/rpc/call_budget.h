// How many calls of one kind may be in flight. In gRPC's synchronous interface a call holds a
// thread until it ends, so kinds that wait for long (for a command, a grace period, a registry)
// are limited each on its own: whatever their callers do, all other calls find a thread.
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace crisp::rpc {

class CallBudget {
 public:
  // `what`, in the plural, is for the text of the error.
  CallBudget(std::string what, int limit) : what_(std::move(what)), limit_(limit) {}
  CallBudget(const CallBudget&) = delete;

  // One call in flight, until the last copy is gone.
  using Place = std::shared_ptr<void>;
  // Does not wait: the caller would hold its thread meanwhile. kResourceExhausted names the limit.
  absl::StatusOr<Place> Enter();

 private:
  const std::string what_;
  const int limit_;
  absl::Mutex mu_;
  int in_flight_ ABSL_GUARDED_BY(mu_) = 0;
};

struct CallLimits {
  int execs = 512;  // ExecSync: three probes a second on each of some hundred pods
  // A node is drained with one StopContainer for each container at once, and each waits for its
  // grace period: 500 pods with three containers and what else kubelet removes at the time. They
  // are not queued behind each other, because then grace periods would add up.
  int stops = 2048;
  int starts = 512;  // a whole node after a restart
  int pulls = 256;
  int others = 512;  // calls that do not wait
};

// The kinds, for rpc/grpc_service.cc, which says of each RPC to which it belongs.
struct CallBudgets {
  explicit CallBudgets(const CallLimits& limits)
      : execs("ExecSync calls", limits.execs),
        stops("stops and removals", limits.stops),
        starts("starts", limits.starts),
        pulls("image pulls", limits.pulls),
        others("short calls", limits.others) {}

  CallBudget execs;
  CallBudget stops;
  CallBudget starts;
  CallBudget pulls;
  CallBudget others;
};

}  // namespace crisp::rpc
