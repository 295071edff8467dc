// Probes of the containers of a pod: what they say of a container, as kubelet concludes it
// (ProbeState, pure), and the threads that ask (ProbeThreads).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/thread.h"
#include "cli/handlers.h"

namespace crisp::cli {

struct Health {
  bool has_started = true;
  bool is_ready = true;
  bool is_alive = true;                 // false: it is to be stopped
  std::string message;                  // why it is not alive or not ready
  std::optional<absl::Duration> grace;  // of the probe that found it not alive
};

// The probes of one run of a container. Not thread-safe.
class ProbeState {
 public:
  enum Kind { kStartup, kLiveness, kReadiness, kKinds };

  ProbeState(const Container& container, absl::Time started);

  static bool HasProbes(const Container& container);
  // When it is to be asked next; nothing while it is not, because another one decides that.
  std::optional<absl::Time> Due(Kind kind) const;
  // It is not asked any more.
  bool IsOver(Kind kind) const;
  // Null: there is none.
  const Probe* probe(Kind kind) const { return ones_[kind].probe; }
  void Record(Kind kind, const absl::Status& result, absl::Time now);
  const Health& health() const { return health_; }

 private:
  struct One {
    const Probe* probe = nullptr;  // null: there is none
    absl::Time due;
    int64_t successes = 0, failures = 0;  // in a row
  };
  One ones_[kKinds];
  Health health_;
};

// What the supervisor needs of probes; tests have a fake.
class Probes {
 public:
  virtual ~Probes() = default;
  // Asks for the health of a run from now on; nothing changes for one that is asked for already.
  virtual void Begin(const HandlerTarget& target) = 0;
  // Ends the probes of all other runs.
  virtual void Keep(const std::set<std::string>& container_ids) = 0;
  virtual Health Of(const Container& container, const std::string& container_id) const = 0;
};

// A thread for each probe of each run: one that hangs must not hold up the others. `changed` is
// called by them whenever a health may have changed. Used by one thread.
class ProbeThreads final : public Probes {
 public:
  ProbeThreads(Handlers& handlers, std::function<void()> changed)
      : handlers_(handlers), changed_(std::move(changed)) {}
  ~ProbeThreads() override { Keep({}); }

  void Begin(const HandlerTarget& target) override;
  void Keep(const std::set<std::string>& container_ids) override;
  Health Of(const Container& container, const std::string& container_id) const override;

 private:
  struct Run {
    Run(const HandlerTarget& whom, absl::Time started)
        : target(whom), state(*whom.container, started) {}
    const HandlerTarget target;
    mutable absl::Mutex mu;
    ProbeState state ABSL_GUARDED_BY(mu);
    bool is_ended ABSL_GUARDED_BY(mu) = false;
    std::vector<base::Thread> threads;  // the last: they use the others
  };
  void Ask(Run& run, ProbeState::Kind kind);

  Handlers& handlers_;
  const std::function<void()> changed_;
  std::map<std::string, std::unique_ptr<Run>> runs_;
};

}  // namespace crisp::cli
