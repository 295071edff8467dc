// What the engine answers to ADD, as JSON in version 1.0.0 of the specification. The caller turns
// it into the network's. Pure, thread-safe.
// Source: CNI specification 1.0.0, section 5; types/100 of containernetworking/cni.
#pragma once

#include <string>
#include <vector>

#include "cni/native/conf.h"
#include "cni/native/host_local.h"
#include "cni/native/links.h"

namespace crisp::cni::native {

struct BridgeResult {
  Link bridge;
  Link host;  // the veth's end on the host
  Link pod;
  std::string netns;  // path
  std::vector<Lease> leases;
  std::vector<Route> routes;
  std::string dns;  // JSON
};

std::string EncodeBridgeResult(const BridgeResult& result);

// Of loopback, when no plugin ran before it.
std::string EncodeLoopbackResult(const std::string& netns, const std::vector<Prefix>& addresses);

}  // namespace crisp::cni::native
