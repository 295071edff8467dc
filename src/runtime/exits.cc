#include "runtime/exits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "shim_client/facts.h"

namespace crisp::runtime {
namespace {

// With any exit code but 0: often the kernel kills a worker, and init ends because of that.
std::string Reason(const ipc::ExitRecord& exit) {
  if (exit.exit_code == 0) return "Completed";
  return exit.oom_killed ? "OOMKilled" : "Error";
}

int64_t StartedAt(const container::Container& container) {
  const std::optional<container::Init> init = container.init();
  return init.has_value() ? init->started_at_ns : 0;
}

}  // namespace

void Exits::OnGone(const std::string& id, const std::optional<shim_client::ToldExit>& told) {
  const absl::StatusOr<SandboxPtr> sandbox = core_.objects.sandboxes.Find(id);
  if (sandbox.ok()) {
    (*sandbox)->PauseGone([&] { core_.Announce(Change::kStopped, **sandbox); });
    return;
  }
  const absl::StatusOr<ContainerPtr> container = core_.objects.containers.Find(id);
  // A start that failed is recorded by StartContainer, which knows why.
  if (!container.ok() || !(*container)->init().has_value()) return;
  if (!told.has_value()) return EndLater(*container, absl::ZeroDuration());
  if (told->on_disk) return Ended(*container, told->exit, /*on_disk=*/true);
  const auto end = [this, container = *container, exit = told->exit] {
    Ended(container, exit, /*on_disk=*/false);
    return true;
  };
  core_.background.Add(absl::StrCat("exit ", id), end, absl::ZeroDuration(), Lane::kDisk);
}

void Exits::EndLater(const ContainerPtr& container, absl::Duration delay) {
  const auto end = [this, container] {
    EndContainer(container);
    return true;
  };
  core_.background.Add(absl::StrCat("exit ", container->id().str()), end, delay, Lane::kDisk);
}

void Exits::EndContainer(const ContainerPtr& container) {
  const absl::StatusOr<ipc::ExitRecord> exit =
      shim_client::ReadExit(core_.paths.Bundle(container->id()));
  if (exit.ok()) return Ended(container, *exit, /*on_disk=*/true);
  if (!absl::IsResourceExhausted(exit.status())) return ShimDied(container, exit.status());
  base::Log(
      base::LogLevel::kWarning, "exit record cannot be read now, trying again",
      {{"container", container->id().str()}, {"error", std::string(exit.status().message())}});
  // Again every second, without a growing pause: clients wait for the exit.
  EndLater(container, absl::Seconds(1));
}

void Exits::Ended(const ContainerPtr& container, const ipc::ExitRecord& exit, bool on_disk) {
  const int64_t started_at_ns = StartedAt(*container);
  const store::Outcome outcome = {.started_at_ns = started_at_ns,
                                  .finished_at_ns = std::max(exit.finished_at_ns, started_at_ns),
                                  .exit_code = exit.exit_code,
                                  .reason = Reason(exit),
                                  .message = ""};
  base::Failpoint("exit: known");
  if (on_disk) {
    core_.AnnounceExit(container, outcome);
  } else {
    core_.MarkExited(container, outcome);
  }
  RemoveCgroup(*container);
}

// Written down before it is made known: the time would be another one after a restart.
void Exits::ShimDied(const ContainerPtr& container, const absl::Status& why) {
  (void)core_.cgroups.Kill(core_.CgroupPath(*container));
  const int64_t started_at_ns = StartedAt(*container);
  core_.MarkExited(container,
                   {.started_at_ns = started_at_ns,
                    .finished_at_ns = std::max(base::WallNanos(), started_at_ns),
                    .exit_code = 137,
                    .reason = "ShimDied",
                    .message = absl::StrCat("the container's shim died without an exit record: ",
                                            why.message())});
  RemoveCgroup(*container);
}

void Exits::RemoveCgroup(const container::Container& container) {
  const std::string cgroup_path = core_.CgroupPath(container);
  if (cgroup_path.empty()) return;  // not known; the next start looks again
  core_.background.Add(absl::StrCat("cgroup ", container.id().str()), [this, cgroup_path] {
    return core_.cgroups.Remove(cgroup_path, absl::Seconds(1)).ok();
  });
}

}  // namespace crisp::runtime
