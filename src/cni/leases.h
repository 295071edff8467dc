// What is left of the addresses that an IPAM plugin has reserved, after DEL. Thread-safe: no state.
// Source: containernetworking/plugins 1.1.1, plugins/ipam/host-local/backend/disk.
#pragma once

#include "absl/status/status.h"
#include "cni/cache.h"
#include "cni/conf.h"

namespace crisp::cni {

// kUnavailable when a lease of the attachment is still there: a DEL that says it has succeeded and
// leaves an address reserved would use up the range. kResourceExhausted when it cannot be looked,
// for want of a descriptor. Either way DEL is to be tried again.
absl::Status CheckLeases(const NetworkConf& network, const CacheEntry& entry);

}  // namespace crisp::cni
