// ADD and DEL of the plugin bridge with the IPAM plugin host-local. Thread-safe; operations on one
// pod run one at a time. Source: containernetworking/plugins 1.1.1, plugins/main/bridge.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/collector.h"
#include "cni/native/conf.h"
#include "cni/native/host_local.h"
#include "cni/native/masquerade.h"

namespace crisp::cni::native {

struct BridgePod {
  LeaseOwner owner;
  std::string netns;  // path; empty or not a namespace: it is gone
};

class Bridge {
 public:
  // Answers the result, JSON. What it has made is undone when a step fails, but for the bridge.
  absl::StatusOr<std::string> Add(const BridgeConf& conf, const BridgePod& pod,
                                  base::Deadline deadline);

  // Whether the engine has made masquerading for any pod.
  absl::StatusOr<bool> HasTables(base::Deadline deadline) {
    return masquerading_.HasTables(deadline);
  }

  // Whether the engine has made the pod's masquerading. Always false without ipMasq.
  absl::StatusOr<bool> Masquerades(const BridgeConf& conf, const BridgePod& pod,
                                   base::Deadline deadline);

  // Takes away what Add() or the plugin has made, but for the plugin's masquerade rules. The pod's
  // link is left to the kernel, which deletes it with the namespace, and to the collector.
  absl::Status Delete(const BridgeConf& conf, const BridgePod& pod, base::Deadline deadline);

  // What a crispd that was killed had put off: links of pods that are gone, unused tables. Later.
  void CollectRemains();

 private:
  absl::Status Disconnect(const BridgeConf& conf, const BridgePod& pod, base::Deadline deadline);

  void DeleteLinksLater();
  void RemoveUnusedTablesLater();

  Masquerading masquerading_;
  Collector collector_;  // its jobs use the masquerading
};

}  // namespace crisp::cni::native
