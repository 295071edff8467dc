#include "store/record_codec.h"

#include <google/protobuf/util/json_util.h>

#include "base/json.h"
#include "base/status_macros.h"

namespace crisp::store {
namespace {

using base::Json;
constexpr int kVersion = 1;

constexpr std::pair<Cleanup, const char*> kCleanupNames[] = {{Cleanup::kNetwork, "network"},
                                                             {Cleanup::kNetns, "netns"},
                                                             {Cleanup::kProcesses, "processes"},
                                                             {Cleanup::kCgroup, "cgroup"}};

Json MessageJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  // Printing a message that was parsed from the wire cannot fail; DumpJson replaces bytes that are
  // not UTF-8.
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok())
    return Json::object();
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

void ParseMessage(const Json& json, google::protobuf::Message& message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // written by a newer crispd
  const auto status =
      google::protobuf::util::JsonStringToMessage(base::DumpJson(json), &message, options);
  if (!status.ok())
    throw Json::other_error::create(599, std::string(status.message()),
                                    static_cast<const Json*>(nullptr));
}

void CheckVersion(const Json& json) {
  if (json.at("version").get<int>() != kVersion)
    throw Json::other_error::create(599, "unknown version", static_cast<const Json*>(nullptr));
}

Json OutcomeJson(const Outcome& outcome) {
  return {{"started_at_ns", outcome.started_at_ns},
          {"finished_at_ns", outcome.finished_at_ns},
          {"exit_code", outcome.exit_code},
          {"reason", outcome.reason},
          {"message", outcome.message}};
}

Outcome ParseOutcome(const Json& json) {
  return {.started_at_ns = json.at("started_at_ns"),
          .finished_at_ns = json.at("finished_at_ns"),
          .exit_code = json.at("exit_code"),
          .reason = json.at("reason"),
          .message = json.at("message")};
}

Json ChainIdsJson(const std::vector<oci::ChainId>& chain_ids) {
  Json json = Json::array();
  for (const oci::ChainId& chain_id : chain_ids) json.push_back(chain_id.str());
  return json;
}

std::vector<oci::ChainId> ParseChainIds(const Json& json) {
  std::vector<oci::ChainId> chain_ids;
  for (const Json& chain_id : json) chain_ids.emplace_back(chain_id.get<std::string>());
  return chain_ids;
}

Json VolumesJson(const std::vector<ImageVolume>& volumes) {
  Json json = Json::array();
  for (const ImageVolume& volume : volumes) {
    json.push_back({{"container_path", volume.container_path},
                    {"image_id", volume.image_id},
                    {"chain_ids", ChainIdsJson(volume.chain_ids)},
                    {"sub_path", volume.sub_path},
                    {"noexec", volume.noexec}});
  }
  return json;
}

std::vector<ImageVolume> ParseVolumes(const Json& json) {
  std::vector<ImageVolume> volumes;
  for (const Json& volume : json) {
    volumes.push_back({.container_path = volume.at("container_path"),
                       .image_id = volume.at("image_id"),
                       .chain_ids = ParseChainIds(volume.at("chain_ids")),
                       .sub_path = volume.at("sub_path"),
                       .noexec = volume.value("noexec", false)});
  }
  return volumes;
}

bool ParseSandbox(const Json& json, SandboxRecord& record) {
  CheckVersion(json);
  record.id = base::SandboxId(json.at("id"));
  record.created_at_ns = json.at("created_at_ns");
  record.runtime_handler = json.at("runtime_handler");
  ParseMessage(json.at("config"), record.config);
  record.cgroup_parent = json.at("cgroup_parent");
  record.netns_path = json.at("netns_path");
  record.plugin_group = json.value("plugin_group", "");
  record.ip.primary = json.at("ip");
  record.ip.additional = json.at("additional_ips").get<std::vector<std::string>>();
  // A step this crispd does not know, from a record of another version, is ignored.
  for (const Json& name : json.at("owed")) {
    for (const auto& [step, text] : kCleanupNames) {
      if (name == text) record.pending_cleanup.insert(step);
    }
  }
  record.ready = json.at("ready");
  record.stopped = json.at("stopped");
  return true;
}

bool ParseContainer(const Json& json, ContainerRecord& record) {
  CheckVersion(json);
  record.id = base::ContainerId(json.at("id"));
  record.sandbox_id = base::SandboxId(json.at("sandbox_id"));
  record.created_at_ns = json.at("created_at_ns");
  ParseMessage(json.at("config"), record.config);
  record.image_id = json.at("image_id");
  record.image_name = json.value("image_name", "");
  record.image_ref = json.value("image_ref", "");
  record.chain_ids = ParseChainIds(json.at("chain_ids"));
  if (json.contains("image_volumes")) record.image_volumes = ParseVolumes(json.at("image_volumes"));
  record.log_path = json.at("log_path");
  record.stop_signal = json.at("stop_signal");
  ParseMessage(json.at("user"), record.user);
  ParseMessage(json.at("resources"), record.resources);
  if (json.contains("outcome")) record.outcome = ParseOutcome(json.at("outcome"));
  return true;
}

bool ParseProfile(const Json& json, ProfileRecord& record) {
  CheckVersion(json);
  absl::StatusOr<oci::Digest> digest = oci::Digest::Parse(json.at("digest").get<std::string>());
  if (!digest.ok())
    throw Json::other_error::create(599, std::string(digest.status().message()),
                                    static_cast<const Json*>(nullptr));
  record.digest = *std::move(digest);
  record.names = json.at("names").get<std::vector<std::string>>();
  record.document = json.at("document");
  return true;
}

}  // namespace

