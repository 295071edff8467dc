// RunPodSandbox: record -> files -> cgroup -> shim clones pause with its namespaces and parks it ->
// the daemon pins the network namespace and runs CNI -> pause is released -> acknowledged.
#include <google/protobuf/util/message_differencer.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/session.h"
#include "spec/pod_files.h"
#include "spec/resources.h"
#include "spec/sandbox_spec.h"
#include "spec/validate.h"

namespace crisp::cri {
namespace {

// Nobody waits for a sandbox longer than kubelet does (4 min); a client without a deadline gets
// this one.
constexpr absl::Duration kLongest = absl::Minutes(4);

// Measures consecutive named parts.
class Timeline {
 public:
  void Mark(const std::string& name) {
    const int64_t now = base::MonotonicNanos();
    phases_.push_back({.name = name, .duration_ns = now - last_});
    last_ = now;
  }
  void Add(std::string name, int64_t nanos) {
    phases_.push_back({.name = std::move(name), .duration_ns = nanos});
  }
  std::vector<sandbox::Phase> Take() { return std::move(phases_); }

 private:
  int64_t last_ = base::MonotonicNanos();
  std::vector<sandbox::Phase> phases_;
};

bool HostNetwork(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().network() == v1::NODE;
}

absl::StatusOr<std::string> NodeName() {
  char name[256];
  if (gethostname(name, sizeof(name)) != 0) return base::Errno("gethostname", "");
  return std::string(name);
}

absl::Status WriteFiles(const std::string& dir, const store::SandboxRecord& record,
                        const std::string& hostname) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(dir, 0700));
  absl::StatusOr<std::string> host_resolv_conf = base::ReadFile("/etc/resolv.conf", 1 << 20);
  if (!host_resolv_conf.ok() && !absl::IsNotFound(host_resolv_conf.status()))
    return host_resolv_conf.status();
  const std::string resolv_conf =
      spec::ResolvConf(record.config, host_resolv_conf.ok() ? *host_resolv_conf : std::string());
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(base::JoinPath(dir, kResolvConf), resolv_conf, 0644));
  CRISP_RETURN_IF_ERROR(
      base::WriteFileAtomic(base::JoinPath(dir, kHostname), hostname + "\n", 0644));
  absl::StatusOr<std::string> hosts = base::ReadFile("/etc/hosts", 1 << 20);
  return base::WriteFileAtomic(base::JoinPath(dir, kHosts),
                               hosts.ok() ? *hosts : "127.0.0.1 localhost\n", 0644);
}

}  // namespace

cni::PodNetworkRequest Service::NetworkRequest(const store::SandboxRecord& record) const {
  cni::PodNetworkRequest request;
  request.sandbox_id = record.id;
  request.pod_name = record.config.metadata().name();
  request.pod_namespace = record.config.metadata().namespace_();
  request.pod_uid = record.config.metadata().uid();
  request.netns_path = record.netns_path;
  for (const v1::PortMapping& mapping : record.config.port_mappings()) {
    if (mapping.host_port() == 0) continue;
    request.port_mappings.push_back(
        {.host_port = static_cast<uint16_t>(mapping.host_port()),
         .container_port = static_cast<uint16_t>(mapping.container_port()),
         .protocol = static_cast<cni::Protocol>(mapping.protocol()),
         .host_ip = mapping.host_ip()});
  }
  request.annotations = {record.config.annotations().begin(), record.config.annotations().end()};
  return request;
}

