// Giving back what a sandbox holds. Every step may be repeated after a crash or a failure at any
// point; what is done is struck off the record, the rest stays pending.
#include <fcntl.h>
#include <signal.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "runtime/sandboxes.h"

namespace crisp::runtime {
namespace {

// Somebody else has removed the pin, such as a script that cleans /run/netns. The pause, if it
// still runs, has the namespace.
absl::Status PinAgain(const sandbox::Sandbox& sandbox, const std::string& path) {
  const std::optional<linux::ProcessRef> pause = sandbox.pause();
  if (!pause.has_value()) return absl::NotFoundError("pause does not run");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd process, pause->OpenProcDirectory());
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns,
                         base::OpenAt(process.get(), "ns/net", O_RDONLY));
  CRISP_RETURN_IF_ERROR(cni::UnpinNetns(path));  // a plain file may have been left
  base::Log(base::LogLevel::kWarning, "the pin of a network namespace was gone, made again",
            {{"sandbox", sandbox.id().str()}, {"path", path}});
  return cni::PinNetns(netns.get(), path.substr(path.rfind('/') + 1)).status();
}

}  // namespace

absl::Status Sandboxes::StopPause(sandbox::Sandbox& sandbox) {
  const std::string parent =
      sandbox.Read([](const store::SandboxRecord& record) { return record.cgroup_parent; });
  CRISP_ASSIGN_OR_RETURN(const std::string path, core_.cgroups.Path(parent, sandbox.id().str()));
  CRISP_RETURN_IF_ERROR(core_.cgroups.Kill(path));
  base::Failpoint("stop pause: killed");
  CRISP_RETURN_IF_ERROR(core_.cgroups.WaitEmpty(path, kKillTime));
  if (sandbox.WaitPauseGone(base::Deadline::In(absl::Seconds(2)))) return absl::OkStatus();
  // Somebody has moved it to another cgroup.
  const std::optional<linux::ProcessRef> pause = sandbox.pause();
  if (pause.has_value()) CRISP_RETURN_IF_ERROR(pause->Signal(SIGKILL));
  if (sandbox.WaitPauseGone(base::Deadline::In(kKillTime))) return absl::OkStatus();
  return absl::DeadlineExceededError("pause did not end");
}

// DEL while the namespace and its interfaces are there: what plugins have made outside (masquerade
// rules) they find by the addresses inside. When that is gone, cni/ takes them from the result.
absl::Status Sandboxes::DetachNetwork(const sandbox::Sandbox& sandbox,
                                      const store::SandboxRecord& record, base::Deadline deadline) {
  cni::PodNetworkRequest request = NetworkRequest(record);
  // Without a descriptor to be had, for one, it is not known: the next try finds out.
  const auto is_gone = [](const absl::Status& status) {
    return absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
  };
  absl::Status found =
      request.netns_path.empty() ? absl::OkStatus() : cni::OpenNetns(request.netns_path).status();
  if (is_gone(found)) found = PinAgain(sandbox, request.netns_path);
  if (!found.ok() && !is_gone(found)) return found;
  if (!found.ok()) {
    base::Log(base::LogLevel::kWarning,
              "the network namespace of a sandbox is lost, CNI DEL has the addresses of the result",
              {{"sandbox", sandbox.id().str()}, {"path", request.netns_path}});
    request.netns_path.clear();
  }
  return core_.network.Detach(request, deadline);
}

absl::Status Sandboxes::RemoveCgroup(const store::SandboxRecord& record) {
  const std::string& id = record.id.str();
  CRISP_ASSIGN_OR_RETURN(const std::string path, core_.cgroups.Path(record.cgroup_parent, id));
  CRISP_RETURN_IF_ERROR(core_.cgroups.Remove(path, kKillTime));
  return core_.cgroups.RemovePod(record.cgroup_parent, id, base::Deadline::In(kKillTime));
}

