// Keeps one pod as its manifest says: looks at what the runtime has, asks the plan what to do, does
// it. It keeps nothing that the runtime could tell, so that another one can go on where this one
// was killed. Used by one thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "cli/pod_files.h"
#include "cli/pod_instance.h"
#include "cli/pod_messages.h"
#include "cli/pod_plan.h"
#include "cli/probes.h"
#include "cli/pull_credentials.h"
#include "cli/runtime.h"

namespace crisp::cli {

struct ContainerReport {
  std::string name;
  std::string state;  // Waiting, Running, Exited
  uint32_t attempt = 0;
  int exit_code = 0;
  std::string message;  // why it waits or is not ready
  bool is_ready = false;
};

struct PodReport {
  Phase phase = Phase::kPending;
  bool is_over = false;
  bool is_ready = false;  // what has not ended for good runs, and its readiness probe succeeds
  std::string message;    // why the pod waits
  std::vector<ContainerReport> containers;
  // When to look again although nothing happened; absl::InfinitePast(): at once, in the middle of
  // doing something.
  absl::Time wake = absl::InfiniteFuture();
};

class PodSupervisor {
 public:
  // How it acts on the world; all are borrowed.
  struct Hands {
    Runtime& runtime;
    PodFiles& files;
    Handlers& handlers;
    Probes& probes;
    // The wall clock, as the times that the runtime tells are.
    std::function<absl::Time()> clock;
  };
  // Borrows all but the instance and the credentials.
  PodSupervisor(const Pod& pod, const Manifest& objects, PodInstance instance, const Node& node,
                std::vector<RegistryCredential> credentials, const Hands& hands);

  // One round. What fails is reported and tried again later; nothing ends the supervision but
  // is_over.
  PodReport Sync();

  // After is_over: stops the sandbox, so that its address is free. Exits and logs stay.
  absl::Status Finish();

  // Stops the containers, then removes the sandboxes and the files. May be called again after an
  // error.
  absl::Status TearDown();

 private:
  // What the runtime has of the pod.
  struct View {
    std::vector<SandboxInfo> sandboxes;
    std::vector<ContainerInfo> containers;
    std::string sandbox;  // the one that is ready; empty: none
  };
  absl::StatusOr<View> Look();
  // The last run of a member, in the present sandbox or in any; null: none.
  const ContainerInfo* LastRun(const View& view, size_t index, bool any_sandbox) const;
  std::vector<Observed> Observe(const View& view, bool any_sandbox) const;
  // Whether the pod goes on in a new sandbox after its own has died.
  bool MayReplaceSandbox(const View& view) const;
  // Makes a sandbox where there is none, with a back-off. Returns whether there is one.
  bool EnsureSandbox(View& view, PodReport& report);
  absl::Status MakeSandbox(View& view);
  absl::Status UseSandbox(const View& view);
  uint32_t NextAttempt(const View& view, size_t index) const;
  absl::Status Start(const View& view, size_t index);
  absl::StatusOr<ImageInfo> EnsureImage(const std::string& image, PullPolicy policy);
  absl::Status RemoveOldRuns(const View& view, size_t index);
  absl::Duration Grace() const { return absl::Seconds(pod_.spec.termination_grace_period); }
  HandlerTarget TargetOf(const ContainerInfo& run, const Container& container) const;
  // Probes what runs. Stops what its probes have given up; returns whether there was any.
  bool Probe(const View& view, PodReport& report);
  // The preStop hook and the signal, within `grace`; `await_turn` is called between them.
  absl::Status StopRun(const ContainerInfo& run, const Container& container, absl::Duration grace,
                       const std::function<void(base::Deadline)>& await_turn);
  // Stops what runs of these members within one grace period: the hooks of all at once, then the
  // signals, group by group.
  absl::Status StopInTurn(const View& view, const std::vector<std::vector<size_t>>& groups,
                          bool any_sandbox);
  void Act(const View& view, const Actions& actions, PodReport& report);
  // Removes sandboxes of which nothing is left, and rotates logs.
  void Tidy(const View& view, PodReport& report);
  // The runtime's words and those of the container itself.
  std::string WhyEnded(const ContainerInfo& run, size_t index) const;
  void Describe(const View& view, PodReport& report) const;
  ::runtime::v1::PodSandboxConfig SandboxConfig() const;

  const Pod& pod_;
  const Manifest& objects_;
  PodInstance instance_;
  const Node& node_;
  const std::vector<RegistryCredential> credentials_;
  Runtime& runtime_;
  PodFiles& files_;
  Handlers& handlers_;
  Probes& probes_;
  const std::function<absl::Time()> clock_;
  const std::vector<Member> members_;
  PodPlan plan_;
  // Of members that could not be started, until they could.
  struct Failure {
    absl::Time at;
    uint32_t attempt = 0;
    std::string message;
  };
  std::map<size_t, Failure> failures_;
  BackOff sandbox_back_off_;
  absl::Time sandbox_failed_ = absl::InfinitePast();
  std::string sandbox_message_;
  Phase phase_ = Phase::kPending;  // when it was last known
  std::string used_sandbox_;       // whose addresses the instance has
};

}  // namespace crisp::cli
