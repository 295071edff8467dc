// CreateContainer: image and user are resolved, the writable layer prepared, the bundle written; no
// process is made.
#include <google/protobuf/util/message_differencer.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/image_message.h"
#include "layers/image_volumes.h"
#include "linux/propagation.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "spec/container_spec.h"
#include "spec/resources.h"
#include "spec/user.h"
#include "spec/validate.h"

namespace crisp::cri {
namespace {

oci::ChainId TopChainId(const std::vector<oci::ChainId>& chain_ids) {
  return chain_ids.empty() ? oci::ChainId() : chain_ids.back();
}

// Absolute, or empty when there is no log.
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

// Nothing would be propagated from or to a mount that is private, and nobody would be told.
absl::Status CheckPropagation(const v1::Mount& mount) {
  if (mount.host_path().empty() || mount.propagation() == v1::PROPAGATION_PRIVATE)
    return absl::OkStatus();
  const bool both_ways = mount.propagation() == v1::PROPAGATION_BIDIRECTIONAL;
  CRISP_ASSIGN_OR_RETURN(const linux::Propagation host, linux::PropagationOf(mount.host_path()));
  if (host.shared || (host.slave && !both_ways)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("mounts: propagation ", v1::MountPropagation_Name(mount.propagation()),
                   ": host_path \"", mount.host_path(), "\" is on ", host.mount_point,
                   ", which is not a shared ", both_ways ? "" : "or slave ", "mount"));
}

// hostPath volumes without a type expect a missing directory to be made; what is there stays as it
// is.
absl::Status MakeMountSources(const v1::ContainerConfig& config) {
  for (const v1::Mount& mount : config.mounts()) {
    const bool missing = !mount.host_path().empty() && access(mount.host_path().c_str(), F_OK) != 0;
    const absl::Status made = missing ? base::MakeDirs(mount.host_path(), 0755) : absl::OkStatus();
    if (!made.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("mounts: host_path \"", mount.host_path(), "\": ", made.message()));
    }
    CRISP_RETURN_IF_ERROR(CheckPropagation(mount));
  }
  return absl::OkStatus();
}

snapshot::Owner RootOwner(const v1::PodSandboxConfig& sandbox) {
  const v1::UserNamespace& userns =
      sandbox.linux().security_context().namespace_options().userns_options();
  if (userns.mode() != v1::POD || userns.uids().empty() || userns.gids().empty()) return {};
  return {.uid = userns.uids(0).host_id(), .gid = userns.gids(0).host_id()};
}

}  // namespace

absl::StatusOr<std::string> Service::MakeContainer(const SandboxPtr& sandbox,
                                                   const v1::CreateContainerRequest& request) {
  const v1::ContainerConfig& config = request.config();
  for (const ContainerPtr& container : ContainersOf(sandbox->id())) {
    // A retry whose first answer got lost.
    const bool same =
        container->state() == v1::CONTAINER_CREATED &&
        container->Read([&](const store::ContainerRecord& record) {
          return google::protobuf::util::MessageDifferencer::Equals(record.config, config);
        });
    if (same) return container->id();
  }
  store::ContainerRecord record;
  image::ImagePtr image;
  {
    absl::MutexLock lock(&layer_use_.mu());
    CRISP_ASSIGN_OR_RETURN(image, images_.Find(config.image().image()));
    record.chain_ids = ChainIds(*image);
    CRISP_ASSIGN_OR_RETURN(record.image_volumes, FindImageVolumes(images_, config));
    layer_use_.Add(UsedLayers(record));
  }
  record.id = base::NewId();
  record.sandbox_id = sandbox->id();
  record.created_at_ns = base::WallNanos();
  record.config = config;
  record.image_id = image->id.str();
  ImageNames names = NamesFor(*image, config.image());
  record.image_name = std::move(names.name);
  record.image_ref = std::move(names.ref);
  record.resources = config.linux().resources();
  absl::Status status = PrepareContainer(*sandbox, *image, record);
  // A sandbox that is stopped or removed meanwhile must not be left with a container.
  absl::MutexLock sandbox_lock(&sandbox->operation());
  if (status.ok() && sandbox->Read([](const store::SandboxRecord& pod) { return pod.stopped; })) {
    status = absl::FailedPreconditionError("its sandbox was stopped");
  }
  // The commit: without a record everything made so far is an orphan that the next start removes.
  if (status.ok()) status = container_records_.Write(record.id, store::Encode(record));
  if (!status.ok()) {
    (void)base::RemoveTree(paths_.Bundle(record.id));
    (void)snapshots_.RemoveContainer(record.id);
    layer_use_.Release(UsedLayers(record));
    return status;
  }
  auto container = std::make_shared<container::Container>(std::move(record), &container_records_);
  // Nobody starts or removes it before it is announced.
  absl::MutexLock lock(&container->operation());
  containers_.Add(container);
  Announce(v1::CONTAINER_CREATED_EVENT, *container);
  return container->id();
}

