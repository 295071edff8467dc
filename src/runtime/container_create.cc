// CreateContainer: image and user are resolved, the writable layer is prepared, the bundle written.
// No process is started.
#include <google/protobuf/util/message_differencer.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cgroup/layout.h"
#include "layers/declared_volumes.h"
#include "layers/image_names.h"
#include "layers/image_volumes.h"
#include "linux/propagation.h"
#include "runtime/bundle.h"
#include "runtime/containers.h"
#include "runtime/measurer.h"
#include "runtime/pod_files.h"
#include "spec/container_spec.h"
#include "spec/resources.h"
#include "spec/user.h"
#include "spec/validate.h"

namespace crisp::runtime {
namespace {

oci::ChainId TopChainId(const std::vector<oci::ChainId>& chain_ids) {
  return chain_ids.empty() ? oci::ChainId() : chain_ids.back();
}

// Absolute; empty without a log.
std::string LogPath(const v1::PodSandboxConfig& sandbox, const v1::ContainerConfig& config) {
  if (sandbox.log_directory().empty() || config.log_path().empty()) return "";
  return base::JoinPath(sandbox.log_directory(), config.log_path());
}

v1::ContainerUser UserMessage(const spec::ResolvedUser& user) {
  v1::ContainerUser message;
  message.mutable_linux()->set_uid(user.uid);
  message.mutable_linux()->set_gid(user.gid);
  for (const uint32_t gid : user.additional_gids)
    message.mutable_linux()->add_supplemental_groups(gid);
  return message;
}

// On a private mount of the host nothing would be propagated, without an error from the kernel.
absl::Status CheckPropagation(const v1::Mount& mount, int index) {
  if (mount.host_path().empty() || mount.propagation() == v1::PROPAGATION_PRIVATE)
    return absl::OkStatus();
  const bool both_ways = mount.propagation() == v1::PROPAGATION_BIDIRECTIONAL;
  CRISP_ASSIGN_OR_RETURN(const linux::Propagation host, linux::PropagationOf(mount.host_path()));
  if (host.shared || (host.slave && !both_ways)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("volumeMounts[", index, "].mountPropagation ",
                                                 both_ways ? "Bidirectional" : "HostToContainer",
                                                 ": hostPath \"", mount.host_path(), "\" is on ",
                                                 host.mount_point, ", which is not a shared ",
                                                 both_ways ? "" : "or slave ", "mount"));
}

// hostPath volumes without a type expect a missing directory to be made; what is there stays as it
// is.
absl::Status MakeMountSources(const v1::ContainerConfig& config) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    const v1::Mount& mount = config.mounts(i);
    const bool missing = !mount.host_path().empty() && access(mount.host_path().c_str(), F_OK) != 0;
    const absl::Status made = missing ? base::MakeDirs(mount.host_path(), 0755) : absl::OkStatus();
    if (!made.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("volumeMounts[", i, "].hostPath \"",
                                                     mount.host_path(), "\": ", made.message()));
    }
    CRISP_RETURN_IF_ERROR(CheckPropagation(mount, i));
  }
  return absl::OkStatus();
}

// A retry whose first answer got lost.
bool IsAnswer(const container::Container& container, const v1::ContainerConfig& config,
              const std::string& log_path) {
  return container.state() == v1::CONTAINER_CREATED &&
         container.Read([&](const store::ContainerRecord& record) {
           return record.log_path == log_path &&
                  google::protobuf::util::MessageDifferencer::Equals(record.config, config);
         });
}

absl::Status MakeLogDirectory(const std::string& log_path) {
  if (log_path.empty()) return absl::OkStatus();
  return base::Prefix(base::MakeDirs(log_path.substr(0, log_path.rfind('/')), 0755),
                      "make log directory");
}

absl::Status MakeHostDirectories(const v1::ContainerConfig& config, const std::string& log_path) {
  CRISP_RETURN_IF_ERROR(MakeMountSources(config));
  base::Failpoint("create container: mount sources made");
  CRISP_RETURN_IF_ERROR(MakeLogDirectory(log_path));
  base::Failpoint("create container: log directory made");
  return absl::OkStatus();
}

