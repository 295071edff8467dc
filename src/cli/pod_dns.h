// The resolver configuration and the hosts file of a pod, as kubelet makes them. Without a cluster
// ClusterFirst means the machine's resolver, as for a kubelet that knows of no cluster DNS. Pure.
#pragma once

#include <string>

#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

::runtime::v1::DNSConfig DnsMessage(const PodSpec& spec, const Node& node);

// What the pod calls itself: spec.hostname, or its name as far as a host name goes.
std::string HostnameOf(const Pod& pod);

// The text of /etc/hosts. `instance.ips` must be known.
std::string HostsFile(const Pod& pod, const PodInstance& instance, const Node& node);

}  // namespace crisp::cli
