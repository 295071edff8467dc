// Does what a plugin would do, inside crispd: ADD and DEL of the types bridge (with the IPAM plugin
// host-local), loopback and portmap. It takes turns with the plugins: a DEL undoes what either has
// made, and the leases and results are the same. Other types, other verbs and configurations with
// an option that the engine does not have (conf.h) are left to the plugin. Thread-safe.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/bridge.h"
#include "cni/native/portmap.h"
#include "cni/plugin.h"

namespace crisp::cni::native {

class Engine {
 public:
  // Not enabled, it still undoes what it made in nftables, which the plugins know nothing of.
  explicit Engine(bool enabled) : enabled_(enabled) {}

  // What an engine of a crispd that was killed has left: it goes later, if this one is enabled.
  void CollectRemains() {
    if (!enabled_) return;
    bridge_.CollectRemains();
    portmap_.CollectRemains();
  }

  // The plugin's answer, or nullopt: then the plugin is to be executed. Errors read "cni add:
  // plugin bridge: <step>: <why>".
  std::optional<absl::StatusOr<std::string>> Run(const PluginCall& call, base::Deadline deadline);

 private:
  std::optional<absl::StatusOr<std::string>> RunBridge(const PluginCall& call,
                                                       base::Deadline deadline);
  std::optional<absl::StatusOr<std::string>> RunLoopback(const PluginCall& call,
                                                         base::Deadline deadline);
  std::optional<absl::StatusOr<std::string>> RunPortmap(const PluginCall& call,
                                                        base::Deadline deadline);

  // Whether the engine has made the pod's masquerading.
  absl::StatusOr<bool> IsMine(const BridgeConf& conf, const BridgePod& pod,
                              base::Deadline deadline);

  // Whether the engine has made the pod's host ports, which are gone now.
  absl::StatusOr<bool> DeletePorts(const std::string& container_id, base::Deadline deadline);

  const bool enabled_;
  // It is not enabled, and there was no table of masquerading, of host ports.
  std::atomic<bool> nothing_to_undo_ = false;
  std::atomic<bool> no_ports_to_undo_ = false;
  Bridge bridge_;
  Portmap portmap_;
};

}  // namespace crisp::cni::native
