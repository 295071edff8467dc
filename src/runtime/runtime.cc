#include "runtime/runtime.h"

#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::runtime {
namespace {

// For all plugins of the network; pods that start meanwhile wait.
constexpr absl::Duration kGarbageTime = absl::Seconds(10);

}  // namespace

Runtime::Runtime(const Parts& parts)
    : core_(parts,
            [this](const std::string& id, const std::optional<shim_client::ToldExit>& told) {
              exits_.OnGone(id, told);
            }),
      profiles_(core_.paths, core_.pull_options),
      exits_(core_),
      containers_(core_, profiles_),
      sandboxes_(core_, containers_, profiles_),
      execs_(core_),
      images_(core_),
      stats_(core_),
      recovery_(core_, exits_, containers_, sandboxes_) {}

Runtime::~Runtime() { Stop(); }

absl::Status Runtime::Start() {
  if (const absl::Status installed = core_.pause_root.Get().status(); !installed.ok()) {
    base::Log(base::LogLevel::kWarning, "pods cannot be started until this succeeds",
              {{"error", std::string(installed.message())}});
  }
  // Asks the plugins, so that they have answered before the first client asks.
  (void)core_.network.State();
  CRISP_RETURN_IF_ERROR(core_.monitor.Start());
  CRISP_RETURN_IF_ERROR(core_.background.Start());
  CRISP_RETURN_IF_ERROR(profiles_.Load());
  CRISP_RETURN_IF_ERROR(recovery_.Run());
  // Not awaited: a plugin that hangs must not keep crispd from serving.
  const auto collect = [this] {
    const absl::Status status =
        core_.network.CollectGarbage(AttachedSandboxes(), base::Deadline::In(kGarbageTime));
    if (!status.ok()) {
      base::Log(base::LogLevel::kWarning, "cni garbage was not collected",
                {{"error", std::string(status.message())}});
    }
    return !absl::IsUnavailable(status);  // tried again when pods were being attached
  };
  core_.background.Add("cni gc", collect, absl::ZeroDuration(), Lane::kPlugins);
  CRISP_RETURN_IF_ERROR(stats_.Start());
  if (const absl::Status spare = core_.shims.Start(); !spare.ok()) {
    base::Log(base::LogLevel::kWarning, "pods and containers start slower",
              {{"error", std::string(spare.message())}});
  }
  return execs_.StartStreaming();
}

std::vector<std::string> Runtime::AttachedSandboxes() const {
  std::vector<std::string> ids;
  for (const SandboxPtr& sandbox : core_.objects.sandboxes.List()) {
    const bool attached = sandbox->Read([](const store::SandboxRecord& record) {
      return record.pending_cleanup.count(store::Cleanup::kNetwork) > 0;
    });
    if (attached) ids.push_back(sandbox->id().str());
  }
  return ids;
}

void Runtime::Reload(const config::Config& config) {
  containers_.SetCdiDirectories(config.cdi.spec_dirs);
}

void Runtime::BeginStop() { execs_.BeginStopStreaming(); }

void Runtime::Stop() {
  execs_.StopStreaming();
  core_.monitor.Stop();
  core_.background.Stop();
  stats_.Stop();
}

Api Runtime::api() {
  return {.config = core_.config,
          .paths = core_.paths,
          .handlers = core_.handlers,
          .objects = core_.objects,
          .network = core_.network,
          .sandboxes = sandboxes_,
          .containers = containers_,
          .exec = execs_,
          .images = images_,
          .profiles = profiles_,
          .stats = stats_};
}

}  // namespace crisp::runtime
