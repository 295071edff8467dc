// ContainerConfig + image config + sandbox -> oci::Spec. Reads device nodes, CDI files and
// Localhost seccomp profiles of the host, and crispd's own capabilities. Thread-safe.
// kInvalidArgument names field and value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "oci/image_spec.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"
#include "spec/cdi_files.h"
#include "spec/cgroup_view.h"
#include "spec/user.h"

namespace crisp::spec {

// A volume that the image declares, and its directory on the host.
struct DeclaredVolume {
  std::string container_path;
  std::string host_path;
};

struct ContainerInput {
  const ::runtime::v1::ContainerConfig& config;
  const ::runtime::v1::PodSandboxConfig& sandbox_config;
  const oci::ImageConfig& image;
  ResolvedUser user;
  std::string id;
  std::string sandbox_id;
  int32_t sandbox_pid = 0;  // pause, on the host
  int32_t target_pid = 0;   // first process of namespace_options.target_id; 0 without TARGET
  std::string cgroup_path;
  // The sandbox's files, bind-mounted unless the configuration mounts over them.
  std::string hostname;  // for $HOSTNAME
  std::string hostname_path;
  std::string resolv_conf_path;
  std::string hosts_path;
  CgroupHost cgroup_host = {};
  // The document that security_context.seccomp names, if its type is OCI and it was pulled.
  std::optional<std::string> seccomp_artifact = {};
  CdiFiles& cdi;
  std::vector<DeclaredVolume> volumes = {};  // at spec::DeclaredPaths
};

struct ContainerSpecResult {
  oci::Spec spec;
  std::string stop_signal;  // "SIGTERM": config, else image, else default
  // For the log, by field and value: what is ignored, as other runtimes ignore it.
  std::vector<std::string> warnings;
};

absl::StatusOr<ContainerSpecResult> ContainerSpec(const ContainerInput& input);

// "SIGTERM" -> 15, also "TERM", "15", "SIGRTMIN+3"; kInvalidArgument for anything else.
absl::StatusOr<int> SignalNumber(absl::string_view name);
// The CRI enumerator of a kernel signal, for ContainerStatus.
::runtime::v1::Signal CriSignal(int number);

}  // namespace crisp::spec