absl::Status Service::PrepareContainer(const sandbox::Sandbox& sandbox, const image::Image& image,
                                       store::ContainerRecord& record) {
  const store::SandboxRecord pod = sandbox.record();
  const std::optional<sandbox::Pause> pause = sandbox.pause();
  const v1::ContainerConfig& config = record.config;
  CRISP_ASSIGN_OR_RETURN(const snapshot::RootfsView layers,
                         snapshots_.View(TopChainId(record.chain_ids)));
  CRISP_ASSIGN_OR_RETURN(auto users, image_users_.Read(record.image_id, layers));
  CRISP_ASSIGN_OR_RETURN(spec::ResolvedUser user,
                         spec::ResolveUser(config.linux().security_context(), image.config.user,
                                           users->passwd, users->group));
  record.user = UserMessage(user);
  record.log_path = LogPath(pod.config, config);
  CRISP_ASSIGN_OR_RETURN(const container::Init target, Target(sandbox.id(), config));
  CRISP_ASSIGN_OR_RETURN(const std::string cgroup_path,
                         cgroups_.Path(pod.cgroup_parent, record.id));
  const std::string files = paths_.SandboxDir(sandbox.id());
  CRISP_ASSIGN_OR_RETURN(const std::string hostname,
                         base::ReadFile(base::JoinPath(files, kHostname)));
  CRISP_ASSIGN_OR_RETURN(
      spec::ContainerSpecResult result,
      spec::ContainerSpec({.config = config,
                           .sandbox_config = pod.config,
                           .image = image.config,
                           .user = std::move(user),
                           .id = record.id,
                           .sandbox_id = sandbox.id(),
                           .sandbox_pid = pause->pid,
                           .target_pid = target.pid,
                           .cgroup_path = cgroup_path,
                           .hostname = hostname.substr(0, hostname.find('\n')),
                           .hostname_path = base::JoinPath(files, kHostname),
                           .resolv_conf_path = base::JoinPath(files, kResolvConf),
                           .hosts_path = base::JoinPath(files, kHosts),
                           .cgroup_v2 = cgroups_.layout().v2_only(),
                           .cdi_directories = config_.cdi.spec_dirs}));
  record.stop_signal = result.stop_signal;
  CRISP_RETURN_IF_ERROR(MakeMountSources(config));
  if (!record.log_path.empty()) {
    CRISP_RETURN_IF_ERROR(
        base::Prefix(base::MakeDirs(record.log_path.substr(0, record.log_path.rfind('/')), 0755),
                     "make log directory"));
  }
  CRISP_RETURN_IF_ERROR(CheckImageVolumes(snapshots_, record.image_volumes));
  // Limits the host cannot give are the caller's error now, not StartContainer's later.
  CRISP_RETURN_IF_ERROR(spec::CgroupResources(record.resources, result.spec.linux_).status());
  CRISP_RETURN_IF_ERROR(
      snapshots_.Prepare(record.id, TopChainId(record.chain_ids), RootOwner(pod.config)).status());
  return WriteBundle(paths_.Bundle(record.id), result.spec);
}

// The first process of namespace_options.target_id, which must run in this sandbox; pid 0 without
// one.
absl::StatusOr<container::Init> Service::Target(const std::string& sandbox_id,
                                                const v1::ContainerConfig& config) const {
  const v1::NamespaceOption& options = config.linux().security_context().namespace_options();
  if (options.pid() != v1::TARGET) return container::Init();
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr target, FindRunning(options.target_id()));
  if (target->sandbox_id() != sandbox_id) {
    return absl::InvalidArgumentError(absl::StrCat(
        "namespace_options.target_id \"", options.target_id(), "\" is in another sandbox"));
  }
  return *target->init();
}

absl::StatusOr<v1::CreateContainerResponse> Service::CreateContainer(
    const v1::CreateContainerRequest& request, const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  if (!sandbox->ready()) {
    return absl::FailedPreconditionError(
        absl::StrCat("sandbox \"", sandbox->id(), "\" is not ready"));
  }
  CRISP_RETURN_IF_ERROR(sandbox->Read([&](const store::SandboxRecord& record) {
    return spec::ValidateContainerConfig(request.config(), record.config);
  }));
  CRISP_ASSIGN_OR_RETURN(
      const std::string id,
      create_operations_.Run(absl::StrCat(sandbox->id(), OperationKey(request.config())),
                             call.deadline, [&] { return MakeContainer(sandbox, request); }));
  v1::CreateContainerResponse response;
  response.set_container_id(id);
  return response;
}

}  // namespace crisp::cri
