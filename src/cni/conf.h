// A network configuration list: which plugins make up the pod network, in order.
// The directory is read at every use: a few dozen microseconds, no watch that can be lost when the
// directory is deleted and made again, and never an answer that differs from what is on disk.
// Thread-safe: no shared state. Source: CNI specification 1.1.0, section 1.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cni {

struct PluginConf {
  std::string type;                       // a plain file name, checked
  std::vector<std::string> capabilities;  // declared true
  std::string json;                       // its object in the list
};

struct NetworkConf {
  std::string name;  // fit for a file name, checked
  std::string cni_version;
  std::vector<PluginConf> plugins;  // never empty
  std::string json;                 // the whole list; ParseConf of it gives the same again
  std::string path;                 // file it was read from; empty when it was not
};

// Position of a specification version among those spoken here, oldest first; -1 when it is not.
int VersionRank(absl::string_view version);
// STATUS and GC exist, and DEL gets prevResult, from these versions on.
inline constexpr char kStatusVersion[] = "1.1.0";
inline constexpr char kDelResultVersion[] = "0.4.0";

// Whether `type` names a file in a plugin directory and nothing else (CVE-2021-20206).
bool IsPluginType(absl::string_view type);
// Letters, digits, '_', '.', '-', starting with a letter or digit, at most 128: what the
// specification allows for container ids, and asked of network names too as both end in a path.
bool IsIdentifier(absl::string_view text);

// A configuration list, or one plugin's configuration, which is wrapped into a list. Of the
// versions offered (`cniVersion`, `cniVersions`) the newest one known is taken.
absl::StatusOr<NetworkConf> ParseConf(absl::string_view text);

struct ConfDirectory {
  absl::StatusOr<NetworkConf> network;  // kUnavailable "no network config found in <dir>..."
  std::vector<std::string> skipped;     // "<file>: why it is not valid", files before `network`
};

// The first valid *.conflist, *.conf or *.json file in lexical order.
ConfDirectory LoadConfDirectory(const std::string& dir);

}  // namespace crisp::cni
