// RunPodSandbox: record -> bundle -> shim and cgroup -> the shim clones pause with its namespaces
// and parks it -> crispd pins the network namespace and runs CNI -> pause is released, the shim
// ends, and crispd watches pause itself -> the pod's files -> acknowledged.
#include "runtime/sandboxes.h"

#include <google/protobuf/util/message_differencer.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "linux/reap.h"
#include "linux/syscalls.h"
#include "runtime/bundle.h"
#include "runtime/pod_files.h"
#include "shim_client/session.h"
#include "spec/sandbox_spec.h"

namespace crisp::runtime {
namespace {

// kubelet waits 4 min for a sandbox; a client without a deadline gets the same.
constexpr absl::Duration kLongest = absl::Minutes(4);
// What a shim gets to end what it has started.
constexpr absl::Duration kShimTime = absl::Seconds(2);

// Measures consecutive named parts.
class Timeline {
 public:
  void Mark(std::string name) {
    const int64_t now = base::MonotonicNanos();
    Add(std::move(name), now - last_);
    last_ = now;
  }
  // A part of the one that is marked last.
  void Add(std::string name, int64_t nanos) {
    phases_.push_back({.name = std::move(name), .duration_ns = nanos});
  }
  std::vector<sandbox::Phase> Take() { return std::move(phases_); }

 private:
  int64_t last_ = base::MonotonicNanos();
  std::vector<sandbox::Phase> phases_;
};

// The uid first, as there may be hundreds of others, and the differencer compares by reflection.
bool Equals(const v1::PodSandboxConfig& a, const v1::PodSandboxConfig& b) {
  return a.metadata().uid() == b.metadata().uid() &&
         google::protobuf::util::MessageDifferencer::Equals(a, b);
}

bool HostNetwork(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().network() == v1::NODE;
}

absl::Status PauseEnded() { return absl::AbortedError("pause ended as soon as it was started"); }

absl::Status PinNetns(const store::SandboxRecord& record, pid_t pause) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd netns,
                         cni::OpenNetns(absl::StrCat("/proc/", pause, "/ns/net")));
  const std::string name = record.netns_path.substr(record.netns_path.rfind('/') + 1);
  return cni::PinNetns(netns.get(), name).status();
}

void AddTimings(const std::vector<cni::PluginTiming>& plugins, const shim::v1::Started& started,
                Timeline& timeline) {
  for (const cni::PluginTiming& plugin : plugins)
    timeline.Add(absl::StrCat("network: ", plugin.type), plugin.nanos);
  for (const shim::v1::Phase& phase : started.phases())
    timeline.Add(absl::StrCat("pause: ", phase.name()), phase.duration_ns());
}

// Sees to the end of the shim that starts a pause. It ends by itself: once pause runs, or once its
// connection is closed and it has ended what it had started.
class ShimEnd {
 public:
  ShimEnd(shim_client::Monitor& monitor, shim_client::LaunchedShim& shim)
      : monitor_(monitor), shim_(shim) {}
  ShimEnd(const ShimEnd&) = delete;
  ~ShimEnd() {
    shim_.operation.Close();
    shim_.tether.Close();
    if (!started_ && !linux::AwaitEnd(shim_.pidfd.get(), base::Deadline::In(kShimTime)))
      (void)linux::SendSignal(shim_.pidfd.get(), SIGKILL);
    (void)monitor_.WatchProcess("", std::move(shim_.pidfd));  // which reaps it
  }
  void MarkStarted() { started_ = true; }

 private:
  shim_client::Monitor& monitor_;
  shim_client::LaunchedShim& shim_;
  bool started_ = false;
};

}  // namespace

cni::PodNetworkRequest Sandboxes::NetworkRequest(const store::SandboxRecord& record) const {
  cni::PodNetworkRequest request;
  request.sandbox_id = record.id.str();
  request.pod_name = record.config.metadata().name();
  request.pod_namespace = record.config.metadata().namespace_();
  request.pod_uid = record.config.metadata().uid();
  request.netns_path = record.netns_path;
  request.plugin_group = record.plugin_group;
  for (const v1::PortMapping& mapping : record.config.port_mappings()) {
    if (mapping.host_port() <= 0) continue;
    request.port_mappings.push_back(
        {.host_port = static_cast<uint16_t>(mapping.host_port()),
         .container_port = static_cast<uint16_t>(mapping.container_port()),
         .protocol = static_cast<cni::Protocol>(mapping.protocol()),
         .host_ip = mapping.host_ip()});
  }
  const v1::DNSConfig& dns = record.config.dns_config();
  request.dns = {.servers = {dns.servers().begin(), dns.servers().end()},
                 .searches = {dns.searches().begin(), dns.searches().end()},
                 .options = {dns.options().begin(), dns.options().end()}};
  request.cgroup_parent = record.config.linux().cgroup_parent();
  request.annotations = {record.config.annotations().begin(), record.config.annotations().end()};
  return request;
}

