#include "config/config.h"

#include <functional>
#include <map>
#include <set>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::config {
namespace {

// All keys. Unknown ones are refused, because a misspelt key would otherwise be ignored silently.
using Setter = std::function<bool(const toml::node&, Config&)>;

Setter String(std::string Config::*member) {
  return [member](const toml::node& node, Config& config) {
    if (!node.is_string()) return false;
    config.*member = node.as_string()->get();
    return true;
  };
}

bool SetString(const toml::node& node, std::string& target) {
  if (!node.is_string()) return false;
  target = node.as_string()->get();
  return true;
}

bool SetStrings(const toml::node& node, std::vector<std::string>& target) {
  if (!node.is_array()) return false;
  std::vector<std::string> values;
  for (const toml::node& entry : *node.as_array()) {
    if (!entry.is_string()) return false;
    values.push_back(entry.as_string()->get());
  }
  target = std::move(values);
  return true;
}

const std::map<std::string, Setter>& Setters() {
  static const auto* setters = new std::map<std::string, Setter>{
      {"address",
       [](const toml::node& n, Config& c) {
         if (!n.is_string()) return SetStrings(n, c.address);
         c.address = {n.as_string()->get()};
         return true;
       }},
      {"root", String(&Config::root)},
      {"state", String(&Config::state)},
      {"log_level", String(&Config::log_level)},
      {"cgroup.driver",
       [](const toml::node& n, Config& c) { return SetString(n, c.cgroup.driver); }},
      {"cni.conf_dir", [](const toml::node& n, Config& c) { return SetString(n, c.cni.conf_dir); }},
      {"cni.bin_dirs",
       [](const toml::node& n, Config& c) { return SetStrings(n, c.cni.bin_dirs); }},
      {"cni.native",
       [](const toml::node& n, Config& c) {
         if (!n.is_boolean()) return false;
         c.cni.native = n.as_boolean()->get();
         return true;
       }},
      {"cdi.spec_dirs",
       [](const toml::node& n, Config& c) { return SetStrings(n, c.cdi.spec_dirs); }},
      {"registry.config_path",
       [](const toml::node& n, Config& c) { return SetString(n, c.registry.config_path); }},
      {"streaming.address",
       [](const toml::node& n, Config& c) { return SetString(n, c.streaming.address); }},
  };
  return *setters;
}

absl::Status ApplyTable(const toml::table& table, const std::string& prefix, Config& config) {
  for (const auto& [name, node] : table) {
    const std::string key = absl::StrCat(prefix, std::string(name.str()));
    const std::string where = absl::StrCat("line ", node.source().begin.line, ": ", key);
    auto setter = Setters().find(key);
    if (setter != Setters().end()) {
      if (!setter->second(node, config))
        return absl::InvalidArgumentError(absl::StrCat(where, ": wrong type"));
    } else if (node.is_table() && prefix.empty()) {
      CRISP_RETURN_IF_ERROR(ApplyTable(*node.as_table(), absl::StrCat(key, "."), config));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(where, ": unknown key"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPath(absl::string_view key, const std::string& path) {
  if (absl::StartsWith(path, "/")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(key, " \"", path, "\": must be an absolute path"));
}

absl::Status CheckAddresses(const std::vector<std::string>& addresses) {
  if (addresses.empty()) return absl::InvalidArgumentError("address: must name a socket");
  std::set<std::string> seen;
  for (const std::string& address : addresses) {
    CRISP_RETURN_IF_ERROR(CheckPath("address", address));
    if (!seen.insert(address).second)
      return absl::InvalidArgumentError(absl::StrCat("address \"", address, "\": is given twice"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyToml(absl::string_view text, Config& config) {
  const toml::parse_result result = toml::parse(std::string_view(text.data(), text.size()));
  if (!result) {
    return absl::InvalidArgumentError(absl::StrCat("line ", result.error().source().begin.line,
                                                   ": ",
                                                   std::string(result.error().description())));
  }
  return ApplyTable(result.table(), "", config);
}

absl::Status Validate(const Config& config) {
  CRISP_RETURN_IF_ERROR(CheckAddresses(config.address));
  CRISP_RETURN_IF_ERROR(CheckPath("root", config.root));
  CRISP_RETURN_IF_ERROR(CheckPath("state", config.state));
  CRISP_RETURN_IF_ERROR(CheckPath("cni.conf_dir", config.cni.conf_dir));
  for (const std::string& dir : config.cni.bin_dirs)
    CRISP_RETURN_IF_ERROR(CheckPath("cni.bin_dirs", dir));
  for (const std::string& dir : config.cdi.spec_dirs)
    CRISP_RETURN_IF_ERROR(CheckPath("cdi.spec_dirs", dir));
  CRISP_RETURN_IF_ERROR(CheckPath("registry.config_path", config.registry.config_path));
  if (config.cgroup.driver != kCgroupfsDriver && config.cgroup.driver != kSystemdDriver) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup.driver \"", config.cgroup.driver, "\": must be cgroupfs or systemd"));
  }
  return base::ParseLogLevel(config.log_level).status();
}

std::vector<std::string> KeysForNextStart(const Config& running, const Config& read) {
  std::vector<std::string> keys;
  const auto compare = [&keys](const char* key, const auto& before, const auto& after) {
    if (before != after) keys.push_back(key);
  };
  compare("address", running.address, read.address);
  compare("root", running.root, read.root);
  compare("state", running.state, read.state);
  compare("cgroup.driver", running.cgroup.driver, read.cgroup.driver);
  compare("cni.conf_dir", running.cni.conf_dir, read.cni.conf_dir);
  compare("cni.bin_dirs", running.cni.bin_dirs, read.cni.bin_dirs);
  compare("cni.native", running.cni.native, read.cni.native);
  compare("registry.config_path", running.registry.config_path, read.registry.config_path);
  compare("streaming.address", running.streaming.address, read.streaming.address);
  return keys;
}

std::string ToToml(const Config& config) {
  toml::array addresses;
  for (const std::string& address : config.address) addresses.push_back(address);
  toml::array bin_dirs;
  for (const std::string& dir : config.cni.bin_dirs) bin_dirs.push_back(dir);
  toml::array cdi_dirs;
  for (const std::string& dir : config.cdi.spec_dirs) cdi_dirs.push_back(dir);
  const toml::table table{
      {"address", addresses},
      {"root", config.root},
      {"state", config.state},
      {"log_level", config.log_level},
      {"cgroup", toml::table{{"driver", config.cgroup.driver}}},
      {"cni", toml::table{{"conf_dir", config.cni.conf_dir},
                          {"bin_dirs", bin_dirs},
                          {"native", config.cni.native}}},
      {"cdi", toml::table{{"spec_dirs", cdi_dirs}}},
      {"registry", toml::table{{"config_path", config.registry.config_path}}},
      {"streaming", toml::table{{"address", config.streaming.address}}},
  };
  std::ostringstream out;
  out << table << "\n";
  return out.str();
}

}  // namespace crisp::config
