// Giving back what a sandbox holds. Every step may be repeated after a crash or a failure at any
// point; what is done is struck off the record, what is not stays owed.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::Status Service::StopPauseOf(sandbox::Sandbox& sandbox) {
  const store::SandboxRecord record = sandbox.record();
  CRISP_ASSIGN_OR_RETURN(const std::string path, cgroups_.Path(record.cgroup_parent, record.id));
  CRISP_RETURN_IF_ERROR(cgroups_.Kill(path));
  CRISP_RETURN_IF_ERROR(cgroups_.WaitEmpty(path, kKillTime));
  // The shim writes the exit record and goes; one that hangs is killed.
  if (sandbox.WaitPauseGone(absl::Seconds(2))) return absl::OkStatus();
  monitor_.KillShim(record.id);
  if (sandbox.WaitPauseGone(kKillTime)) return absl::OkStatus();
  return absl::DeadlineExceededError("pause's shim did not end");
}

absl::Status Service::Teardown(sandbox::Sandbox& sandbox, absl::Time deadline) {
  const store::SandboxRecord record = sandbox.record();
  // None may run on without the pod's network. All are killed before the first is waited for.
  for (const ContainerPtr& container : ContainersOf(record.id)) {
    if (container->running()) (void)cgroups_.Kill(CgroupPath(*container));
  }
  for (const ContainerPtr& container : ContainersOf(record.id)) {
    CRISP_RETURN_IF_ERROR(KillOne(*container, deadline));
  }
  absl::Status first;
  const auto pay = [&](store::Debt debt, absl::string_view what,
                       const std::function<absl::Status()>& step) {
    if (record.owed.count(debt) == 0) return;
    const absl::Status status = step();
    if (status.ok()) {
      sandbox.Paid(debt);
    } else if (first.ok()) {
      first = base::Prefix(status, what);
    }
  };
  // DEL while the namespace and its interfaces are there; a kernel without them makes it cheaper,
  // never impossible.
  pay(store::Debt::kNetwork, "detach network", [&] {
    cni::PodNetworkRequest request = NetworkRequest(record);
    if (!cni::OpenNetns(request.netns_path).ok()) request.netns_path.clear();
    return network_.Detach(request, base::Deadline::In(deadline - absl::Now()));
  });
  pay(store::Debt::kProcesses, "stop pause", [&] { return StopPauseOf(sandbox); });
  if (record.owed.count(store::Debt::kNetwork) == 0 || first.ok()) {
    // The pin outlives a failed DEL, so that the next try finds the interfaces.
    pay(store::Debt::kNetns, "unpin netns", [&] { return cni::UnpinNetns(record.netns_path); });
  }
  pay(store::Debt::kCgroup, "remove sandbox cgroup", [&]() -> absl::Status {
    CRISP_ASSIGN_OR_RETURN(const std::string path, cgroups_.Path(record.cgroup_parent, record.id));
    CRISP_RETURN_IF_ERROR(cgroups_.Remove(path, kKillTime));
    return cgroups_.RemovePod(record.cgroup_parent, record.id, absl::Now() + kKillTime);
  });
  return first;
}

void Service::TeardownLater(const SandboxPtr& sandbox, bool then_forget) {
  background_.Add(
      absl::StrCat("teardown ", sandbox->id()),
      [this, sandbox, then_forget] {
        absl::MutexLock lock(&sandbox->operation());
        const absl::Status status = Teardown(*sandbox, absl::Now() + kTeardownTime);
        if (!status.ok()) {
          base::Log(base::LogLevel::kWarning, "sandbox teardown is still owed",
                    {{"sandbox", sandbox->id()}, {"error", std::string(status.message())}});
          return false;
        }
        return !then_forget || ForgetSandbox(sandbox).ok();
      },
      absl::Seconds(1));
}

absl::Status Service::ForgetSandbox(const SandboxPtr& sandbox) {
  CRISP_RETURN_IF_ERROR(base::RemoveTree(paths_.SandboxDir(sandbox->id())));
  CRISP_RETURN_IF_ERROR(base::RemoveTree(paths_.Bundle(sandbox->id())));
  CRISP_RETURN_IF_ERROR(sandbox_records_.Remove(sandbox->id()));
  sandboxes_.Remove(sandbox->id());
  Announce(v1::CONTAINER_DELETED_EVENT, *sandbox);
  return absl::OkStatus();
}

}  // namespace crisp::cri
