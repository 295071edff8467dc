// The pod network as the daemon sees it: one CNI network, configured by the directory other tools
// write to, brought into a pod's network namespace and taken out again.
// Source: CNI specification 1.1.0, sections 2 (protocol), 3 (execution), 5 (results).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"

namespace crisp::cni {

inline constexpr char kPodInterface[] = "eth0";

enum class Protocol { kTcp, kUdp, kSctp };

struct PortMapping {
  uint16_t host_port = 0;  // 0: no mapping, left out
  uint16_t container_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string host_ip;  // empty: every address of the host
};

struct PodNetworkRequest {
  std::string sandbox_id;
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  std::string netns_path;  // pinned namespace; for Detach empty when it is gone
  std::vector<PortMapping> port_mappings;
  // Pod annotations; only kubernetes.io/{ingress,egress}-bandwidth are read.
  std::map<std::string, std::string> annotations;
};

struct PluginTiming {
  std::string type;  // plugin type, e.g. "bridge"
  int64_t nanos = 0;
};

struct PodNetwork {
  std::vector<std::string> ips;  // of eth0, without prefix length, primary first; never empty
  std::vector<PluginTiming> timings;
};

// What Status and its verbose info show. `ready` is OK or says why not, in containerd's words where
// tools match them ("no network config found in ...").
struct NetworkState {
  absl::Status ready;
  std::string name;                  // network in use; empty without one
  std::string path;                  // file it comes from
  std::string json;                  // its conflist
  std::vector<std::string> skipped;  // "<file>: why" for files before it that are not valid
};

// Thread-safe. Operations on different pods run in parallel; the caller runs operations of one pod
// one at a time.
class Network {
 public:
  virtual ~Network() = default;

  // Brings `lo` up and runs the configured plugins' ADD. The caller records that Detach is owed
  // BEFORE this call: a failed ADD may leave residue. kInvalidArgument for a request that must not
  // reach a plugin, kUnavailable without a network, kDeadlineExceeded when a plugin was killed;
  // plugin errors read "cni add: plugin bridge: <msg>: <details> (code 11)".
  virtual absl::StatusOr<PodNetwork> Attach(const PodNetworkRequest& request,
                                            base::Deadline deadline) = 0;

  // Runs DEL in reverse order with the configuration and result of the ADD, wherever it got to.
  // Idempotent; OK means nothing is owed any more. On error call it again until it is OK.
  virtual absl::Status Detach(const PodNetworkRequest& request, base::Deadline deadline) = 0;

  // Follows the configuration directory at every call; never waits for a plugin longer than a
  // second, and that only before the first verdict of a network that has the STATUS verb.
  virtual NetworkState State() = 0;
};

// Which address comes first when a pod has both families.
enum class IpPreference { kIpv4, kIpv6, kCni };  // kCni: as the plugins gave them

struct Options {
  std::string conf_dir = "/etc/cni/net.d";
  std::vector<std::string> plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::string cache_dir = "/var/lib/cni";  // results/ below it is shared with libcni users
  IpPreference ip_preference = IpPreference::kIpv4;
};

std::unique_ptr<Network> NewNetwork(Options options);

}  // namespace crisp::cni