// Reads the host's mounts, which takes milliseconds beside hundreds of pods, only for those that
// need the answer.
absl::StatusOr<spec::CgroupHost> FindCgroupHost(const cgroup::Layout& layout,
                                                const v1::ContainerConfig& config) {
  spec::CgroupHost host = {.v2 = layout.v2_only(), .nsdelegate = false};
  if (config.linux().security_context().cgroup_mount_mode() == v1::CGROUP_MOUNT_MODE_READ_WRITE) {
    CRISP_ASSIGN_OR_RETURN(host.nsdelegate, cgroup::HasNsdelegateNow());
  }
  return host;
}

// Also ends a long copy of volumes. A caller that leaves does not end it: kubelet comes again, and
// waits for the same.
absl::Status CheckNotStopped(const sandbox::Sandbox& sandbox) {
  const bool stopped =
      sandbox.Read([](const store::SandboxRecord& record) { return record.stopped; });
  return stopped ? absl::FailedPreconditionError("its sandbox was stopped") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<base::ContainerId> Containers::Make(const SandboxPtr& sandbox,
                                                   const v1::PodSandboxConfig& pod,
                                                   const v1::ContainerConfig& config) {
  for (const ContainerPtr& container : core_.objects.ContainersOf(sandbox->id())) {
    if (IsAnswer(*container, config, LogPath(pod, config))) return container->id();
  }
  store::ContainerRecord record;
  image::ImagePtr image;
  {
    absl::MutexLock lock(&core_.layer_use.mu());
    CRISP_ASSIGN_OR_RETURN(image, core_.images.Find(config.image().image()));
    record.chain_ids = layers::ChainIds(*image);
    CRISP_ASSIGN_OR_RETURN(record.image_volumes, layers::FindImageVolumes(core_.images, config));
    core_.layer_use.Add(layers::UsedLayers(record));
  }
  base::Failpoint("create container: layers in use");
  record.id = base::ContainerId(base::NewId());
  base::Failpoint("create container: id chosen");
  record.sandbox_id = sandbox->id();
  record.created_at_ns = base::WallNanos();
  record.config = config;
  record.log_path = LogPath(pod, config);
  record.image_id = image->id.str();
  layers::ImageNames names = layers::NamesFor(*image, config.image());
  record.image_name = std::move(names.name);
  record.image_ref = std::move(names.ref);
  record.resources = config.linux().resources();
  absl::Status status = Prepare(*sandbox, pod, *image, record);
  base::Failpoint("create container: prepared");
  // A sandbox that is stopped or removed meanwhile must not be left with a container.
  absl::MutexLock sandbox_lock(&sandbox->operation());
  if (status.ok()) status = CheckNotStopped(*sandbox);
  // The commit: without a record everything made so far is an orphan that the next start removes.
  if (status.ok()) status = core_.container_records.Write(record.id.str(), store::Encode(record));
  if (!status.ok()) {
    RemoveContainerLink(*sandbox, core_.paths, record.id);
    const auto undo = [this, id = record.id] {  // fails without descriptors
      return core_.snapshots.RemoveContainer(id.str()).ok() &&
             base::RemoveTree(core_.paths.Bundle(id)).ok();
    };
    if (!undo()) core_.background.Add(absl::StrCat("undo ", record.id.str()), undo);
    core_.layer_use.Release(layers::UsedLayers(record));
    return status;
  }
  base::Failpoint("create container: on record");
  auto container =
      std::make_shared<container::Container>(std::move(record), &core_.container_records);
  auto layer = core_.snapshots.OpenContainer(container->id().str());
  if (layer.ok()) MeasureNewLayer(*std::move(layer), *container);
  // Held so that no other call starts or removes it before it is announced.
  absl::MutexLock lock(&container->operation());
  core_.objects.containers.Add(container);
  core_.Announce(Change::kCreated, *container);
  return container->id();
}

absl::Status Containers::Prepare(const sandbox::Sandbox& sandbox, const v1::PodSandboxConfig& pod,
                                 const image::Image& image, store::ContainerRecord& record) {
  const std::string cgroup_parent =
      sandbox.Read([](const store::SandboxRecord& run) { return run.cgroup_parent; });
  const v1::ContainerConfig& config = record.config;
  const oci::ChainId top_layer = TopChainId(record.chain_ids);
  CRISP_ASSIGN_OR_RETURN(const snapshot::RootfsView layers, core_.snapshots.View(top_layer));
  CRISP_ASSIGN_OR_RETURN(auto users, image_users_.Read(record.image_id, layers));
  base::Failpoint("create container: image's users read");
  CRISP_ASSIGN_OR_RETURN(spec::ResolvedUser user,
                         spec::ResolveUser(config.linux().security_context(), image.config.user,
                                           users->passwd, users->group));
  record.user = UserMessage(user);
  CRISP_ASSIGN_OR_RETURN(const container::Init target, Target(sandbox.id(), config));
  CRISP_ASSIGN_OR_RETURN(const std::string cgroup_path,
                         core_.cgroups.Path(cgroup_parent, record.id.str()));
  CRISP_ASSIGN_OR_RETURN(const PodFiles files, PlacePodFiles(sandbox, core_.paths, record.id));
  base::Failpoint("create container: link to the hostname made");
  CRISP_ASSIGN_OR_RETURN(const std::string hostname, PodHostname(pod));
  CRISP_ASSIGN_OR_RETURN(std::optional<std::string> seccomp_artifact,
                         profiles_.Document(config.linux().security_context().seccomp()));
  CRISP_ASSIGN_OR_RETURN(const spec::CgroupHost cgroup_host,
                         FindCgroupHost(core_.cgroups.layout(), config));
  CRISP_ASSIGN_OR_RETURN(
      const layers::DeclaredVolumes volumes,
      layers::PlaceVolumes(core_.snapshots, record.id.str(), config, image.config, layers));
  CRISP_ASSIGN_OR_RETURN(spec::ContainerSpecResult result,
                         spec::ContainerSpec({.config = config,
                                              .sandbox_config = pod,
                                              .image = image.config,
                                              .user = std::move(user),
                                              .id = record.id.str(),
                                              .sandbox_id = sandbox.id().str(),
                                              .sandbox_pid = sandbox.pause()->pid,
                                              .target_pid = target.process.pid,
                                              .cgroup_path = cgroup_path,
                                              .hostname = hostname,
                                              .hostname_path = files.hostname,
                                              .resolv_conf_path = files.resolv_conf,
                                              .hosts_path = files.hosts,
                                              .cgroup_host = cgroup_host,
                                              .seccomp_artifact = std::move(seccomp_artifact),
                                              .cdi = cdi_,
                                              .volumes = volumes.places}));
  for (const std::string& warning : result.warnings)
    base::Log(base::LogLevel::kWarning, warning, {{"container", record.id.str()}});
  record.stop_signal = result.stop_signal;
  CRISP_RETURN_IF_ERROR(MakeHostDirectories(config, record.log_path));
  CRISP_RETURN_IF_ERROR(layers::CheckImageVolumes(core_.snapshots, config, record.image_volumes));
  // Limits the host cannot give are the caller's error now, not StartContainer's later.
  CRISP_RETURN_IF_ERROR(spec::CgroupResources(record.resources, result.spec.linux_).status());
  CRISP_RETURN_IF_ERROR(
      core_.snapshots.Prepare(record.id.str(), top_layer, RootOwner(pod)).status());
  base::Failpoint("create container: writable layer made");
  CRISP_RETURN_IF_ERROR(layers::MakeVolumes(core_.snapshots, record.id.str(), volumes,
                                            [&] { return CheckNotStopped(sandbox); }));
  const std::string bundle = core_.paths.Bundle(record.id);
  CRISP_RETURN_IF_ERROR(WriteBundle(bundle, result.spec));
  return WriteExecSpec(bundle, result.spec);
}

// The first process of namespace_options.target_id, which must run in this sandbox; an empty one
// without a target.
absl::StatusOr<container::Init> Containers::Target(const base::SandboxId& sandbox,
                                                   const v1::ContainerConfig& config) const {
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  if (options.pid() != v1::TARGET) return container::Init();
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr target, core_.objects.FindRunning(options.target_id()));
  if (target->sandbox_id() == sandbox) return *target->init();
  return absl::InvalidArgumentError(
      absl::StrCat("targetContainerName \"", options.target_id(), "\" is in another sandbox"));
}

absl::StatusOr<base::ContainerId> Containers::Create(const SandboxPtr& sandbox,
                                                     const v1::PodSandboxConfig& pod,
                                                     const v1::ContainerConfig& config,
                                                     const base::Call& call) {
  const std::string log_path = LogPath(pod, config);
  return creates_.Run(absl::StrCat(sandbox->id().str(), log_path, "\n", OperationKey(config)), call,
                      [&] { return Make(sandbox, pod, config); });
}

}  // namespace crisp::runtime
