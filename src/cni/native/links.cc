#include "cni/native/links.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/random.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr uint16_t kMake = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
// "crsp". People give groups small numbers, as in /etc/iproute2/group. All that begin with the "c"
// are marks.
constexpr uint32_t kAbandoned = 0x63727370;
constexpr uint32_t kMarkBits = 0xff000000;  // bits
constexpr char kVeth[] = "veth";
constexpr size_t kVethBytes = 4;

uint8_t FamilyOf(const Address& address) { return address.v6 ? AF_INET6 : AF_INET; }

ifinfomsg LinkHeader(const Link& link) {
  ifinfomsg header = {};
  header.ifi_index = static_cast<int>(link.index);
  return header;
}

absl::string_view BytesOf(const Mac& mac) {
  return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

// Attributes of one message, by type; those that are missing are null.
template <int kMax>
struct Attributes {
  nlattr* by_type[kMax + 1] = {};

  Attributes(nlmsghdr* message, int header_bytes) {
    if (nlmsg_parse(message, header_bytes, by_type, kMax, nullptr) < 0) {
      std::fill(std::begin(by_type), std::end(by_type), nullptr);
    }
  }
  nlattr* operator[](int type) const { return by_type[type]; }
  uint32_t U32(int type) const {
    return by_type[type] != nullptr && nla_len(by_type[type]) >= 4 ? nla_get_u32(by_type[type]) : 0;
  }
};

std::string TextOf(nlattr* attribute) {
  if (attribute == nullptr) return "";
  const absl::string_view bytes(static_cast<const char*>(nla_data(attribute)),
                                static_cast<size_t>(nla_len(attribute)));
  return std::string(bytes.substr(0, bytes.find('\0')));
}

Link ReadLink(nlmsghdr* message) {
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
  const Attributes<IFLA_MAX> attributes(message, sizeof(ifinfomsg));
  Link link;
  link.index = static_cast<uint32_t>(header->ifi_index);
  link.flags = header->ifi_flags;
  link.group = attributes.U32(IFLA_GROUP);
  link.name = TextOf(attributes[IFLA_IFNAME]);
  nlattr* const mac = attributes[IFLA_ADDRESS];
  if (mac != nullptr && nla_len(mac) == static_cast<int>(sizeof(Mac))) {
    link.mac.emplace();
    const auto* bytes = static_cast<const uint8_t*>(nla_data(mac));
    std::copy(bytes, bytes + sizeof(Mac), link.mac->begin());
  }
  nlattr* const state = attributes[IFLA_OPERSTATE];
  link.running = state != nullptr && nla_len(state) >= 1 && nla_get_u8(state) == IF_OPER_UP;
  nlattr* info[IFLA_INFO_MAX + 1] = {};
  if (attributes[IFLA_LINKINFO] != nullptr &&
      nla_parse_nested(info, IFLA_INFO_MAX, attributes[IFLA_LINKINFO], nullptr) >= 0) {
    link.kind = TextOf(info[IFLA_INFO_KIND]);
  }
  return link;
}

std::optional<LinkAddress> ReadAddress(nlmsghdr* message, uint32_t index) {
  const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
  const Attributes<IFA_MAX> attributes(message, sizeof(ifaddrmsg));
  nlattr* const bytes =
      attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  LinkAddress address;
  address.prefix.address.v6 = header->ifa_family == AF_INET6;
  const bool known = header->ifa_family == AF_INET || header->ifa_family == AF_INET6;
  if (!known || header->ifa_index != index || bytes == nullptr ||
      nla_len(bytes) != static_cast<int>(address.prefix.address.size())) {
    return std::nullopt;
  }
  const auto* data = static_cast<const uint8_t*>(nla_data(bytes));
  std::copy(data, data + nla_len(bytes), address.prefix.address.bytes.begin());
  address.prefix.length = header->ifa_prefixlen;
  address.flags = header->ifa_flags | attributes.U32(IFA_FLAGS);
  return address;
}

bool IsVethName(absl::string_view name) {
  return absl::ConsumePrefix(&name, kVeth) && name.size() == 2 * kVethBytes &&
         std::all_of(name.begin(), name.end(), absl::ascii_isxdigit);
}

absl::StatusOr<uint32_t> RandomGroup() {
  uint32_t group = 0;
  if (getrandom(&group, sizeof(group), 0) != sizeof(group)) return base::Errno("getrandom", "");
  return (kAbandoned & kMarkBits) | (group & ~kMarkBits);
}

Message AddressMessage(uint16_t type, uint16_t flags, const Link& link, const Prefix& prefix) {
  ifaddrmsg header = {};
  header.ifa_family = FamilyOf(prefix.address);
  header.ifa_prefixlen = prefix.length;
  header.ifa_index = link.index;
  Message message(type, flags);
  message.Header(header)
      .Put(IFA_LOCAL, prefix.address.data())
      .Put(IFA_ADDRESS, prefix.address.data());
  // A network of two addresses, or of one, has none for broadcasts (RFC 3021).
  if (!prefix.address.v6 && prefix.length < 31) {
    message.Put(IFA_BROADCAST, LastOf(prefix).data());
  }
  return message;
}

}  // namespace