absl::Status Service::BringUp(sandbox::Sandbox& sandbox, absl::Time deadline) {
  Timeline timeline;
  store::SandboxRecord record = sandbox.record();
  CRISP_ASSIGN_OR_RETURN(const std::string node_name, NodeName());
  const std::string hostname = spec::Hostname(record.config, node_name);
  CRISP_ASSIGN_OR_RETURN(const std::string cgroup_path,
                         cgroups_.Path(record.cgroup_parent, record.id));
  CRISP_ASSIGN_OR_RETURN(oci::Spec spec, spec::SandboxSpec({.config = record.config,
                                                            .id = record.id,
                                                            .hostname = hostname,
                                                            .pause_root = pause_root_,
                                                            .cgroup_path = cgroup_path}));
  CRISP_RETURN_IF_ERROR(
      base::Prefix(WriteFiles(paths_.SandboxDir(record.id), record, hostname), "write pod files"));
  const std::string bundle = paths_.Bundle(record.id);
  CRISP_RETURN_IF_ERROR(WriteBundle(bundle, spec));
  timeline.Mark("files");
  CRISP_RETURN_IF_ERROR(cgroups_.CreatePod(record.cgroup_parent, record.id, deadline));
  CRISP_RETURN_IF_ERROR(base::Prefix(cgroups_.Create(cgroup_path, {}), "create sandbox cgroup"));
  timeline.Mark("cgroup");

  CRISP_ASSIGN_OR_RETURN(shim_client::LaunchedShim shim, shims_.Launch(bundle, record.id));
  timeline.Mark("launch shim");
  // PauseGone answers the tether, so the pause counts as alive from here on, also if the start
  // fails.
  sandbox.MarkLaunched();
  CRISP_RETURN_IF_ERROR(monitor_.Watch(record.id, std::move(shim.tether), std::move(shim.pidfd)));
  shim::v1::Start start = StartMessage(cgroups_, cgroup_path);
  const bool own_network = !record.netns_path.empty();
  start.set_park(own_network);
  std::vector<std::string> ips;
  const auto attach = [&](pid_t pid) -> absl::Status {
    timeline.Mark("clone pause");
    CRISP_ASSIGN_OR_RETURN(base::UniqueFd netns,
                           cni::OpenNetns(absl::StrCat("/proc/", pid, "/ns/net")));
    const std::string name = record.netns_path.substr(record.netns_path.rfind('/') + 1);
    CRISP_RETURN_IF_ERROR(cni::PinNetns(netns.get(), name).status());
    timeline.Mark("pin netns");
    CRISP_ASSIGN_OR_RETURN(
        cni::PodNetwork network,
        network_.Attach(NetworkRequest(record), base::Deadline::In(deadline - absl::Now())));
    ips = std::move(network.ips);
    for (const cni::PluginTiming& plugin : network.timings) {
      timeline.Add(absl::StrCat("network: ", plugin.type), plugin.nanos);
    }
    timeline.Mark("network");
    return absl::OkStatus();
  };
  CRISP_ASSIGN_OR_RETURN(
      shim::v1::Started started,
      shim_client::Start(shim.operation, start, attach, MonotonicDeadline(deadline)));
  timeline.Mark("start pause");
  for (const shim::v1::Phase& phase : started.phases()) {
    timeline.Add(absl::StrCat("pause: ", phase.name()), phase.duration_ns());
  }
  if (!sandbox.SetPause({.pid = started.pid(),
                         .start_ticks = started.start_ticks(),
                         .phases = timeline.Take()})) {
    return absl::AbortedError("pause ended as soon as it was started");
  }
  return sandbox.Update([&](store::SandboxRecord& next) {
    if (!ips.empty()) {
      next.ip.primary = ips.front();
      next.ip.additional.assign(ips.begin() + 1, ips.end());
    }
    next.ready = true;
  });
}

absl::StatusOr<std::string> Service::MakeSandbox(const v1::RunPodSandboxRequest& request,
                                                 const Call& call) {
  // A retry whose first answer got lost: the sandbox is there.
  for (const SandboxPtr& sandbox : sandboxes_.List()) {
    const bool same = sandbox->ready() && sandbox->Read([&](const store::SandboxRecord& record) {
      return record.runtime_handler == request.runtime_handler() &&
             google::protobuf::util::MessageDifferencer::Equals(record.config, request.config());
    });
    if (same) return sandbox->id();
  }
  store::SandboxRecord record;
  record.id = base::NewId();
  record.created_at_ns = base::WallNanos();
  record.runtime_handler = request.runtime_handler();
  record.config = request.config();
  CRISP_ASSIGN_OR_RETURN(record.cgroup_parent,
                         cgroups_.PodParent(request.config().linux().cgroup_parent(), record.id));
  record.owed = {store::Debt::kProcesses, store::Debt::kCgroup, store::Debt::kFiles};
  if (!HostNetwork(request.config())) {
    record.netns_path = cni::NetnsPath(record.id);
    record.owed.insert({store::Debt::kNetwork, store::Debt::kNetns});
  }
  // Write-ahead: from here on a crash leaves a trail of everything that may exist.
  CRISP_RETURN_IF_ERROR(sandbox_records_.Write(record.id, store::Encode(record)));
  auto sandbox = std::make_shared<sandbox::Sandbox>(std::move(record), &sandbox_records_);
  sandboxes_.Add(sandbox);

  absl::MutexLock lock(&sandbox->operation());
  const absl::Status status = BringUp(*sandbox, std::min(call.deadline, absl::Now() + kLongest));
  if (status.ok()) {
    Announce(v1::CONTAINER_CREATED_EVENT, *sandbox);
    Announce(v1::CONTAINER_STARTED_EVENT, *sandbox);
    sandbox->MarkAnnounced([&] { Announce(v1::CONTAINER_STOPPED_EVENT, *sandbox); });
    return sandbox->id();
  }
  const absl::Status undone = Teardown(*sandbox, absl::Now() + kTeardownTime);
  if (undone.ok()) {
    (void)ForgetSandbox(sandbox);
  } else {
    base::Log(base::LogLevel::kWarning, "undo of a failed sandbox is owed",
              {{"sandbox", sandbox->id()}, {"error", std::string(undone.message())}});
    TeardownLater(sandbox, /*then_forget=*/true);
  }
  return status;
}

absl::StatusOr<v1::RunPodSandboxResponse> Service::RunPodSandbox(
    const v1::RunPodSandboxRequest& request, const Call& call) {
  CRISP_RETURN_IF_ERROR(CheckHandler(request.runtime_handler()));
  CRISP_RETURN_IF_ERROR(spec::ValidateSandboxConfig(request.config()));
  CRISP_ASSIGN_OR_RETURN(const std::string id,
                         run_operations_.Run(OperationKey(request), call.deadline,
                                             [&] { return MakeSandbox(request, call); }));
  v1::RunPodSandboxResponse response;
  response.set_pod_sandbox_id(id);
  return response;
}

}  // namespace crisp::cri
