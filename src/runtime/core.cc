#include "runtime/core.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/bundle.h"

namespace crisp::runtime {
namespace {

using base::LogLevel;

const char* PastTense(Change change) {
  switch (change) {
    case Change::kCreated:
      return "created";
    case Change::kStarted:
      return "started";
    case Change::kStopped:
      return "exited";
    case Change::kRemoved:
      return "removed";
  }
  return "changed";
}

void LogExit(const container::Container& container, const store::Outcome& outcome) {
  base::Log(LogLevel::kInfo, "container exited",
            {{"container", container.id().str()},
             {"sandbox", container.sandbox_id().str()},
             {"code", absl::StrCat(outcome.exit_code)},
             {"reason", outcome.reason}});
}

void LogUnwritten(const container::Container& container, const absl::Status& why) {
  base::Log(LogLevel::kWarning, "a container's end cannot be written down now, trying again",
            {{"container", container.id().str()}, {"error", std::string(why.message())}});
}

}  // namespace

Core::Core(const Parts& parts, shim_client::Monitor::GoneCallback on_shim_gone)
    : Parts(parts),
      sandbox_records(paths.SandboxRecords(), paths.Quarantine()),
      container_records(paths.ContainerRecords(), paths.Quarantine()),
      monitor(std::move(on_shim_gone)) {}

void Core::Announce(Change change, const container::Container& container) const {
  const std::optional<store::Outcome> outcome =
      container.Read([](const store::ContainerRecord& record) { return record.outcome; });
  if (change == Change::kStopped && outcome.has_value()) {
    LogExit(container, *outcome);
  } else {
    base::Log(LogLevel::kInfo, absl::StrCat("container ", PastTense(change)),
              {{"container", container.id().str()}, {"sandbox", container.sandbox_id().str()}});
  }
  listener.OnChange(change, container);
}

void Core::Announce(Change change, const sandbox::Sandbox& sandbox) const {
  if (!sandbox.visible()) return;
  // RunPodSandbox creates and starts at once: one line for both.
  if (change != Change::kCreated) {
    base::Log(LogLevel::kInfo, absl::StrCat("sandbox ", PastTense(change)),
              {{"sandbox", sandbox.id().str()}});
  }
  listener.OnChange(change, sandbox);
}

void Core::MarkExited(const ContainerPtr& container, const store::Outcome& outcome) {
  const absl::Status written =
      container->MarkExited(outcome, [&] { Announce(Change::kStopped, *container); });
  if (written.ok()) return;
  LogUnwritten(*container, written);
  WriteLater(container, absl::Seconds(1));
}

void Core::AnnounceExit(const ContainerPtr& container, const store::Outcome& outcome) {
  container->PublishExit(outcome, [&] { Announce(Change::kStopped, *container); });
  WriteLater(container, absl::ZeroDuration());
}

void Core::WriteLater(const ContainerPtr& container, absl::Duration delay) {
  const auto write_down = [this, container] {
    absl::MutexLock lock(&container->operation());
    // A record that is written after its removal would come back as a container.
    if (!objects.containers.Find(container->id().str()).ok()) return true;
    const absl::Status written = container->WriteRecord();
    if (!written.ok()) LogUnwritten(*container, written);
    return written.ok();
  };
  background.Add(absl::StrCat("record ", container->id().str()), write_down, delay, Lane::kDisk);
}

absl::StatusOr<std::string> Core::FindCgroup(const std::string& id) const {
  const absl::StatusOr<std::string> path = BundleCgroup(base::JoinPath(paths.Bundles(), id));
  if (path.ok() || absl::IsResourceExhausted(path.status())) return path;
  return cgroups.Find(id);
}

std::string Core::CgroupPath(const container::Container& container) const {
  const absl::StatusOr<SandboxPtr> sandbox = objects.sandboxes.Find(container.sandbox_id().str());
  // A container can outlive what is known of its sandbox: a damaged record.
  if (!sandbox.ok()) return FindCgroup(container.id().str()).value_or("");
  const std::string parent =
      (*sandbox)->Read([](const store::SandboxRecord& r) { return r.cgroup_parent; });
  // The sandbox's own path was valid, so this one is.
  return cgroups.Path(parent, container.id().str()).value_or("");
}

std::string Core::CgroupPath(const sandbox::Sandbox& sandbox) const {
  return sandbox.Read([&](const store::SandboxRecord& record) {
    return cgroups.Path(record.cgroup_parent, record.id.str()).value_or("");
  });
}

bool Core::HasCgroup(const sandbox::Sandbox& sandbox) const {
  const std::string path = CgroupPath(sandbox);
  return !path.empty() && access(cgroups.layout().At(path).v2.c_str(), F_OK) == 0;
}

}  // namespace crisp::runtime
