// The process that supervises one pod: crisp play --supervise.
#pragma once

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
  // lock.
  static absl::StatusOr<std::unique_ptr<SupervisedPod>> Open(const PodDirectory& directory,
                                                             const std::string& socket_path);

  PodSupervisor& supervisor() { return *supervisor_; }
  CriRuntime& runtime() { return runtime_; }

 private:
  explicit SupervisedPod(const std::string& socket_path) : runtime_(socket_path) {}

  CriRuntime runtime_;
  Manifest manifest_;
  const Pod* pod_ = nullptr;
  PodInstance instance_;
  Node node_;
  std::unique_ptr<HostPodFiles> files_;
  std::unique_ptr<PodSupervisor> supervisor_;
};

// Supervises the pod until it is over or SIGTERM or SIGINT comes, which tear it down. Tells how the
// pod is in status.json, and to `listener`, one line per change, as long as somebody reads there
// (-1: nobody). To be called before the process has other threads.
absl::Status Supervise(const PodDirectory& directory, const std::string& socket_path, int listener);

}  // namespace crisp::cli
