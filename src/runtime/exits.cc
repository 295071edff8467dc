#include "runtime/exits.h"

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "shim_client/facts.h"

namespace crisp::runtime {
namespace {

std::string Reason(const ipc::ExitRecord& exit) {
  if (exit.oom_killed && exit.exit_code == 137) return "OOMKilled";
  return exit.exit_code == 0 ? "Completed" : "Error";
}

}  // namespace

bool Exits::RecordExit(const ContainerPtr& container, const std::optional<ipc::ExitRecord>& told) {
  const std::optional<container::Init> init = container->init();
  const absl::StatusOr<ipc::ExitRecord> exit =
      told.has_value() ? *told : shim_client::ReadExit(core_.paths.Bundle(container->id()));
  if (absl::IsResourceExhausted(exit.status())) {
    base::Log(
        base::LogLevel::kWarning, "exit record cannot be read now, trying again",
        {{"container", container->id().str()}, {"error", std::string(exit.status().message())}});
    return false;
  }
  store::Outcome outcome;
  outcome.started_at_ns = init.has_value() ? init->started_at_ns : 0;
  if (exit.ok()) {
    outcome.exit_code = exit->exit_code;
    outcome.finished_at_ns = exit->finished_at_ns;
    outcome.reason = Reason(*exit);
  } else {
    // The shim was killed. Processes it left running have no parent that would report their end, so
    // they are killed too.
    (void)core_.cgroups.Kill(core_.CgroupPath(*container));
    outcome.exit_code = 137;
    outcome.finished_at_ns = base::WallNanos();
    outcome.reason = "ShimDied";
    outcome.message =
        absl::StrCat("the container's shim died without an exit record: ", exit.status().message());
  }
  CRISP_FAILPOINT("exit: known");
  outcome.finished_at_ns = std::max(outcome.finished_at_ns, outcome.started_at_ns);
  core_.MarkExited(container, outcome);
  return true;
}

void Exits::OnShimGone(const std::string& id, const std::optional<ipc::ExitRecord>& told) {
  const absl::StatusOr<SandboxPtr> sandbox = core_.objects.sandboxes.Find(id);
  if (sandbox.ok()) {
    (*sandbox)->PauseGone([&] { core_.Announce(Change::kStopped, **sandbox); });
    return;
  }
  const absl::StatusOr<ContainerPtr> container = core_.objects.containers.Find(id);
  // A start that failed is recorded by StartContainer, which knows why.
  if (!container.ok() || !(*container)->init().has_value()) return;
  EndContainer(*container, told);
}

void Exits::EndContainer(const ContainerPtr& container,
                         const std::optional<ipc::ExitRecord>& told) {
  if (!RecordExit(container, told)) {
    // Again every second, without a growing pause: clients wait for the exit.
    const auto again = [this, container] {
      EndContainer(container, std::nullopt);
      return true;
    };
    core_.background.Add(absl::StrCat("exit ", container->id().str()), again, absl::Seconds(1));
    return;
  }
  const std::string cgroup_path = core_.CgroupPath(*container);
  if (cgroup_path.empty()) return;  // not known; the next start looks again
  core_.background.Add(absl::StrCat("cgroup ", container->id().str()), [this, cgroup_path] {
    return core_.cgroups.Remove(cgroup_path, absl::Seconds(1)).ok();
  });
}

}  // namespace crisp::runtime
