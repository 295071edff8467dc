// The configurations that the engine does itself: what the plugins bridge (with the IPAM plugin
// host-local), loopback and portmap get on standard input. The decoders take a configuration only
// when each of its options is one that the engine has, and right. For all others they say nullopt:
// the plugin is executed, which does what it asks for or says what is wrong with it. Pure,
// thread-safe.
// Source: containernetworking/plugins 1.1.1: plugins/main/{bridge,loopback}, plugins/ipam,
// plugins/meta/portmap.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cni/native/address.h"

namespace crisp::cni::native {

struct Route {
  Prefix destination;
  std::optional<Address> gateway;
};

using Mac = std::array<uint8_t, 6>;

// All fields are set, and `start` to `end` (both inclusive) is in the subnet.
struct Range {
  Prefix subnet;
  Address start;
  Address end;
  Address gateway;  // never leased
};
// Of one family and without overlap; a pod gets one address from each set.
using RangeSet = std::vector<Range>;

struct HostLocalConf {
  std::string directory;  // <dataDir>/<network>
  std::vector<RangeSet> sets;
  std::vector<Address> requested;  // by runtimeConfig or args
  std::vector<Route> routes;
};

// What ADD has answered, as far as DEL needs it.
struct Attached {
  std::vector<Prefix> addresses;
  std::string host_link;  // name of the veth's end on the host; empty when it is not known
};

struct BridgeConf {
  std::string network;
  std::string bridge;
  bool is_gateway = false;  // also when isDefaultGateway is set
  bool is_default_gateway = false;
  bool force_address = false;
  bool ip_masq = false;
  bool hairpin = false;
  bool promiscuous = false;
  uint32_t mtu = 0;        // 0: the kernel's
  std::optional<Mac> mac;  // of the pod's interface
  std::string dns = "{}";  // JSON, for the result
  HostLocalConf ipam;
  Attached attached;  // prevResult; empty without
};

std::optional<BridgeConf> DecodeBridge(absl::string_view json);

struct LoopbackConf {
  std::string prev_result;  // JSON; empty without
};

std::optional<LoopbackConf> DecodeLoopback(absl::string_view json);

// A port of the host that leads to one of the pod.
struct HostPort {
  uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP
  uint16_t port = 0;     // not 0; pod_port neither
  uint16_t pod_port = 0;
  // Of the host. Empty: every one; 0.0.0.0 or "::": every one of that family.
  std::optional<Address> address;
};

struct PortmapConf {
  bool snat = true;             // what needs it is masqueraded
  std::vector<HostPort> ports;  // no packet is meant by two of them
  std::vector<Prefix> pod;      // by prevResult, at most one of each family
  std::string prev_result;      // JSON; empty without
};

std::optional<PortmapConf> DecodePortmap(absl::string_view json);

}  // namespace crisp::cni::native
