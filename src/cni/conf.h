// A network configuration list: the plugins of the pod network, in order. The directory is read at
// every use, which takes a few dozen microseconds. Compared with a watch, the answer is never older
// than the directory, and nothing breaks when the directory is deleted and made again. Thread-safe:
// no shared state. Source: CNI specification 1.1.0, section 1.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cni {

struct PluginConf {
  std::string type;                       // a plain file name (IsPluginType)
  std::vector<std::string> capabilities;  // declared true
  std::string lease_dir;     // of the IPAM plugin host-local: <dataDir>/<network>; otherwise empty
  bool masquerades = false;  // makes rules on the host for the pod's addresses (ipMasq)
  std::string json;          // its object in the list
};

struct NetworkConf {
  std::string name;  // may be part of a file name (IsIdentifier)
  std::string cni_version;
  std::vector<PluginConf> plugins;  // never empty
  bool disable_gc = false;
  // The whole list, with the plugins from other files; ParseConf(json) gives an equal NetworkConf.
  std::string json;
  std::string path;  // the file it was read from; empty for ParseConf
};

// Position of a specification version among the supported ones, oldest first; -1 if not supported.
int VersionRank(absl::string_view version);
// The first versions with the STATUS and GC verbs, and with prevResult for DEL.
inline constexpr char kStatusVersion[] = "1.1.0";
inline constexpr char kGcVersion[] = "1.1.0";
inline constexpr char kDelResultVersion[] = "0.4.0";

// What a configuration that declares no version has, as in libcni.
inline constexpr char kUndeclaredVersion[] = "0.1.0";

// Whether `type` is the name of a file in a plugin directory, without a path (CVE-2021-20206).
bool IsPluginType(absl::string_view type);
// Letters, digits, '_', '.', '-', starting with a letter or digit, at most 128 bytes: the form of
// container ids in the specification. Required of network names too, as both become parts of paths.
bool IsIdentifier(absl::string_view text);

struct PluginText {
  std::string source;  // for messages
  std::string text;    // one plugin's configuration
};
// Gives the plugins that belong to a network beside those in its list, in order. Called with a name
// that is an identifier (IsIdentifier).
using MorePlugins =
    std::function<absl::StatusOr<std::vector<PluginText>>(const std::string& network)>;

// A configuration list, or one plugin's configuration, which is wrapped into a list. Takes the
// newest supported one of the offered versions (`cniVersion`, `cniVersions`). `more` is asked
// unless the list says loadOnlyInlinedPlugins; what it gives is appended to the plugins of the
// list, which then may have none of its own. Without `more` the text must have them all.
absl::StatusOr<NetworkConf> ParseConf(absl::string_view text, const MorePlugins& more = nullptr);

struct ConfDirectory {
  // kUnavailable "no network config found in <dir>...", kResourceExhausted without a descriptor.
  absl::StatusOr<NetworkConf> network;
  std::vector<std::string> skipped;  // "<file>: <error>" for invalid files before `network`
};

// The first valid *.conflist, *.conf or *.json file in lexical order. The *.conf files of the
// directory <dir>/<network name>, if there is one, have more plugins of the network, as for libcni
// from 1.3 on; if one of them is invalid, so is the network.
ConfDirectory LoadConfDirectory(const std::string& dir);

}  // namespace crisp::cni