// Returns the path of the pause's cgroup, which is in the spec.
absl::StatusOr<std::string> Sandboxes::PrepareBundle(const store::SandboxRecord& record) {
  CRISP_ASSIGN_OR_RETURN(const std::string hostname, PodHostname(record.config));
  CRISP_ASSIGN_OR_RETURN(std::string cgroup_path,
                         core_.cgroups.Path(record.cgroup_parent, record.id.str()));
  CRISP_ASSIGN_OR_RETURN(const std::string pause_root, core_.pause_root.Get());
  CRISP_ASSIGN_OR_RETURN(std::optional<std::string> seccomp_artifact,
                         profiles_.Document(record.config.linux().security_context().seccomp()));
  CRISP_ASSIGN_OR_RETURN(oci::Spec spec,
                         spec::SandboxSpec({.config = record.config,
                                            .id = record.id.str(),
                                            .hostname = hostname,
                                            .pause_root = pause_root,
                                            .cgroup_path = cgroup_path,
                                            .seccomp_artifact = std::move(seccomp_artifact)}));
  CRISP_RETURN_IF_ERROR(WriteBundle(core_.paths.Bundle(record.id), spec));
  return cgroup_path;
}

absl::Status Sandboxes::CreateCgroup(const store::SandboxRecord& record, const std::string& path,
                                     base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(core_.cgroups.CreatePod(record.cgroup_parent, record.id.str(), deadline));
  return base::Prefix(core_.cgroups.Create(path, {}), "create sandbox cgroup");
}

// From here on the pause counts as alive, until the monitor reports its end.
absl::Status Sandboxes::WatchPause(sandbox::Sandbox& sandbox, const linux::ProcessRef& pause) {
  absl::StatusOr<base::UniqueFd> opened = pause.Open();
  if (absl::IsNotFound(opened.status())) return PauseEnded();
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd pidfd, std::move(opened));
  sandbox.MarkLaunched(pause);
  const absl::Status watched = core_.monitor.WatchProcess(sandbox.id().str(), std::move(pidfd));
  if (!watched.ok()) sandbox.PauseGone([] {});  // nothing else will report its end
  return watched;
}

absl::Status Sandboxes::BringUp(sandbox::Sandbox& sandbox, base::Deadline deadline) {
  Timeline timeline;
  const store::SandboxRecord record = sandbox.record();
  CRISP_ASSIGN_OR_RETURN(const std::string cgroup_path, PrepareBundle(record));
  timeline.Mark("bundle");
  base::Failpoint("run sandbox: bundle written");
  CRISP_ASSIGN_OR_RETURN(shim_client::LaunchedShim shim,
                         core_.shims.Launch(core_.paths.Bundle(record.id), record.id.str()));
  ShimEnd shim_end(core_.monitor, shim);
  timeline.Mark("launch shim");
  base::Failpoint("run sandbox: shim launched");
  shim::v1::Start start = StartMessage(core_.cgroups, cgroup_path);
  start.set_detached(true);
  start.set_park(true);
  CRISP_ASSIGN_OR_RETURN(shim_client::PendingStart pending,
                         shim_client::PendingStart::Ask(std::move(shim.operation), start));
  // While the shim prepares the pause.
  CRISP_RETURN_IF_ERROR(CreateCgroup(record, cgroup_path, deadline));
  timeline.Mark("cgroup");
  base::Failpoint("run sandbox: cgroup made");
  CRISP_ASSIGN_OR_RETURN(shim_client::ParkedStart parked, pending.Park(deadline));
  timeline.Mark("clone pause");
  base::Failpoint("run sandbox: pause cloned");
  cni::PodNetwork network;
  if (!record.netns_path.empty()) {
    CRISP_RETURN_IF_ERROR(PinNetns(record, parked.pid()));
    timeline.Mark("pin netns");
    base::Failpoint("run sandbox: netns pinned");
    CRISP_ASSIGN_OR_RETURN(network, core_.network.Attach(NetworkRequest(record), deadline));
    timeline.Mark("network");
    base::Failpoint("run sandbox: network attached");
  }
  CRISP_ASSIGN_OR_RETURN(const shim::v1::Started started, parked.Release(deadline));
  shim_end.MarkStarted();
  timeline.Mark("start pause");
  base::Failpoint("run sandbox: pause runs");
  const linux::ProcessRef pause = {.pid = started.pid(), .start_ticks = started.start_ticks()};
  CRISP_RETURN_IF_ERROR(WatchPause(sandbox, pause));
  base::Failpoint("run sandbox: pause watched");
  CRISP_RETURN_IF_ERROR(base::Prefix(WritePodFiles(pause, record.config), "write pod files"));
  timeline.Mark("pod files");
  base::Failpoint("run sandbox: pod files written");
  AddTimings(network.timings, started, timeline);
  if (!sandbox.SetPhases(timeline.Take())) return PauseEnded();
  return sandbox.Update([&](store::SandboxRecord& next) {
    if (!network.ips.empty()) {
      next.ip.primary = network.ips.front();
      next.ip.additional.assign(network.ips.begin() + 1, network.ips.end());
    }
    next.ready = true;
  });
}

