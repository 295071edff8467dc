// ADD and DEL of the plugin portmap. Thread-safe; operations on one pod run one at a time.
// Source: containernetworking/plugins 1.1.1, plugins/meta/portmap.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/collector.h"
#include "cni/native/conf.h"
#include "cni/native/host_ports.h"

namespace crisp::cni::native {

class Portmap {
 public:
  // Makes all or nothing, but for the sysctl route_localnet, which stays after DEL as the plugin's
  // does. False: nothing is made, the plugin is to be executed (host_ports.h).
  absl::StatusOr<bool> Add(const PortmapConf& conf, const std::string& container_id,
                           base::Deadline deadline);

  // Takes away what Add() has made, by the container's id alone; false when that is nothing.
  absl::StatusOr<bool> Delete(const std::string& container_id, base::Deadline deadline);

  // Whether the engine has made host ports for any pod.
  absl::StatusOr<bool> HasTables(base::Deadline deadline) { return ports_.HasTables(deadline); }

  // Removes later what DELs of a crispd that was killed had put off.
  void CollectRemains();

 private:
  HostPorts ports_;
  Collector collector_;  // its jobs use the ports
};

}  // namespace crisp::cni::native
