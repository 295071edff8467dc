// StopContainer: stop signal -> grace -> SIGKILL to the whole cgroup. Needs no shim to be alive.
#include <signal.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/process_ref.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "spec/container_spec.h"

namespace crisp::cri {
namespace {

// How long a shim may live on without its container. It gives listeners that do not read 2 s
// (kLastOutputNs in shim/supervisor.cc) and then writes what is left in the pipes to the log: who
// kills it before loses the container's last words.
constexpr absl::Duration kShimEndTime = absl::Seconds(5);

}  // namespace

void Service::AwaitStart(container::Container& container) {
  if (container.state() == v1::CONTAINER_CREATED) absl::MutexLock lock(&container.operation());
}

absl::Status Service::KillOne(container::Container& container, absl::Time give_up) {
  AwaitStart(container);
  if (!container.running()) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(cgroups_.Kill(CgroupPath(container)));
  if (container.WaitExited(absl::Now() + absl::Seconds(2))) return absl::OkStatus();
  // Dead or not, its shim did not say so. It has its time from when nothing is left of the
  // container; then, without a shim, the daemon finds out by itself (exits.cc).
  CRISP_RETURN_IF_ERROR(cgroups_.WaitEmpty(CgroupPath(container), kKillTime));
  if (container.WaitExited(absl::Now() + kShimEndTime)) return absl::OkStatus();
  monitor_.KillShim(container.id());
  if (container.WaitExited(std::min(give_up, absl::Now() + kKillTime))) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("container ", container.id(), " did not end after SIGKILL"));
}

absl::Status Service::StopOne(container::Container& container, absl::Duration grace,
                              absl::Time give_up) {
  AwaitStart(container);
  const std::optional<container::Init> init = container.init();
  if (!container.running() || !init.has_value()) return absl::OkStatus();
  if (grace > absl::ZeroDuration()) {
    const std::string name =
        container.Read([](const store::ContainerRecord& r) { return r.stop_signal; });
    CRISP_ASSIGN_OR_RETURN(const int signal, spec::SignalNumber(name));
    if (container.TakeStopSignal()) {
      const absl::Status sent = linux::ProcessRef{init->pid, init->start_ticks}.Signal(signal);
      if (!sent.ok()) {
        container.ReturnStopSignal();
        return sent;
      }
    }
    if (container.WaitExited(std::min(give_up, absl::Now() + grace))) return absl::OkStatus();
    if (absl::Now() >= give_up) return absl::DeadlineExceededError("container is still stopping");
  }
  return KillOne(container, give_up);
}

absl::StatusOr<v1::StopContainerResponse> Service::StopContainer(
    const v1::StopContainerRequest& request, const Call& call) {
  absl::StatusOr<ContainerPtr> container = containers_.Find(request.container_id());
  if (absl::IsNotFound(container.status())) return v1::StopContainerResponse();
  CRISP_RETURN_IF_ERROR(container.status());
  const absl::Duration grace = absl::Seconds(std::max<int64_t>(0, request.timeout()));
  // No operation lock: a second call with a shorter grace must be able to cut the first one's
  // short.
  CRISP_RETURN_IF_ERROR(base::Prefix(StopOne(**container, grace, call.deadline), "stop container"));
  return v1::StopContainerResponse();
}

}  // namespace crisp::cri