absl::Status Sandboxes::Teardown(sandbox::Sandbox& sandbox, base::Deadline deadline) {
  const store::SandboxRecord record = sandbox.record();
  // No container may run on without the pod's network.
  CRISP_RETURN_IF_ERROR(containers_.KillOf(record.id, deadline));
  base::Failpoint("teardown: containers ended");
  absl::Status first;
  std::set<store::Cleanup> done;  // and not struck off yet
  const auto clean = [&](store::Cleanup step, const char* what,
                         const std::function<absl::Status()>& run) {
    if (record.pending_cleanup.count(step) == 0) return;
    const absl::Status status = run();
    if (status.ok()) {
      base::Failpoint("teardown, still pending: ", what);
      done.insert(step);
    } else if (first.ok()) {
      first = base::Prefix(status, what);
    }
  };
  const auto strike_off = [&] {
    if (!done.empty()) sandbox.CleanupDone(done);
    done.clear();
    base::Failpoint("teardown: struck off");
  };
  clean(store::Cleanup::kNetwork, "detach network",
        [&] { return DetachNetwork(sandbox, record, deadline); });
  // At once, as plugins may take long to find that nothing is left. The others do not.
  strike_off();
  clean(store::Cleanup::kProcesses, "stop pause", [&] { return StopPause(sandbox); });
  // The pin outlives a failed DEL, so that the next try finds the interfaces.
  if (record.pending_cleanup.count(store::Cleanup::kNetwork) == 0 || first.ok()) {
    clean(store::Cleanup::kNetns, "unpin netns",
          [&] { return cni::UnpinNetns(record.netns_path); });
  }
  clean(store::Cleanup::kCgroup, "remove sandbox cgroup", [&] { return RemoveCgroup(record); });
  strike_off();
  return first;
}

void Sandboxes::TeardownLater(const SandboxPtr& sandbox, bool then_forget) {
  const bool runs_plugins = sandbox->Read([](const store::SandboxRecord& record) {
    return record.pending_cleanup.count(store::Cleanup::kNetwork) > 0;
  });
  core_.background.Add(
      absl::StrCat("teardown ", sandbox->id().str()),
      [this, sandbox, then_forget] {
        absl::MutexLock lock(&sandbox->operation());
        const absl::Status status = Teardown(*sandbox, base::Deadline::In(kTeardownTime));
        if (!status.ok()) {
          base::Log(base::LogLevel::kWarning, "cleanup of a sandbox is still pending",
                    {{"sandbox", sandbox->id().str()}, {"error", std::string(status.message())}});
          return false;
        }
        return !then_forget || Forget(sandbox).ok();
      },
      absl::Seconds(1), runs_plugins ? Lane::kPlugins : Lane::kKernel);
}

absl::Status Sandboxes::Forget(const SandboxPtr& sandbox) {
  CRISP_RETURN_IF_ERROR(base::RemoveTree(core_.paths.SandboxDir(sandbox->id())));
  base::Failpoint("remove sandbox: directory gone");
  CRISP_RETURN_IF_ERROR(base::RemoveTree(core_.paths.Bundle(sandbox->id())));
  base::Failpoint("remove sandbox: bundle gone");
  CRISP_RETURN_IF_ERROR(core_.sandbox_records.Remove(sandbox->id().str()));
  base::Failpoint("remove sandbox: record gone");
  core_.objects.sandboxes.Remove(*sandbox);
  core_.Announce(Change::kRemoved, *sandbox);
  return absl::OkStatus();
}

absl::Status Sandboxes::Stop(const SandboxPtr& sandbox, const base::Call& call) {
  absl::MutexLock lock(&sandbox->operation());
  if (!sandbox->Read([](const store::SandboxRecord& record) { return record.stopped; })) {
    // First on record: from here on no container starts in it, and a restarted crispd goes on
    // stopping. Stopping must also work on a full disk, so a record that cannot be written does not
    // end it.
    sandbox->MarkStopped();
    base::Failpoint("stop sandbox: on record");
  }
  const absl::Status status =
      Teardown(*sandbox, call.Before(base::Deadline::In(kTeardownTime)).deadline);
  if (!status.ok()) TeardownLater(sandbox, /*then_forget=*/false);
  return base::Prefix(status, "stop sandbox");
}

absl::Status Sandboxes::Remove(const SandboxPtr& sandbox, const base::Call& call) {
  CRISP_RETURN_IF_ERROR(Stop(sandbox, call));
  absl::MutexLock lock(&sandbox->operation());
  for (const ContainerPtr& container : core_.objects.ContainersOf(sandbox->id()))
    CRISP_RETURN_IF_ERROR(containers_.Remove(container, call));
  base::Failpoint("remove sandbox: containers removed");
  return base::Prefix(Forget(sandbox), "remove sandbox");
}

}  // namespace crisp::runtime
