#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "spec/cdi.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

using base::Json;

template <typename T>
std::optional<T> Optional(const Json& json, const char* key) {
  if (!json.contains(key) || json.at(key).is_null()) return std::nullopt;
  return json.at(key).get<T>();
}

template <typename T>
T ValueOr(const Json& json, const char* key, T absent) {
  return Optional<T>(json, key).value_or(std::move(absent));
}

// Elements of an array that may be absent or null.
template <typename Visit>
void ForEach(const Json& json, const char* key, Visit visit) {
  if (!json.contains(key) || json.at(key).is_null()) return;
  for (const Json& item : json.at(key)) visit(item);
}

[[noreturn]] void Fail(const std::string& why) {
  throw Json::other_error::create(599, why, static_cast<const Json*>(nullptr));
}

CdiNode ParseNode(const Json& json) {
  CdiNode node;
  node.path = json.at("path").get<std::string>();
  node.host_path = ValueOr<std::string>(json, "hostPath", "");
  const std::string type = ValueOr<std::string>(json, "type", "");
  if (!type.empty()) {
    if (type != "b" && type != "c" && type != "u" && type != "p")
      Fail(absl::StrCat("deviceNodes.type \"", type, "\": must be b, c, u or p"));
    node.type = type == "u" ? 'c' : type[0];
  }
  node.major = Optional<int64_t>(json, "major");
  node.minor = Optional<int64_t>(json, "minor");
  node.file_mode = Optional<uint32_t>(json, "fileMode");
  node.uid = Optional<uint32_t>(json, "uid");
  node.gid = Optional<uint32_t>(json, "gid");
  const std::string permissions = ValueOr<std::string>(json, "permissions", "");
  if (permissions.find_first_not_of("rwm") != std::string::npos || permissions.size() > 3)
    Fail(absl::StrCat("deviceNodes.permissions \"", permissions, "\": must be of r, w, m"));
  if (!permissions.empty()) node.permissions = permissions;
  return node;
}

oci::Mount ParseMount(const Json& json) {
  oci::Mount mount;
  mount.source = json.at("hostPath").get<std::string>();
  mount.destination = json.at("containerPath").get<std::string>();
  mount.type = ValueOr<std::string>(json, "type", "");
  mount.options = ValueOr<std::vector<std::string>>(json, "options", {});
  if (mount.type.empty()) mount.type = "bind";
  return mount;
}

CdiEdits ParseEdits(const Json& json) {
  CdiEdits edits;
  edits.env = ValueOr<std::vector<std::string>>(json, "env", {});
  for (const std::string& entry : edits.env) {
    if (entry.find('=') == std::string::npos || entry[0] == '=' || absl::StrContains(entry, '\0'))
      Fail(absl::StrCat("env \"", entry, "\": must be NAME=value"));
  }
  ForEach(json, "deviceNodes", [&](const Json& node) { edits.nodes.push_back(ParseNode(node)); });
  ForEach(json, "mounts", [&](const Json& mount) { edits.mounts.push_back(ParseMount(mount)); });
  edits.additional_gids = ValueOr<std::vector<uint32_t>>(json, "additionalGids", {});
  ForEach(json, "hooks", [&](const Json& hook) {
    edits.unsupported.push_back(absl::StrCat("hooks (", hook.at("hookName").get<std::string>(), " ",
                                             hook.at("path").get<std::string>(), ")"));
  });
  ForEach(json, "netDevices", [&](const Json&) { edits.unsupported.push_back("network devices"); });
  if (json.contains("intelRdt") && !json.at("intelRdt").is_null())
    edits.unsupported.push_back("Intel RDT classes");
  return edits;
}

CdiSpec ParseSpec(const Json& json) {
  CdiSpec spec;
  (void)json.at("cdiVersion").get<std::string>();
  spec.kind = json.at("kind").get<std::string>();
  if (json.contains("containerEdits")) spec.edits = ParseEdits(json.at("containerEdits"));
  for (const Json& device : json.at("devices")) {
    std::string name = device.at("name").get<std::string>();
    if (!spec.devices.emplace(name, ParseEdits(device.at("containerEdits"))).second)
      Fail(absl::StrCat("device \"", name, "\": is described twice"));
  }
  return spec;
}

}  // namespace

absl::StatusOr<CdiSpec> DecodeCdiSpec(absl::string_view text) {
  return base::DecodeJson("CDI specification", text, ParseSpec);
}

}  // namespace crisp::spec
