#include "cni/native/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <vector>

#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

Message FlowRequest(uint16_t type, uint16_t flags, uint8_t family) {
  Message message(static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type), flags);
  message.Header(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(0)});
  return message;
}

// The port that the flow's first packet was sent to; 0 for what is not of UDP.
uint16_t PortOf(nlattr* tuple) {
  nlattr* parts[CTA_TUPLE_MAX + 1] = {};
  nlattr* protocol[CTA_PROTO_MAX + 1] = {};
  if (nla_parse_nested(parts, CTA_TUPLE_MAX, tuple, nullptr) < 0 ||
      parts[CTA_TUPLE_PROTO] == nullptr ||
      nla_parse_nested(protocol, CTA_PROTO_MAX, parts[CTA_TUPLE_PROTO], nullptr) < 0 ||
      protocol[CTA_PROTO_NUM] == nullptr || nla_len(protocol[CTA_PROTO_NUM]) != 1 ||
      protocol[CTA_PROTO_DST_PORT] == nullptr || nla_len(protocol[CTA_PROTO_DST_PORT]) != 2) {
    return 0;
  }
  if (nla_get_u8(protocol[CTA_PROTO_NUM]) != IPPROTO_UDP) return 0;
  return ntohs(nla_get_u16(protocol[CTA_PROTO_DST_PORT]));
}

}  // namespace

std::optional<Message> ForgetRequest(nlmsghdr* flow, const std::set<uint16_t>& ports) {
  nlattr* parts[CTA_MAX + 1] = {};
  if (nlmsg_parse(flow, sizeof(nfgenmsg), parts, CTA_MAX, nullptr) < 0 ||
      parts[CTA_TUPLE_ORIG] == nullptr || ports.count(PortOf(parts[CTA_TUPLE_ORIG])) == 0) {
    return std::nullopt;
  }
  Message request = FlowRequest(IPCTNL_MSG_CT_DELETE, NLM_F_ACK,
                                static_cast<const nfgenmsg*>(nlmsg_data(flow))->nfgen_family);
  // What tells it from others, as the kernel has told it.
  for (const int part : {CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID}) {
    if (parts[part] == nullptr) continue;
    request.Put(part == CTA_TUPLE_ORIG ? part | NLA_F_NESTED : part,
                {static_cast<const char*>(nla_data(parts[part])),
                 static_cast<size_t>(nla_len(parts[part]))});
  }
  return request;
}

absl::Status ForgetFlows(const std::set<uint16_t>& ports, bool v6, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(Netlink list, Netlink::Open(NETLINK_NETFILTER, deadline));
  // Another socket, because the list has not ended yet: it may be too long to be kept.
  CRISP_ASSIGN_OR_RETURN(Netlink forget, Netlink::Open(NETLINK_NETFILTER, deadline));
  absl::Status first;
  const auto take = [&](nlmsghdr* flow) {
    std::optional<Message> request = ForgetRequest(flow, ports);
    if (!request.has_value()) return;
    const absl::Status done = forget.Do(*std::move(request), "conntrack: forget a flow");
    if (!absl::IsNotFound(done)) first.Update(done);
  };
  // Not by Do(), which keeps all of it before it is read.
  std::vector<Message> requests;
  requests.push_back(FlowRequest(IPCTNL_MSG_CT_GET, NLM_F_DUMP, v6 ? AF_INET6 : AF_INET));
  CRISP_RETURN_IF_ERROR(list.DoAll(std::move(requests), "conntrack: list flows", take));
  return first;
}

}  // namespace crisp::cni::native
