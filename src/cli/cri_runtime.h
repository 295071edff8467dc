// Runtime over CRI. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/runtime.h"

namespace crisp::cli {

class CriRuntime final : public Runtime {
 public:
  explicit CriRuntime(const std::string& socket_path);
  ~CriRuntime() override;

  absl::StatusOr<RuntimeFacts> Facts() override;
  absl::StatusOr<std::vector<SandboxInfo>> Sandboxes(const std::string& uid) override;
  absl::StatusOr<std::vector<ContainerInfo>> Containers(const std::string& uid) override;
  absl::StatusOr<std::string> RunSandbox(const ::runtime::v1::PodSandboxConfig& config) override;
  absl::StatusOr<std::vector<std::string>> SandboxIps(const std::string& id) override;
  absl::Status StopSandbox(const std::string& id) override;
  absl::Status RemoveSandbox(const std::string& id) override;
  absl::StatusOr<ImageInfo> FindImage(const std::string& image) override;
  absl::Status PullImage(const std::string& image, const ::runtime::v1::AuthConfig* auth,
                         const ::runtime::v1::PodSandboxConfig& sandbox) override;
  absl::StatusOr<std::string> CreateContainer(
      const std::string& sandbox_id, const ::runtime::v1::ContainerConfig& config,
      const ::runtime::v1::PodSandboxConfig& sandbox) override;
  absl::Status StartContainer(const std::string& id) override;
  absl::Status StopContainer(const std::string& id, absl::Duration grace) override;
  absl::Status RemoveContainer(const std::string& id) override;
  absl::Status ReopenLog(const std::string& id) override;
  absl::StatusOr<ExecResult> ExecSync(const std::string& id,
                                      const std::vector<std::string>& command,
                                      absl::Duration timeout) override;

  // Calls `changed` for every event of the pod with this uid, until the stream ends, because the
  // runtime did or Interrupt() was called, also before. Blocks; for a thread of its own.
  void WatchEvents(const std::string& uid, const std::function<void()>& changed);
  // From now on nothing is waited for that has no end of its own: events, pulls, commands without a
  // timeout. They fail with kCancelled, those that are running as well.
  void Interrupt();

 private:
  struct Connection;
  const std::unique_ptr<Connection> connection_;
};

}  // namespace crisp::cli
