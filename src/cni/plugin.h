// One execution of one plugin: the place where a plugin type is turned into work.
// Source: CNI specification 1.1.0, sections 2 and 3.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"

namespace crisp::cni {

enum class Verb { kAdd, kDel, kStatus };

struct PluginCall {
  Verb verb = Verb::kAdd;
  std::string type;          // checked by ParseConf
  std::string conf;          // execution configuration, JSON, for standard input
  std::string container_id;  // this and what follows: not for STATUS
  std::string netns;         // path; may be empty for DEL
  std::string args;          // CNI_ARGS
};

// The path of a plugin; kFailedPrecondition when no directory has it.
absl::StatusOr<std::string> FindPlugin(const std::vector<std::string>& dirs,
                                       const std::string& type);

// Runs the plugin found first in `plugin_dirs` with a clean environment until `deadline`, and
// returns its standard output. An error object fails the call whatever the exit code says. Errors
// read "cni add: plugin bridge: <why>"; kUnavailable when the plugin asks to try again later.
// For DEL, "unknown container" is success. Thread-safe, no lock is held.
absl::StatusOr<std::string> RunPlugin(const std::vector<std::string>& plugin_dirs,
                                      const PluginCall& call, base::Deadline deadline);

}  // namespace crisp::cni
