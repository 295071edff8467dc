// The process that supervises one pod: crisp play --supervise.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/cri_runtime.h"
#include "cli/play_directory.h"
#include "cli/pod_files.h"
#include "cli/pod_supervisor.h"

namespace crisp::cli {

// A pod of a PodDirectory with everything that its supervisor needs.
class SupervisedPod {
 public:
  // Reads the directory and asks the runtime on `socket_path` what it can do. The caller has the
  // lock. Other threads call `changed` when a probe has an answer.
  static absl::StatusOr<std::unique_ptr<SupervisedPod>> Open(const PodDirectory& directory,
                                                             const std::string& socket_path,
                                                             std::function<void()> changed);

  PodSupervisor& supervisor() { return *supervisor_; }
  CriRuntime& runtime() { return runtime_; }
  // From now on nothing without an end of its own is waited for. Thread-safe.
  void Interrupt() {
    runtime_.Interrupt();
    handlers_.Interrupt();
  }
  const std::string& uid() const { return instance_.uid; }

 private:
  SupervisedPod(const std::string& socket_path, std::function<void()> changed)
      : runtime_(socket_path), handlers_(runtime_), probes_(handlers_, std::move(changed)) {}

  CriRuntime runtime_;
  HostHandlers handlers_;
  Manifest manifest_;
  const Pod* pod_ = nullptr;
  PodInstance instance_;
  Node node_;
  std::unique_ptr<HostPodFiles> files_;
  ProbeThreads probes_;
  std::unique_ptr<PodSupervisor> supervisor_;
};

// Supervises the pod until it is over or SIGTERM or SIGINT comes, which tear it down. Tells how the
// pod is in status.json. Each change makes the pipe `listener` (-1: none) readable for the command,
// which reads the file then: a command that was stopped holds nothing up. To be called before the
// process has other threads.
absl::Status Supervise(const PodDirectory& directory, const std::string& socket_path, int listener);

}  // namespace crisp::cli
