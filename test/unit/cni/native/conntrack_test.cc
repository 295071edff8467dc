#include "cni/native/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "messages.h"

using namespace crisp::cni::native;

namespace {

void PutPort(Message& message, int type, uint16_t port) {
  const uint16_t bytes = htons(port);
  message.Put(type, {reinterpret_cast<const char*>(&bytes), sizeof(bytes)});
}

// As the kernel lists a flow: from port 5000 to `port`, which NAT has changed to 53.
Message Flow(uint8_t protocol, uint16_t port, bool zone = false) {
  Message flow(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, NLM_F_MULTI);
  flow.Header(nfgenmsg{.nfgen_family = AF_INET, .version = 0, .res_id = 0});
  for (const int tuple : {CTA_TUPLE_ORIG, CTA_TUPLE_REPLY}) {
    flow.Nest(tuple | NLA_F_NESTED, [&] {
      flow.Nest(CTA_TUPLE_IP | NLA_F_NESTED, [&] {
        flow.Put(CTA_IP_V4_SRC, "\x0a\x01\x01\x01").Put(CTA_IP_V4_DST, "\x0a\x01\x01\x02");
      });
      flow.Nest(CTA_TUPLE_PROTO | NLA_F_NESTED, [&] {
        flow.PutU8(CTA_PROTO_NUM, protocol);
        PutPort(flow, CTA_PROTO_SRC_PORT, tuple == CTA_TUPLE_ORIG ? 5000 : 53);
        PutPort(flow, CTA_PROTO_DST_PORT, tuple == CTA_TUPLE_ORIG ? port : 5000);
      });
    });
  }
  flow.PutBe32(CTA_STATUS, 0x18e).PutBe32(CTA_TIMEOUT, 29).PutBe32(CTA_ID, 0xabcdef01);
  if (zone) flow.Put(CTA_ZONE, absl::string_view("\0\x03", 2));
  return flow;
}

}  // namespace

TEST_CASE("a flow of UDP to a host port is forgotten, by what tells it from others") {
  Message flow = Flow(IPPROTO_UDP, 8053, true);
  REQUIRE(flow.complete());
  std::optional<Message> request = ForgetRequest(flow.raw(), {53000, 8053});
  REQUIRE(request.has_value());
  CHECK(request->complete());
  nlmsghdr* const raw = request->raw();
  CHECK(raw->nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE));
  CHECK((raw->nlmsg_flags & (NLM_F_REQUEST | NLM_F_ACK)) == (NLM_F_REQUEST | NLM_F_ACK));
  CHECK((raw->nlmsg_flags & NLM_F_DUMP) == 0);
  CHECK(static_cast<const nfgenmsg*>(nlmsg_data(raw))->nfgen_family == AF_INET);
  for (const int part : {CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE}) {
    CHECK(Bytes(At(raw, {part})) == Bytes(At(flow.raw(), {part})));
  }
  // Without the tuple the kernel would forget all flows.
  CHECK(Bytes(At(raw, {CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT})) == "\x1f\x75");
}

TEST_CASE("flows of other protocols and to other ports stay") {
  CHECK_FALSE(ForgetRequest(Flow(IPPROTO_TCP, 8053).raw(), {8053}).has_value());
  CHECK_FALSE(ForgetRequest(Flow(IPPROTO_UDP, 8054).raw(), {8053}).has_value());
  CHECK_FALSE(ForgetRequest(Flow(IPPROTO_UDP, 8053).raw(), {53, 5000}).has_value());
  Message empty(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, 0);
  empty.Header(nfgenmsg{.nfgen_family = AF_INET, .version = 0, .res_id = 0});
  CHECK_FALSE(ForgetRequest(empty.raw(), {8053, 0}).has_value());
}
