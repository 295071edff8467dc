// One execution of one plugin.
// Source: CNI specification 1.1.0, sections 2 and 3.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"

namespace crisp::cni {

enum class Verb { kAdd, kDel, kStatus, kGc };

struct PluginCall {
  Verb verb = Verb::kAdd;
  std::string type;          // checked by ParseConf
  std::string conf;          // execution configuration, JSON, for standard input
  std::string container_id;  // this and netns and args: not for STATUS and GC
  std::string netns;         // path; may be empty for DEL
  std::string args;          // CNI_ARGS
  std::string group;         // see PodNetworkRequest::plugin_group and Options::groups
};

// The path of a plugin; kFailedPrecondition when it is in none of the directories.
absl::StatusOr<std::string> FindPlugin(const std::vector<std::string>& dirs,
                                       const std::string& type);

// Runs the first plugin of this type in `plugin_dirs` with a clean environment, at most until
// `deadline`, and returns its standard output. With a group the plugin runs in it: what is there
// already is ended before, and what the plugin has started is ended with it. A printed error object
// is an error whatever the exit code is. Errors read "cni add: plugin bridge: <why>"; kUnavailable
// when the plugin says that a later try may succeed, or was killed by a signal; kDeadlineExceeded
// when it was killed at `deadline`. For DEL, "unknown container" is success, and kInvalidArgument
// the answer of a plugin that refuses its input for good. Thread-safe.
absl::StatusOr<std::string> RunPlugin(const std::vector<std::string>& plugin_dirs,
                                      const PluginCall& call, base::Deadline deadline);

}  // namespace crisp::cni
