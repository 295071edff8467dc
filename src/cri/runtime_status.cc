#include "cri/handlers.h"
#include "cri/info.h"

namespace crisp::cri {

absl::StatusOr<v1::VersionResponse> Version(const Api&, const v1::VersionRequest&, const Call&) {
  v1::VersionResponse response;
  response.set_version("0.1.0");
  response.set_runtime_name("crisp");
  response.set_runtime_version(CRISP_VERSION);
  response.set_runtime_api_version("v1");
  return response;
}

absl::StatusOr<v1::StatusResponse> Status(const Api& runtime, const v1::StatusRequest& request,
                                          const Call&) {
  v1::StatusResponse response;
  v1::RuntimeCondition* alive = response.mutable_status()->add_conditions();
  alive->set_type("RuntimeReady");
  alive->set_status(true);
  const cni::NetworkState network = runtime.network.State();
  v1::RuntimeCondition* ready = response.mutable_status()->add_conditions();
  ready->set_type("NetworkReady");
  ready->set_status(network.ready.ok());
  if (!network.ready.ok()) {
    ready->set_reason("NetworkPluginNotReady");
    ready->set_message(std::string(network.ready.message()));
  }
  for (const runtime::Handler& handler : runtime.handlers.all()) {
    v1::RuntimeHandler* message = response.add_runtime_handlers();
    message->set_name(handler.name);
    message->mutable_features()->set_recursive_read_only_mounts(
        handler.features.recursive_read_only_mounts);
    message->mutable_features()->set_user_namespaces(handler.features.user_namespaces);
    message->mutable_features()->set_cgroup_namespaces(handler.features.cgroup_namespaces);
  }
  response.mutable_features()->set_supplemental_groups_policy(true);
  response.mutable_features()->set_user_namespaces_host_network(true);
  response.mutable_features()->set_mount_options(true);
  // Says that the field is known; whether the host can give READ_WRITE kubelet finds out itself.
  response.mutable_features()->set_cgroup_mount_mode(true);
  response.mutable_features()->set_seccomp_profile_oci(true);
  if (request.verbose()) {
    (*response.mutable_info())["config"] = ConfigInfo(runtime.config);
    (*response.mutable_info())["network"] = NetworkInfo(network);
  }
  return response;
}

absl::StatusOr<v1::RuntimeConfigResponse> RuntimeConfig(const Api& runtime,
                                                        const v1::RuntimeConfigRequest&,
                                                        const Call&) {
  v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(
      runtime.config.cgroup.driver == config::kSystemdDriver ? v1::SYSTEMD : v1::CGROUPFS);
  return response;
}

absl::StatusOr<v1::UpdateRuntimeConfigResponse> UpdateRuntimeConfig(
    const Api&, const v1::UpdateRuntimeConfigRequest&, const Call&) {
  // The node's podCIDR is meant for runtimes that render a CNI template; crisp's network is
  // configured by files alone.
  return v1::UpdateRuntimeConfigResponse();
}

}  // namespace crisp::cri
