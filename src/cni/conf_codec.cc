#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
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

absl::StatusOr<PluginConf> DecodePlugin(const Json& plugin, const std::string& network) {
  PluginConf conf;
  conf.type = plugin.at("type").get<std::string>();
  CRISP_RETURN_IF_ERROR(CheckType("plugin type", conf.type));
  if (const auto ipam = plugin.find("ipam"); ipam != plugin.end() && ipam->is_object()) {
    // The plugin executes the IPAM plugin; old versions do not check its name themselves.
    const std::string type = ipam->value("type", "");
    if (!type.empty()) CRISP_RETURN_IF_ERROR(CheckType("ipam type", type));
    if (type == "host-local") {
      // The plugin takes an empty one for none.
      const std::string directory = ipam->value("dataDir", "");
      conf.lease_dir = absl::StrCat(directory.empty() ? kHostLocalDir : directory, "/", network);
    }
  }
  const auto masquerade = plugin.find("ipMasq");
  conf.masquerades = masquerade != plugin.end() && *masquerade == true;
  if (const auto declared = plugin.find("capabilities"); declared != plugin.end()) {
    for (const auto& [name, enabled] : declared->get<std::map<std::string, bool>>()) {
      if (enabled) conf.capabilities.push_back(name);
    }
  }
  conf.json = base::DumpJson(plugin);
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

absl::StatusOr<NetworkConf> DecodeList(const Json& document) {
  const Json list = document.contains("plugins") ? document : Wrap(document);
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
  const Json& plugins = list.at("plugins");
  if (!plugins.is_array() || plugins.empty() || plugins.size() > kMaxPlugins) {
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

absl::StatusOr<NetworkConf> ParseConf(absl::string_view text) {
  CRISP_ASSIGN_OR_RETURN(absl::StatusOr<NetworkConf> conf,
                         base::DecodeJson("network config", text, DecodeList));
  return conf;
}

}  // namespace crisp::cni
