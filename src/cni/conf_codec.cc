#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cni/conf.h"

namespace crisp::cni {
namespace {

using base::Json;

constexpr size_t kMaxPlugins = 32;
constexpr char kHostLocalDir[] = "/var/lib/cni/networks";  // unless it is configured

// The newest offered version that is supported; empty when there is none.
std::string ChooseVersion(const Json& list) {
  std::vector<std::string> offered = list.value("cniVersions", std::vector<std::string>());
  const std::string single = list.value("cniVersion", "");
  if (!single.empty()) offered.push_back(single);
  if (offered.empty()) return kUndeclaredVersion;
  std::string chosen;
  for (const std::string& version : offered) {
    if (VersionRank(version) > VersionRank(chosen)) chosen = version;
  }
  return chosen;
}

absl::Status CheckType(absl::string_view field, const std::string& type) {
  if (IsPluginType(type)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " ", base::DumpJson(type.substr(0, 256)), ": must be a plain file name"));
}

// The member of this name, in any case, as it is for plugins and libcni, which are written in Go;
// nullptr without one, or if it is null. Two are refused: which one counts depends on their order.
absl::StatusOr<const Json*> Member(const Json& object, absl::string_view name) {
  const Json* found = nullptr;
  for (const auto& [key, value] : object.items()) {
    if (!absl::EqualsIgnoreCase(key, name)) continue;
    if (found != nullptr) return absl::InvalidArgumentError(absl::StrCat(name, " is given twice"));
    found = &value;
  }
  return found != nullptr && found->is_null() ? nullptr : found;
}

absl::StatusOr<std::string> TextMember(const Json& object, absl::string_view name) {
  CRISP_ASSIGN_OR_RETURN(const Json* member, Member(object, name));
  return member == nullptr ? std::string() : member->get<std::string>();
}

absl::Status DecodeIpam(const Json& ipam, const std::string& network, PluginConf& conf) {
  // The plugin executes the IPAM plugin; old versions do not check its name themselves.
  CRISP_ASSIGN_OR_RETURN(const std::string type, TextMember(ipam, "type"));
  if (!type.empty()) CRISP_RETURN_IF_ERROR(CheckType("ipam type", type));
  if (type != "host-local") return absl::OkStatus();
  // The plugin takes an empty one for none.
  CRISP_ASSIGN_OR_RETURN(const std::string directory, TextMember(ipam, "dataDir"));
  conf.lease_dir = absl::StrCat(directory.empty() ? kHostLocalDir : directory, "/", network);
  return absl::OkStatus();
}

// libcni hands 1500.0 and 1e+06, as Helm writes a million, on as whole numbers. Plugins that are
// written in Go take nothing else for an integer.
void MakeWhole(Json& value) {
  constexpr double kExact = 0x1p53;
  if (value.is_structured()) {
    for (Json& member : value) MakeWhole(member);
  } else if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) <= kExact && std::trunc(number) == number)
      value = static_cast<int64_t>(number);
  }
}

absl::StatusOr<PluginConf> DecodePlugin(const Json& plugin, const std::string& network) {
  if (!plugin.is_object()) return absl::InvalidArgumentError("a plugin must be an object");
  PluginConf conf;
  CRISP_ASSIGN_OR_RETURN(conf.type, TextMember(plugin, "type"));
  CRISP_RETURN_IF_ERROR(CheckType("plugin type", conf.type));
  CRISP_ASSIGN_OR_RETURN(const Json* ipam, Member(plugin, "ipam"));
  if (ipam != nullptr && ipam->is_object()) {
    CRISP_RETURN_IF_ERROR(DecodeIpam(*ipam, network, conf));
  }
  CRISP_ASSIGN_OR_RETURN(const Json* masquerade, Member(plugin, "ipMasq"));
  conf.masquerades = masquerade != nullptr && *masquerade == true;
  CRISP_ASSIGN_OR_RETURN(const Json* declared, Member(plugin, "capabilities"));
  if (declared != nullptr) {
    for (const auto& [name, enabled] : declared->get<std::map<std::string, bool>>()) {
      if (enabled) conf.capabilities.push_back(name);
    }
  }
  Json whole = plugin;
  MakeWhole(whole);
  conf.json = base::DumpJson(whole);
  return conf;
}