absl::StatusOr<Links> Links::Open(base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open(NETLINK_ROUTE, deadline));
  return Links(std::move(netlink));
}

absl::StatusOr<Link> Links::Find(const std::string& name) {
  Message request(RTM_GETLINK, NLM_F_ACK);
  request.Header(ifinfomsg{}).PutName(IFLA_IFNAME, name);
  Link found;
  CRISP_RETURN_IF_ERROR(netlink_.Do(std::move(request), absl::StrCat("find link ", name),
                                    [&](nlmsghdr* answer) { found = ReadLink(answer); }));
  return found;
}

absl::Status Links::AddBridge(const std::string& name, uint32_t mtu) {
  Message request(RTM_NEWLINK, kMake);
  request.Header(ifinfomsg{}).PutName(IFLA_IFNAME, name);
  if (mtu > 0) request.PutU32(IFLA_MTU, mtu);
  request.Nest(IFLA_LINKINFO, [&] { request.PutName(IFLA_INFO_KIND, "bridge"); });
  return netlink_.Do(std::move(request), absl::StrCat("add bridge ", name));
}

absl::Status Links::AddVeth(const Veth& veth) {
  Message request(RTM_NEWLINK, kMake);
  ifinfomsg up = {};
  up.ifi_flags = IFF_UP;
  up.ifi_change = IFF_UP;
  // The queue's length is that of the plugin, whose netlink library sends 0 unless told otherwise.
  request.Header(up).PutName(IFLA_IFNAME, veth.host_name).PutU32(IFLA_TXQLEN, 0);
  request.PutU32(IFLA_MASTER, veth.bridge);
  if (veth.mtu > 0) request.PutU32(IFLA_MTU, veth.mtu);
  const auto peer = [&] {
    request.Header(ifinfomsg{}).PutName(IFLA_IFNAME, veth.pod_name).PutU32(IFLA_TXQLEN, 0);
    request.PutU32(IFLA_NET_NS_FD, static_cast<uint32_t>(veth.pod_netns));
    if (veth.mtu > 0) request.PutU32(IFLA_MTU, veth.mtu);
    if (veth.pod_mac.has_value()) request.Put(IFLA_ADDRESS, BytesOf(*veth.pod_mac));
  };
  request.Nest(IFLA_LINKINFO, [&] {
    request.PutName(IFLA_INFO_KIND, "veth");
    request.Nest(IFLA_INFO_DATA, [&] { request.Nest(VETH_INFO_PEER, peer); });
  });
  return netlink_.Do(std::move(request), absl::StrCat("add veth ", veth.host_name));
}

absl::Status Links::SetFlags(const Link& link, uint32_t mask, uint32_t flags) {
  ifinfomsg header = LinkHeader(link);
  header.ifi_change = mask;
  header.ifi_flags = flags;
  Message request(RTM_SETLINK, NLM_F_ACK);
  request.Header(header);
  return netlink_.Do(std::move(request), absl::StrCat("set flags of ", link.name));
}

absl::Status Links::SetMac(const Link& link, const Mac& mac) {
  Message request(RTM_SETLINK, NLM_F_ACK);
  request.Header(LinkHeader(link)).Put(IFLA_ADDRESS, BytesOf(mac));
  return netlink_.Do(std::move(request), absl::StrCat("set mac of ", link.name));
}

absl::Status Links::SetPort(const Link& link, absl::string_view what,
                            const std::function<void(Message&)>& fill) {
  ifinfomsg header = LinkHeader(link);
  header.ifi_family = AF_BRIDGE;
  Message request(RTM_SETLINK, NLM_F_ACK);
  request.Header(header).Nest(IFLA_PROTINFO | NLA_F_NESTED, [&] { fill(request); });
  return netlink_.Do(std::move(request), absl::StrCat(what, " of ", link.name));
}

absl::Status Links::SetHairpin(const Link& link) {
  return SetPort(link, "set hairpin mode",
                 [](Message& request) { request.PutU8(IFLA_BRPORT_MODE, 1); });
}

// A closed port is one that forwards only what comes from addresses of the bridge's table, learns
// none, has none there, and gets nothing for addresses that are not there. Kernels that cannot
// lock a port know its state, which a bridge with a spanning tree does not let anybody set.
absl::Status Links::ClosePort(const Link& link) {
  const absl::Status status = SetPort(link, "close port", [](Message& request) {
    for (const int flag : {IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD,
                           IFLA_BRPORT_BCAST_FLOOD}) {
      request.PutU8(flag, 0);
    }
    request.PutU8(IFLA_BRPORT_LOCKED, 1).Put(IFLA_BRPORT_FLUSH, "");
  });
  if (absl::IsNotFound(status) || absl::IsUnimplemented(status)) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(status);
  SetPort(link, "disable port", [](Message& request) {
    request.PutU8(IFLA_BRPORT_STATE, BR_STATE_DISABLED);
  }).IgnoreError();
  return absl::OkStatus();
}

