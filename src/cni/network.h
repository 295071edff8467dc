// The pod network: attaches pods to the one CNI network that the configuration directory defines,
// and detaches them. Source: CNI specification 1.1.0, sections 2 (protocol), 3 (execution), 5
// (results).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/deadline.h"

namespace crisp::cni {

inline constexpr char kPodInterface[] = "eth0";

enum class Protocol { kTcp, kUdp, kSctp };

struct PortMapping {
  uint16_t host_port = 0;  // 0: no mapping; plugins do not get it
  uint16_t container_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string host_ip;  // empty: every address of the host
};

struct Dns {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

struct PodNetworkRequest {
  std::string sandbox_id;
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  std::string netns_path;  // the pinned namespace; empty for Detach of a pod without one
  // A cgroup2 directory, made for each plugin and removed after it: what the plugin starts ends
  // with it, and an ADD that outlived crispd is ended before the DEL. Empty: no group.
  std::string plugin_group;
  // For plugins that declare the capability; of the annotations also
  // kubernetes.io/{ingress,egress}-bandwidth as limits.
  std::vector<PortMapping> port_mappings;
  Dns dns;
  std::string cgroup_parent;  // the pod's, as the client wrote it
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

// For the Status RPC and its verbose info. `ready` is OK or an error with containerd's texts where
// tools match them ("no network config found in ...").
struct NetworkState {
  absl::Status ready;
  std::string name;                  // network in use; empty without one
  std::string path;                  // file it comes from
  std::string json;                  // its conflist
  std::vector<std::string> skipped;  // "<file>: <error>" for invalid files before it
};

// Thread-safe. Operations on different pods run in parallel; the caller runs operations of one pod
// one at a time.
class Network {
 public:
  virtual ~Network() = default;

  // Brings `lo` up and runs the configured plugins' ADD. The caller must record that Detach is
  // pending BEFORE this call: a failed ADD may leave interfaces, addresses or rules.
  // kInvalidArgument for a request with values that plugins would misread, kUnavailable without a
  // network, kDeadlineExceeded when a plugin was killed at `deadline`. Errors of plugins read "cni
  // add: plugin bridge: <msg>: <details> (code 11)".
  virtual absl::StatusOr<PodNetwork> Attach(const PodNetworkRequest& request,
                                            base::Deadline deadline) = 0;

  // Runs DEL in reverse order with the configuration and result of the ADD, also of an ADD that
  // failed. Idempotent; OK means that nothing is left, the leases of host-local included. When the
  // namespace is lost, plugins with ipMasq get one that has the addresses of the result, so that
  // they find their rules (stand_in.h). One that fails with it, as bridge does when a reboot has
  // taken the rules, is called without a namespace; only then rules may stay, with a warning in the
  // log. After an error the caller must retry. Only what will never succeed (the plugin refuses its
  // input or leaves a lease, or it is not installed and the network is another one by now) is given
  // up, with a warning, once Options::patience is over: a pod's end does not wait for it for ever.
  virtual absl::Status Detach(const PodNetworkRequest& request, base::Deadline deadline) = 0;

  // Runs GC of the configured network's plugins, if the network has that verb: they free what they
  // keep for attachments that nobody knows any more. Those of `sandbox_ids` are kept even if the
  // cached result of their ADD is lost. Attach() waits meanwhile. Runs all plugins and returns the
  // first error; kUnavailable, without running any, while a pod is being attached.
  virtual absl::Status CollectGarbage(const std::vector<std::string>& sandbox_ids,
                                      base::Deadline deadline) = 0;

  // Reads the configuration directory at every call. Waits for no plugin: the answer of the STATUS
  // verb, where the network has it, is the latest of a probe in the background (status_probe.h).
  virtual NetworkState State() = 0;
};

// The address family that comes first when a pod has both.
enum class IpPreference { kIpv4, kIpv6, kCni };  // kCni: the order of the result

struct Options {
  std::string conf_dir = "/etc/cni/net.d";
  std::vector<std::string> plugin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
  std::string cache_dir = "/var/lib/cni";  // results/ below it is shared with libcni
  IpPreference ip_preference = IpPreference::kIpv4;
  // Plugins that crispd can do itself are not executed (native/engine.h).
  bool native = false;
  // How the paths of cgroup2 directories begin that are made for plugins which run for no pod
  // (STATUS, GC), as plugin_group is for the others. Nobody else makes such. Empty: no groups.
  std::string groups;
  // From the first DEL that cannot succeed until it is given up.
  absl::Duration patience = absl::Minutes(5);
};

std::unique_ptr<Network> NewNetwork(Options options);

}  // namespace crisp::cni