std::string Encode(const SandboxRecord& record) {
  Json pending = Json::array();
  for (const auto& [step, name] : kCleanupNames) {
    if (record.pending_cleanup.count(step) > 0) pending.push_back(name);
  }
  return base::DumpJson({{"version", kVersion},
                         {"id", record.id.str()},
                         {"created_at_ns", record.created_at_ns},
                         {"runtime_handler", record.runtime_handler},
                         {"config", MessageJson(record.config)},
                         {"cgroup_parent", record.cgroup_parent},
                         {"netns_path", record.netns_path},
                         {"plugin_group", record.plugin_group},
                         {"ip", record.ip.primary},
                         {"additional_ips", record.ip.additional},
                         {"owed", pending},
                         {"ready", record.ready},
                         {"stopped", record.stopped}});
}

std::string Encode(const ContainerRecord& record) {
  Json json = {{"version", kVersion},
               {"id", record.id.str()},
               {"sandbox_id", record.sandbox_id.str()},
               {"created_at_ns", record.created_at_ns},
               {"config", MessageJson(record.config)},
               {"image_id", record.image_id},
               {"image_name", record.image_name},
               {"image_ref", record.image_ref},
               {"chain_ids", ChainIdsJson(record.chain_ids)},
               {"log_path", record.log_path},
               {"stop_signal", record.stop_signal},
               {"user", MessageJson(record.user)},
               {"resources", MessageJson(record.resources)}};
  if (!record.image_volumes.empty()) json["image_volumes"] = VolumesJson(record.image_volumes);
  if (record.outcome.has_value()) json["outcome"] = OutcomeJson(*record.outcome);
  return base::DumpJson(json);
}

std::string Encode(const ProfileRecord& record) {
  return base::DumpJson({{"version", kVersion},
                         {"digest", record.digest.str()},
                         {"names", record.names},
                         {"document", record.document}});
}

absl::Status Decode(absl::string_view text, SandboxRecord& record) {
  return base::DecodeJson("sandbox record", text,
                          [&](const Json& json) { return ParseSandbox(json, record); })
      .status();
}

absl::Status Decode(absl::string_view text, ContainerRecord& record) {
  return base::DecodeJson("container record", text,
                          [&](const Json& json) { return ParseContainer(json, record); })
      .status();
}

absl::Status Decode(absl::string_view text, ProfileRecord& record) {
  return base::DecodeJson("security profile record", text,
                          [&](const Json& json) { return ParseProfile(json, record); })
      .status();
}

}  // namespace crisp::store
