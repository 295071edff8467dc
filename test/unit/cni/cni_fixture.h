// For the tests of cni/: namespaces of the test process, a temporary directory, and a network of
// cni_evil plugins that log their calls.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/json.h"
#include "cni/netns.h"
#include "cni/network.h"

namespace crisp::cni {

struct TempDir {
  std::string path;
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  // Writes a file below the directory and returns its path.
  std::string Write(const std::string& name, const std::string& text) const;
};

std::string Text(const absl::Status& status);
bool Contains(const std::string& text, const std::string& part);
size_t OpenDescriptors();
// Whether all processes of the group end within two seconds.
bool GroupIsGone(pid_t group);
// The interfaces of a namespace.
absl::StatusOr<std::vector<InterfaceStats>> InterfacesIn(int netns_fd);
inline base::Deadline In(absl::Duration time) { return base::Deadline::In(time); }

// A configuration directory with one list, a plugin directory with cni_evil, a cache directory.
struct EvilNetwork {
  TempDir dir;
  Options options;

  EvilNetwork();
  // One plugin per object of `plugins` ({"ADD": "hang"}), named by "tag".
  void Configure(const base::Json& plugins, const std::string& version = "1.0.0",
                 const std::string& name = "evilnet") const;
  std::vector<base::Json> Calls() const;
  // "ADD:a ADD:b DEL:b DEL:a"
  std::string CallNames() const;
  std::vector<std::string> CacheFiles() const;
};

PodNetworkRequest PodRequest();
// Whether the network is ready, once its plugins have answered STATUS (at most 10 s).
absl::Status Judged(Network& network);
// The shortest configuration: one plugin that works.
inline const base::Json kOnePlugin = base::Json::array({base::Json::object()});

}  // namespace crisp::cni