absl::Status Links::Delete(const Link& link) {
  Message request(RTM_DELLINK, NLM_F_ACK);
  request.Header(LinkHeader(link));
  const absl::Status status =
      netlink_.Do(std::move(request), absl::StrCat("delete link ", link.name));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status Links::SetGroup(const Link& link, uint32_t group) {
  Message request(RTM_SETLINK, NLM_F_ACK);
  request.Header(LinkHeader(link)).PutU32(IFLA_GROUP, group);
  const absl::Status status =
      netlink_.Do(std::move(request), absl::StrCat("set group of ", link.name));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status Links::Abandon(const Link& link) { return SetGroup(link, kAbandoned); }

absl::StatusOr<std::vector<Link>> Links::All() {
  Message request(RTM_GETLINK, NLM_F_DUMP);
  request.Header(ifinfomsg{});
  std::vector<Link> links;
  CRISP_RETURN_IF_ERROR(netlink_.Do(std::move(request), "links",
                                    [&](nlmsghdr* answer) { links.push_back(ReadLink(answer)); }));
  return links;
}

// What the kernel is to delete gets a group that no pod can know.
absl::Status Links::DeleteAbandoned() {
  static const absl::StatusOr<uint32_t> chosen = RandomGroup();
  CRISP_RETURN_IF_ERROR(chosen.status());
  CRISP_ASSIGN_OR_RETURN(const std::vector<Link> links, All());
  absl::Status first;
  for (const Link& link : links) {
    const bool marked = (link.group & kMarkBits) == (kAbandoned & kMarkBits);
    if (marked && link.kind == "veth" && IsVethName(link.name))
      first.Update(SetGroup(link, *chosen));
  }
  Message request(RTM_DELLINK, NLM_F_ACK);
  request.Header(ifinfomsg{}).PutU32(IFLA_GROUP, *chosen);
  const absl::Status status = netlink_.Do(std::move(request), "delete links of pods that are gone");
  if (!absl::IsNotFound(status)) first.Update(status);
  return first;
}

absl::StatusOr<std::vector<LinkAddress>> Links::Addresses(const Link& link) {
  ifaddrmsg header = {};
  header.ifa_family = AF_UNSPEC;
  Message request(RTM_GETADDR, NLM_F_DUMP);
  request.Header(header);
  std::vector<LinkAddress> addresses;
  CRISP_RETURN_IF_ERROR(netlink_.Do(std::move(request), absl::StrCat("addresses of ", link.name),
                                    [&](nlmsghdr* answer) {
                                      const auto address = ReadAddress(answer, link.index);
                                      if (address.has_value()) addresses.push_back(*address);
                                    }));
  return addresses;
}

absl::Status Links::AddAddress(const Link& link, const Prefix& prefix) {
  return netlink_.Do(AddressMessage(RTM_NEWADDR, kMake, link, prefix),
                     absl::StrCat("add address ", ToString(prefix), " to ", link.name));
}

absl::Status Links::RemoveAddress(const Link& link, const Prefix& prefix) {
  const absl::Status status =
      netlink_.Do(AddressMessage(RTM_DELADDR, NLM_F_ACK, link, prefix),
                  absl::StrCat("remove address ", ToString(prefix), " from ", link.name));
  // The codes of EADDRNOTAVAIL, and of ENXIO: no address of IPv6 at all.
  const bool missing = absl::IsAlreadyExists(status) || absl::IsNotFound(status);
  return missing ? absl::OkStatus() : status;
}

absl::Status Links::AddRoute(const Link& link, const Route& route) {
  rtmsg header = {};
  header.rtm_family = FamilyOf(route.destination.address);
  header.rtm_dst_len = route.destination.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  // Without NLM_F_EXCL: a second route of IPv6 to one destination is one more path.
  Message request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE);
  request.Header(header).Put(RTA_DST, route.destination.address.data());
  if (route.gateway.has_value()) request.Put(RTA_GATEWAY, route.gateway->data());
  request.PutU32(RTA_OIF, link.index);
  return netlink_.Do(std::move(request),
                     absl::StrCat("add route to ", ToString(route.destination)));
}

absl::StatusOr<std::string> RandomVethName() {
  char bytes[kVethBytes];
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) return base::Errno("getrandom", "");
  return absl::StrCat(kVeth, absl::BytesToHexString({bytes, sizeof(bytes)}));
}

std::string ToString(const Mac& mac) {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                         mac[5]);
}

}  // namespace crisp::cni::native