// libcni takes these as words, too.
absl::StatusOr<bool> Flag(const Json& list, const char* name) {
  const auto found = list.find(name);
  if (found == list.end()) return false;
  if (!found->is_string()) return found->get<bool>();
  const std::string word = absl::AsciiStrToLower(found->get<std::string>());
  if (word == "true" || word == "false") return word == "true";
  return absl::InvalidArgumentError(
      absl::StrCat(name, " ", base::DumpJson(word.substr(0, 64)), ": must be true or false"));
}

Json Wrap(const Json& plugin) {
  Json list = {{"name", plugin.at("name")}, {"plugins", Json::array({plugin})}};
  for (const char* key : {"cniVersion", "cniVersions"}) {
    if (plugin.contains(key)) list[key] = plugin.at(key);
  }
  return list;
}

// Appends what `more` gives to the plugins of the list.
absl::Status AddPlugins(Json& list, const std::string& network, const MorePlugins& more) {
  if (more == nullptr) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const bool only_inlined, Flag(list, "loadOnlyInlinedPlugins"));
  if (only_inlined) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const std::vector<PluginText> plugins, more(network));
  for (const PluginText& plugin : plugins) {
    CRISP_ASSIGN_OR_RETURN(Json json, base::DecodeJson(plugin.source, plugin.text,
                                                       [](const Json& own) { return own; }));
    CRISP_RETURN_IF_ERROR(base::Prefix(DecodePlugin(json, network).status(), plugin.source));
    list["plugins"].push_back(std::move(json));
  }
  return absl::OkStatus();
}

absl::StatusOr<NetworkConf> DecodeList(const Json& document, const MorePlugins& more) {
  // One plugin's configuration has all there is, for libcni, too.
  const bool is_list = document.contains("plugins") || !document.contains("type");
  Json list = is_list ? document : Wrap(document);
  NetworkConf conf;
  conf.name = list.at("name").get<std::string>();
  if (!IsIdentifier(conf.name)) {
    return absl::InvalidArgumentError(absl::StrCat("network name ",
                                                   base::DumpJson(conf.name.substr(0, 256)),
                                                   ": must be up to 128 letters, digits, _ . -"));
  }
  conf.cni_version = ChooseVersion(list);
  if (conf.cni_version.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cniVersion ", base::DumpJson(list.value("cniVersion", "").substr(0, 64)),
                     ": is not supported"));
  }
  const auto inlined = list.find("plugins");
  if (inlined != list.end() && (!inlined->is_array() || inlined->empty())) {
    return absl::InvalidArgumentError("plugins: must be a list, and not empty");
  }
  if (is_list) CRISP_RETURN_IF_ERROR(AddPlugins(list, conf.name, more));
  const Json plugins = list.value("plugins", Json::array());
  if (plugins.empty() || plugins.size() > kMaxPlugins) {
    return absl::InvalidArgumentError(
        absl::StrCat("plugins: must be a list of 1 to ", kMaxPlugins, " plugins"));
  }
  for (const Json& plugin : plugins) {
    CRISP_ASSIGN_OR_RETURN(PluginConf decoded, DecodePlugin(plugin, conf.name));
    conf.plugins.push_back(std::move(decoded));
  }
  CRISP_ASSIGN_OR_RETURN(conf.disable_gc, Flag(list, "disableGC"));
  conf.json = base::DumpJson(list);
  return conf;
}

}  // namespace

absl::StatusOr<NetworkConf> ParseConf(absl::string_view text, const MorePlugins& more) {
  CRISP_ASSIGN_OR_RETURN(absl::StatusOr<NetworkConf> conf,
                         base::DecodeJson("network config", text, [&more](const Json& document) {
                           return DecodeList(document, more);
                         }));
  return conf;
}

}  // namespace crisp::cni
