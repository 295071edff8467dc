#include "cri/info.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::VersionResponse> Service::Version(const v1::VersionRequest&, const Call&) {
  v1::VersionResponse response;
  response.set_version("0.1.0");
  response.set_runtime_name("crisp");
  response.set_runtime_version(CRISP_VERSION);
  response.set_runtime_api_version("v1");
  return response;
}

absl::StatusOr<v1::StatusResponse> Service::Status(const v1::StatusRequest& request, const Call&) {
  v1::StatusResponse response;
  v1::RuntimeCondition* runtime = response.mutable_status()->add_conditions();
  runtime->set_type("RuntimeReady");
  runtime->set_status(true);
  const cni::NetworkState network = network_.State();
  v1::RuntimeCondition* ready = response.mutable_status()->add_conditions();
  ready->set_type("NetworkReady");
  ready->set_status(network.ready.ok());
  if (!network.ready.ok()) {
    ready->set_reason("NetworkPluginNotReady");
    ready->set_message(std::string(network.ready.message()));
  }
  for (const char* name : {"", "crisp"}) {
    v1::RuntimeHandler* handler = response.add_runtime_handlers();
    handler->set_name(name);
    handler->mutable_features()->set_recursive_read_only_mounts(true);
    handler->mutable_features()->set_user_namespaces(true);
  }
  response.mutable_features()->set_supplemental_groups_policy(true);
  response.mutable_features()->set_mount_options(true);
  if (request.verbose()) {
    (*response.mutable_info())["config"] = ConfigInfo(config_);
    (*response.mutable_info())["network"] = NetworkInfo(network);
  }
  return response;
}

absl::StatusOr<v1::RuntimeConfigResponse> Service::RuntimeConfig(const v1::RuntimeConfigRequest&,
                                                                 const Call&) {
  v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(
      config_.cgroup.driver == config::kSystemdDriver ? v1::SYSTEMD : v1::CGROUPFS);
  return response;
}

absl::StatusOr<v1::UpdateRuntimeConfigResponse> Service::UpdateRuntimeConfig(
    const v1::UpdateRuntimeConfigRequest&, const Call&) {
  // The node's podCIDR is for runtimes that render a CNI template; ours is configured by files
  // alone.
  return v1::UpdateRuntimeConfigResponse();
}

}  // namespace crisp::cri
