// Configurations from text, and a container's complete input.
#pragma once

#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/v1/api.pb.h"
#include "spec/container_spec.h"

namespace crisp::spec {

template <typename Message>
Message Proto(const std::string& text) {
  google::protobuf::LogSilencer silencer;  // about deprecated fields
  Message message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

// kInvalidArgument with a message that contains `part`.
inline void CheckRefused(const absl::Status& status, const std::string& part) {
  INFO(status);
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains(part));
}

// Text of a configuration with only this security context, or only these namespace options.
inline std::string Security(const std::string& text) {
  return absl::StrCat(" linux { security_context { ", text, " } } ");
}
inline std::string Options(const std::string& text) {
  return Security(absl::StrCat("namespace_options { ", text, " }"));
}

// "mount= network=/proc/1/ns/net ..." in the order of the spec.
inline std::string NamespacesOf(const oci::Spec& spec) {
  std::string text;
  for (const oci::Namespace& entry : spec.linux_.namespaces) {
    absl::StrAppend(&text, entry.type, "=", entry.path, " ");
  }
  return text;
}

// A container of a sandbox whose pause is process 4711.
struct Container {
  explicit Container(const std::string& config_text, const std::string& sandbox_text = "")
      : config(Proto<::runtime::v1::ContainerConfig>(config_text)),
        sandbox(Proto<::runtime::v1::PodSandboxConfig>(sandbox_text)) {
    image.entrypoint = {"/entry"};
  }

  ContainerInput Input() const {
    static CdiFiles no_devices{std::vector<std::string>()};
    return {.config = config,
            .sandbox_config = sandbox,
            .image = image,
            .user = user,
            .id = "c",
            .sandbox_id = "s",
            .sandbox_pid = 4711,
            .target_pid = target_pid,
            .cgroup_path = "/pod/c",
            .hostname = "pod",
            .hostname_path = "/run/crisp/sandboxes/s/hostname",
            .resolv_conf_path = "/run/crisp/sandboxes/s/resolv.conf",
            .hosts_path = "/run/crisp/sandboxes/s/hosts",
            .cgroup_host = cgroup_host,
            .cdi = no_devices};
  }

  absl::StatusOr<ContainerSpecResult> Make() const { return ContainerSpec(Input()); }
  oci::Spec Spec() const {
    absl::StatusOr<ContainerSpecResult> result = Make();
    INFO(result.status());
    REQUIRE(result.ok());
    return result->spec;
  }

  ::runtime::v1::ContainerConfig config;
  ::runtime::v1::PodSandboxConfig sandbox;
  oci::ImageConfig image;
  ResolvedUser user = {.uid = 0, .gid = 0, .additional_gids = {0}, .home = "/root"};
  int32_t target_pid = 0;
  CgroupHost cgroup_host = {.v2 = true, .nsdelegate = true};
};

}  // namespace crisp::spec
