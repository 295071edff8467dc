// Processes added to containers, and streams to clients: ExecSync, and what the streaming server
// asks of the runtime (exec and attach hand out pipe ends, port-forward a socket made inside the
// pod). Owns the streaming server. Thread-safe; every call of the streaming server is bounded in
// time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/api.h"
#include "runtime/core.h"
#include "runtime/output_budget.h"
#include "runtime/pending_starts.h"
#include "streaming/runtime.h"
#include "streaming/server.h"

namespace crisp::runtime {

// Output that all ExecSyncs together hold; a single one may have half of it. gRPC's copy of the
// answers comes on top, so this is to be a quarter of what crispd may take.
inline constexpr size_t kExecOutputBytes = 32 << 20;

class Execs final : public ExecApi, public streaming::StreamingRuntime {
 public:
  explicit Execs(Core& core) : core_(core) {}

  // Listens for exec, attach and port-forward clients. Only an address that is not valid is an
  // error: with the port taken or without threads crispd serves everything else, and every request
  // for a URL tries again.
  absl::Status StartStreaming();
  // Begins to end their streams; the clients are told.
  void BeginStopStreaming();
  // Returns when no stream is left.
  void StopStreaming();

  absl::StatusOr<ExecOutput> Sync(const ContainerPtr& container,
                                  const std::vector<std::string>& command, absl::Duration timeout,
                                  const base::Call& call) override;
  absl::StatusOr<std::string> Url(const streaming::Request& request) override;

 private:
  absl::StatusOr<streaming::PendingProcess> Exec(const streaming::ExecRequest& request) override;
  absl::StatusOr<streaming::PendingProcess> Attach(
      const streaming::AttachRequest& request) override;
  absl::StatusOr<base::UniqueFd> PodSocket(const std::string& sandbox_id, int family) override;

  absl::StatusOr<streaming::Server*> StreamingServer();
  absl::StatusOr<std::string> RunningBundle(const std::string& container_id) const;
  // Invalid for a pod on the host's network.
  absl::StatusOr<base::UniqueFd> Netns(const std::string& sandbox_id) const;

  Core& core_;
  OutputBudget sync_output_{kExecOutputBytes};
  PendingStarts pending_starts_;
  absl::Mutex server_mu_;
  bool stopping_ ABSL_GUARDED_BY(server_mu_) = false;
  // Once it is there, it stays as long as this.
  std::unique_ptr<streaming::Server> server_ ABSL_GUARDED_BY(server_mu_);
};

}  // namespace crisp::runtime
