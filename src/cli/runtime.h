// The calls that crisp play makes on a runtime, without gRPC, so that what makes them can be tested
// with a fake. Errors carry the runtime's code and text; not-found is OK for what removes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/pod_security.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

struct SandboxInfo {
  std::string id;
  uint32_t attempt = 0;
  bool is_ready = false;
};

struct ContainerInfo {
  enum class State { kCreated, kRunning, kExited, kUnknown };

  std::string id;
  std::string sandbox_id;
  std::string name;
  uint32_t attempt = 0;
  State state = State::kUnknown;
  // Of one that has exited:
  int exit_code = 0;
  absl::Time finished = absl::InfinitePast();
  std::string reason;   // Completed, Error, OOMKilled, ...
  std::string message;  // for people
};

struct ImageInfo {
  std::string id;
  ImageUser user;
};

struct ExecResult {
  int exit_code = 0;
  std::string output;  // of both streams
};

struct RuntimeFacts {
  bool has_systemd_cgroups = false;
  bool has_recursive_read_only = false;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual absl::StatusOr<RuntimeFacts> Facts() = 0;
  // All sandboxes, or containers of all sandboxes, of the pod with this uid.
  virtual absl::StatusOr<std::vector<SandboxInfo>> Sandboxes(const std::string& uid) = 0;
  virtual absl::StatusOr<std::vector<ContainerInfo>> Containers(const std::string& uid) = 0;

  virtual absl::StatusOr<std::string> RunSandbox(const ::runtime::v1::PodSandboxConfig& config) = 0;
  virtual absl::StatusOr<std::vector<std::string>> SandboxIps(const std::string& id) = 0;
  virtual absl::Status StopSandbox(const std::string& id) = 0;
  virtual absl::Status RemoveSandbox(const std::string& id) = 0;

  // kNotFound when the image is not there.
  virtual absl::StatusOr<ImageInfo> FindImage(const std::string& image) = 0;
  virtual absl::Status PullImage(const std::string& image, const ::runtime::v1::AuthConfig* auth,
                                 const ::runtime::v1::PodSandboxConfig& sandbox) = 0;

  virtual absl::StatusOr<std::string> CreateContainer(
      const std::string& sandbox_id, const ::runtime::v1::ContainerConfig& config,
      const ::runtime::v1::PodSandboxConfig& sandbox) = 0;
  virtual absl::Status StartContainer(const std::string& id) = 0;
  // Waits until it has ended.
  virtual absl::Status StopContainer(const std::string& id, absl::Duration grace) = 0;
  virtual absl::Status RemoveContainer(const std::string& id) = 0;
  // After the log file of a running container was renamed: it goes on in a new one.
  virtual absl::Status ReopenLog(const std::string& id) = 0;
  // A `timeout` of absl::InfiniteDuration(): however long it takes.
  virtual absl::StatusOr<ExecResult> ExecSync(const std::string& id,
                                              const std::vector<std::string>& command,
                                              absl::Duration timeout) = 0;
};

}  // namespace crisp::cli
