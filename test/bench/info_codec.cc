#include "bench/info_codec.h"

#include <stdexcept>

#include "base/json.h"

namespace crisp::bench {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
  return *std::move(value);
}

}  // namespace

Info DecodeInfo(const std::string& text) {
  return Must(base::DecodeJson("verbose info", text, [](const base::Json& json) {
    Info info;
    info.pid = json.at("pid").get<pid_t>();
    for (const base::Json& phase : json.at("phases")) {
      info.phases.push_back({.name = phase.at("name").get<std::string>(),
                             .ns = phase.at("durationNs").get<int64_t>()});
    }
    info.spec = base::DumpJson(json.at("runtimeSpec"));
    return info;
  }));
}

std::string RuncSpec(const std::string& spec, const RuncOptions& options) {
  return Must(base::DecodeJson("runtime spec", spec, [&](base::Json json) {
    json["ociVersion"] = "1.0.2";
    json["process"]["args"] = {"true"};
    json["root"]["path"] = options.rootfs;
    json.erase("annotations");
    base::Json& linux = json["linux"];
    linux["cgroupsPath"] = options.cgroup;
    linux.erase("sysctl");  // crisp sets them for the pod's namespaces
    linux["namespaces"] = base::Json::array();
    for (const char* type : {"pid", "ipc", "uts", "mount"}) {
      linux["namespaces"].push_back({{"type", type}});
    }
    if (options.own_network) linux["namespaces"].push_back({{"type", "network"}});
    for (base::Json& mount : json.at("mounts")) {
      // crisp binds the pod's /dev/shm, which another mount namespace cannot reach.
      if (mount.at("destination") != "/dev/shm") continue;
      mount = {{"destination", "/dev/shm"},
               {"type", "tmpfs"},
               {"source", "shm"},
               {"options", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}}};
    }
    return base::DumpJson(json, 2);
  }));
}

}  // namespace crisp::bench