absl::StatusOr<store::SandboxRecord> Sandboxes::NewRecord(const v1::PodSandboxConfig& config,
                                                          const std::string& handler) {
  store::SandboxRecord record;
  record.id = base::SandboxId(base::NewId());
  record.created_at_ns = base::WallNanos();
  record.runtime_handler = handler;
  record.config = config;
  CRISP_ASSIGN_OR_RETURN(record.cgroup_parent,
                         core_.cgroups.PodParent(config.linux().cgroup_parent(), record.id.str()));
  record.pending_cleanup = {store::Cleanup::kProcesses, store::Cleanup::kCgroup};
  if (!HostNetwork(config)) {
    record.netns_path = cni::NetnsPath(record.id.str());
    record.plugin_group = core_.PluginGroup(record.id);
    record.pending_cleanup.insert({store::Cleanup::kNetwork, store::Cleanup::kNetns});
  }
  return record;
}

absl::StatusOr<base::SandboxId> Sandboxes::Make(const v1::PodSandboxConfig& config,
                                                const std::string& handler,
                                                const base::Call& call) {
  // A retry whose first answer got lost: the sandbox is there.
  for (const SandboxPtr& sandbox : core_.objects.sandboxes.List()) {
    const bool same = sandbox->ready() && sandbox->Read([&](const store::SandboxRecord& record) {
      return record.runtime_handler == handler && Equals(record.config, config);
    });
    if (same) return sandbox->id();
  }
  CRISP_ASSIGN_OR_RETURN(store::SandboxRecord record, NewRecord(config, handler));
  base::Failpoint("run sandbox: id chosen");
  // Write-ahead: from here on a crash leaves a trail of everything that may exist.
  CRISP_RETURN_IF_ERROR(core_.sandbox_records.Write(record.id.str(), store::Encode(record)));
  base::Failpoint("run sandbox: on record");
  auto sandbox = std::make_shared<sandbox::Sandbox>(std::move(record), &core_.sandbox_records);
  core_.objects.sandboxes.Add(sandbox);

  absl::MutexLock lock(&sandbox->operation());
  const absl::Status status = BringUp(*sandbox, call.Before(base::Deadline::In(kLongest)).deadline);
  core_.shims.PrepareNext();
  if (status.ok()) {
    base::Failpoint("run sandbox: ready on record");
    core_.Announce(Change::kCreated, *sandbox);
    core_.Announce(Change::kStarted, *sandbox);
    sandbox->MarkAnnounced([&] { core_.Announce(Change::kStopped, *sandbox); });
    return sandbox->id();
  }
  base::Failpoint("run sandbox: failed");
  absl::Status undone = Teardown(*sandbox, base::Deadline::In(kTeardownTime));
  if (undone.ok()) undone = Forget(sandbox);
  if (!undone.ok()) {
    base::Log(base::LogLevel::kWarning, "cleanup of a failed sandbox is pending",
              {{"sandbox", sandbox->id().str()}, {"error", std::string(undone.message())}});
    TeardownLater(sandbox, /*then_forget=*/true);
  }
  return status;
}

absl::StatusOr<base::SandboxId> Sandboxes::Run(const v1::PodSandboxConfig& config,
                                               const std::string& handler, const base::Call& call) {
  CRISP_RETURN_IF_ERROR(core_.handlers.Find(handler).status());
  return runs_.Run(absl::StrCat(handler, "/", OperationKey(config)), call,
                   [&] { return Make(config, handler, call); });
}

}  // namespace crisp::runtime
