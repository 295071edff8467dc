// A shim is gone: its container ended. Everything is read from what the shim left on disk, so the
// same code serves an exit seen live and one found at start.
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/facts.h"

namespace crisp::cri {
namespace {

std::string Reason(const ipc::ExitRecord& exit) {
  if (exit.oom_killed && exit.exit_code == 137) return "OOMKilled";
  return exit.exit_code == 0 ? "Completed" : "Error";
}

}  // namespace

bool Service::RecordExit(container::Container& container) {
  const std::optional<container::Init> init = container.init();
  const std::string bundle = paths_.Bundle(container.id());
  const absl::StatusOr<ipc::ExitRecord> exit = shim_client::ReadExit(bundle);
  if (absl::IsResourceExhausted(exit.status())) {
    base::Log(base::LogLevel::kWarning, "an exit cannot be read now, trying again",
              {{"container", container.id()}, {"error", std::string(exit.status().message())}});
    return false;
  }
  store::Outcome outcome;
  outcome.started_at_ns = init.has_value() ? init->started_at_ns : 0;
  if (exit.ok()) {
    outcome.exit_code = exit->exit_code;
    outcome.finished_at_ns = exit->finished_at_ns;
    outcome.reason = Reason(*exit);
  } else {
    // The shim was killed. What it left running has no parent that would report its end: it goes
    // too.
    const std::string cgroup_path = CgroupPath(container);
    (void)cgroups_.Kill(cgroup_path);
    outcome.exit_code = 137;
    outcome.finished_at_ns = base::WallNanos();
    outcome.reason = "ShimDied";
    outcome.message =
        absl::StrCat("the container's shim died without an exit record: ", exit.status().message());
  }
  outcome.finished_at_ns = std::max(outcome.finished_at_ns, outcome.started_at_ns);
  const absl::Status written =
      container.MarkExited(outcome, [&] { Announce(v1::CONTAINER_STOPPED_EVENT, container); });
  if (!written.ok()) {
    base::Log(base::LogLevel::kWarning, "exit is not on record, ignoring",
              {{"container", container.id()}, {"error", std::string(written.message())}});
  }
  return true;
}

void Service::OnShimGone(const std::string& id) {
  const absl::StatusOr<SandboxPtr> sandbox = sandboxes_.Find(id);
  if (sandbox.ok()) {
    (*sandbox)->PauseGone([&] { Announce(v1::CONTAINER_STOPPED_EVENT, **sandbox); });
    return;
  }
  const absl::StatusOr<ContainerPtr> container = containers_.Find(id);
  // A start that failed is recorded by StartContainer, which knows why.
  if (!container.ok() || !(*container)->init().has_value()) return;
  EndContainer(*container);
}

void Service::EndContainer(const ContainerPtr& container) {
  if (!RecordExit(*container)) {
    // Every second, not ever later: clients wait for it.
    const auto again = [this, container] {
      EndContainer(container);
      return true;
    };
    background_.Add(absl::StrCat("exit ", container->id()), again, absl::Seconds(1));
    return;
  }
  const std::string cgroup_path = CgroupPath(*container);
  if (cgroup_path.empty()) return;  // unknown; the next start looks again
  background_.Add(absl::StrCat("cgroup ", container->id()), [this, cgroup_path] {
    return cgroups_.Remove(cgroup_path, absl::Seconds(1)).ok();
  });
}

}  // namespace crisp::cri
