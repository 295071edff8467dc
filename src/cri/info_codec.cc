#include <google/protobuf/util/json_util.h>

#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "cri/info.h"

namespace crisp::cri {
namespace {

using base::Json;

Json ParseOrNull(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(nullptr) : json;
}

Json MessageJson(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return nullptr;
  return ParseOrNull(text);
}

Json SpecJson(const std::string& bundle) {
  const absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(bundle, base::kSpecFile));
  return text.ok() ? ParseOrNull(*text) : Json(nullptr);
}

// The bundle's spec asks for a new network namespace; what it has become is at `netns`.
Json WithNetns(Json spec, const std::string& netns) {
  const Json::json_pointer namespaces("/linux/namespaces");
  if (netns.empty() || !spec.contains(namespaces)) return spec;
  for (Json& each : spec.at(namespaces)) {
    if (each.is_object() && each.value("type", Json()) == "network") each["path"] = netns;
  }
  return spec;
}

}  // namespace

std::string SandboxInfo(const sandbox::Sandbox& sandbox, const std::string& bundle) {
  const store::SandboxRecord record = sandbox.record();
  Json phases = Json::array();
  for (const sandbox::Phase& phase : sandbox.phases())
    phases.push_back({{"name", phase.name}, {"durationNs", phase.duration_ns}});
  return base::DumpJson({{"pid", sandbox.ready() ? sandbox.pause()->pid : 0},
                         {"netns", record.netns_path},
                         {"cgroupParent", record.cgroup_parent},
                         {"phases", phases},
                         {"config", MessageJson(record.config)},
                         {"runtimeSpec", WithNetns(SpecJson(bundle), record.netns_path)}});
}

std::string ContainerInfo(const container::Container& container, const std::string& bundle) {
  const store::ContainerRecord record = container.record();
  const std::optional<container::Init> init = container.init();
  Json phases = Json::array();
  if (init.has_value()) {
    for (const auto& [name, nanos] : init->phases)
      phases.push_back({{"name", name}, {"durationNs", nanos}});
  }
  const bool runs = init.has_value() && !record.outcome.has_value();
  return base::DumpJson({{"sandboxID", record.sandbox_id.str()},
                         {"pid", runs ? init->process.pid : 0},
                         {"startTicks", runs ? init->process.start_ticks : 0},
                         {"privileged", record.config.linux().security_context().privileged()},
                         {"phases", phases},
                         {"config", MessageJson(record.config)},
                         {"runtimeSpec", SpecJson(bundle)}});
}

std::string ImageInfo(const image::Image& image) {
  Json chain_ids = Json::array();
  for (const image::Layer& layer : image.layers) chain_ids.push_back(layer.chain_id.str());
  return base::DumpJson({{"chainIDs", chain_ids}, {"imageSpec", ParseOrNull(image.config_json)}});
}

std::string ConfigInfo(const config::Config& config) {
  return base::DumpJson({{"address", config.address},
                         {"rootDir", config.root},
                         {"stateDir", config.state},
                         {"logLevel", config.log_level},
                         {"cgroupDriver", config.cgroup.driver},
                         {"cniConfDir", config.cni.conf_dir},
                         {"cniBinDirs", config.cni.bin_dirs},
                         {"registryConfigPath", config.registry.config_path},
                         {"streamingAddress", config.streaming.address}});
}

std::string NetworkInfo(const cni::NetworkState& state) {
  return base::DumpJson({{"name", state.name},
                         {"path", state.path},
                         {"ready", state.ready.ok()},
                         {"reason", std::string(state.ready.message())},
                         {"skipped", state.skipped},
                         {"config", ParseOrNull(state.json)}});
}

}  // namespace crisp::cri
