// For the tests of cni/native/: configurations and a temporary directory. None of these tests makes
// a link, a namespace or a rule.
#pragma once

#include <string>

#include "base/deadline.h"
#include "base/json.h"

namespace crisp::cni::native {

inline base::Deadline Soon() { return base::Deadline::In(absl::Seconds(30)); }

struct LeaseDir {
  std::string path;
  LeaseDir();
  ~LeaseDir();
  LeaseDir(const LeaseDir&) = delete;
  LeaseDir& operator=(const LeaseDir&) = delete;
  // The text of a file below, or "missing".
  std::string Read(const std::string& name) const;
  void Write(const std::string& name, const std::string& text) const;
};

// The standard input of bridge: one range of IPv4 in /var/lib/cni/networks, a default route.
base::Json BridgeJson();

}  // namespace crisp::cni::native
