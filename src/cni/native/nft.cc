#include "cni/native/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"

namespace crisp::cni::native::nft {
namespace {

absl::StatusOr<bool> FindTable(Netlink& netlink, const std::string& table) {
  for (const bool v6 : {false, true}) {
    Message find = Request(NFT_MSG_GETTABLE, NLM_F_ACK, v6);
    find.PutName(NFTA_TABLE_NAME, table);
    const absl::Status found = netlink.Do(std::move(find), "nftables: find table");
    if (found.ok()) return true;
    // kInvalidArgument: a kernel without nftables; kUnimplemented: without this family of them.
    if (!absl::IsNotFound(found) && !absl::IsInvalidArgument(found) &&
        !absl::IsUnimplemented(found)) {
      return found;
    }
  }
  return false;
}

constexpr uint8_t kUserDataComment = 0;  // nftnl_udata_set_elem_types

nfgenmsg Family(uint8_t family, uint16_t resource = 0) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}

std::string BytesOf(const nlattr* attribute) {
  return {static_cast<const char*>(nla_data(attribute)), static_cast<size_t>(nla_len(attribute))};
}

// That a verdict leads to; empty when it is none, or none of a chain.
std::string ChainOf(nlattr* data) {
  nlattr* value[NFTA_DATA_MAX + 1] = {};
  nlattr* verdict[NFTA_VERDICT_MAX + 1] = {};
  if (data == nullptr || nla_parse_nested(value, NFTA_DATA_MAX, data, nullptr) < 0 ||
      value[NFTA_DATA_VERDICT] == nullptr ||
      nla_parse_nested(verdict, NFTA_VERDICT_MAX, value[NFTA_DATA_VERDICT], nullptr) < 0 ||
      verdict[NFTA_VERDICT_CHAIN] == nullptr) {
    return "";
  }
  const std::string name = BytesOf(verdict[NFTA_VERDICT_CHAIN]);
  return name.substr(0, name.find('\0'));
}

}  // namespace

Message Request(uint16_t type, uint16_t flags, bool v6) {
  Message message(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags);
  message.Header(Family(v6 ? NFPROTO_IPV6 : NFPROTO_IPV4));
  return message;
}

std::vector<Message> Batch(std::vector<Message> changes, uint32_t generation) {
  std::vector<Message> batch;
  batch.emplace_back(NFNL_MSG_BATCH_BEGIN, 0).Header(Family(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  if (generation != 0) batch.back().PutBe32(NFNL_BATCH_GENID, generation);
  for (Message& change : changes) batch.push_back(std::move(change));
  batch.back().raw()->nlmsg_flags |= NLM_F_ACK;
  batch.emplace_back(NFNL_MSG_BATCH_END, 0).Header(Family(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  return batch;
}

absl::StatusOr<uint32_t> Generation(Netlink& netlink) {
  uint32_t generation = 0;
  CRISP_RETURN_IF_ERROR(netlink.Do(
      Request(NFT_MSG_GETGEN, NLM_F_ACK, false), "nftables: generation", [&](nlmsghdr* answer) {
        nlattr* values[NFTA_GEN_MAX + 1] = {};
        if (nlmsg_parse(answer, sizeof(nfgenmsg), values, NFTA_GEN_MAX, nullptr) >= 0 &&
            values[NFTA_GEN_ID] != nullptr && nla_len(values[NFTA_GEN_ID]) == 4) {
          generation = ntohl(nla_get_u32(values[NFTA_GEN_ID]));
        }
      }));
  return generation;
}

absl::StatusOr<bool> HasTable(SharedNetlink& shared, const std::string& table,
                              base::Deadline deadline) {
  absl::StatusOr<SharedNetlink::Turn> netlink = shared.Take(deadline);
  if (absl::IsUnimplemented(netlink.status())) return false;  // a kernel without such sockets
  CRISP_RETURN_IF_ERROR(netlink.status());
  const absl::StatusOr<bool> found = FindTable(**netlink, table);
  if (netlink->opened() && !found.value_or(false)) netlink->Close();
  return found;
}

std::string NetworkChain(const Prefix& prefix) {
  const std::string network = ToString(Prefix{NetworkOf(prefix), prefix.length});
  return absl::StrCat("network-", absl::StrReplaceAll(network, {{"/", "-"}, {":", "_"}}));
}

std::string Comment(const std::string& text) {
  std::string data(1, static_cast<char>(kUserDataComment));
  data.push_back(static_cast<char>(text.size() + 1));
  data.append(text).push_back('\0');
  return data;
}

void ReadElements(nlmsghdr* answer, const std::string& map, std::vector<Element>& elements) {
  nlattr* list[NFTA_SET_ELEM_LIST_MAX + 1] = {};
  if ((answer->nlmsg_type & 0xff) != NFT_MSG_NEWSETELEM ||
      nlmsg_parse(answer, sizeof(nfgenmsg), list, NFTA_SET_ELEM_LIST_MAX, nullptr) < 0 ||
      list[NFTA_SET_ELEM_LIST_ELEMENTS] == nullptr) {
    return;
  }
  nlattr* entry = nullptr;
  int left = 0;
  nla_for_each_nested(entry, list[NFTA_SET_ELEM_LIST_ELEMENTS], left) {
    nlattr* parts[NFTA_SET_ELEM_MAX + 1] = {};
    nlattr* key[NFTA_DATA_MAX + 1] = {};
    elements.push_back({map});
    if (nla_parse_nested(parts, NFTA_SET_ELEM_MAX, entry, nullptr) < 0) continue;
    if (parts[NFTA_SET_ELEM_USERDATA] != nullptr) {
      elements.back().comment = BytesOf(parts[NFTA_SET_ELEM_USERDATA]);
    }
    if (parts[NFTA_SET_ELEM_KEY] != nullptr &&
        nla_parse_nested(key, NFTA_DATA_MAX, parts[NFTA_SET_ELEM_KEY], nullptr) >= 0 &&
        key[NFTA_DATA_VALUE] != nullptr) {
      elements.back().key = BytesOf(key[NFTA_DATA_VALUE]);
    }
    elements.back().chain = ChainOf(parts[NFTA_SET_ELEM_DATA]);
  }
}

void Expressions::Add(const char* name, const std::function<void()>& fill) {
  message_.Nest(NFTA_LIST_ELEM, [&] {
    message_.PutName(NFTA_EXPR_NAME, name);
    message_.Nest(NFTA_EXPR_DATA, fill);
  });
}

void Expressions::LoadHeader(nft_payload_bases header, uint32_t offset, size_t size, uint32_t to) {
  Add("payload", [&] {
    message_.PutBe32(NFTA_PAYLOAD_DREG, to);
    message_.PutBe32(NFTA_PAYLOAD_BASE, header);
    message_.PutBe32(NFTA_PAYLOAD_OFFSET, offset);
    message_.PutBe32(NFTA_PAYLOAD_LEN, static_cast<uint32_t>(size));
  });
}

void Expressions::LoadMeta(nft_meta_keys what, uint32_t to) {
  Add("meta", [&] {
    message_.PutBe32(NFTA_META_KEY, what);
    message_.PutBe32(NFTA_META_DREG, to);
  });
}

void Expressions::LoadDestinationType() {
  Add("fib", [&] {
    message_.PutBe32(NFTA_FIB_DREG, kRegister);
    message_.PutBe32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    message_.PutBe32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
}

void Expressions::Change(absl::string_view mask, absl::string_view flip) {
  Add("bitwise", [&] {
    message_.PutBe32(NFTA_BITWISE_SREG, kRegister);
    message_.PutBe32(NFTA_BITWISE_DREG, kRegister);
    message_.PutBe32(NFTA_BITWISE_LEN, static_cast<uint32_t>(mask.size()));
    message_.Nest(NFTA_BITWISE_MASK, [&] { message_.Put(NFTA_DATA_VALUE, mask); });
    message_.Nest(NFTA_BITWISE_XOR, [&] { message_.Put(NFTA_DATA_VALUE, flip); });
  });
}

void Expressions::Mask(const Prefix& network) {
  Address ones = {.v6 = network.address.v6};
  ones.bytes.fill(0xff);
  const Address mask = NetworkOf({ones, network.length});
  Change(mask.data(), std::string(mask.size(), '\0'));
}

void Expressions::Compare(nft_cmp_ops how, absl::string_view with) {
  Add("cmp", [&] {
    message_.PutBe32(NFTA_CMP_SREG, kRegister);
    message_.PutBe32(NFTA_CMP_OP, how);
    message_.Nest(NFTA_CMP_DATA, [&] { message_.Put(NFTA_DATA_VALUE, with); });
  });
}

void Expressions::LookUpVerdict(const std::string& map) {
  Add("lookup", [&] {
    message_.PutName(NFTA_LOOKUP_SET, map);
    message_.PutBe32(NFTA_LOOKUP_SREG, kRegister);
    message_.PutBe32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
}

void Expressions::LookUp(const std::string& map) {
  Add("lookup", [&] {
    message_.PutName(NFTA_LOOKUP_SET, map);
    message_.PutBe32(NFTA_LOOKUP_SREG, kRegister);
    message_.PutBe32(NFTA_LOOKUP_DREG, kRegister);
  });
}

void Expressions::SetMark() {
  Add("meta", [&] {
    message_.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    message_.PutBe32(NFTA_META_SREG, kRegister);
  });
}

void Expressions::Accept() {
  Add("immediate", [&] {
    message_.PutBe32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    message_.Nest(NFTA_IMMEDIATE_DATA, [&] {
      message_.Nest(NFTA_DATA_VERDICT, [&] { message_.PutBe32(NFTA_VERDICT_CODE, NF_ACCEPT); });
    });
  });
}

void Expressions::Jump(const std::string& chain) {
  Add("immediate", [&] {
    message_.PutBe32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    message_.Nest(NFTA_IMMEDIATE_DATA, [&] { PutJump(message_, chain); });
  });
}

void Expressions::Masquerade() {
  Add("masq", [] {});
}

void Expressions::DestinationNat(bool v6) {
  Add("nat", [&] {
    message_.PutBe32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    message_.PutBe32(NFTA_NAT_FAMILY, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
    message_.PutBe32(NFTA_NAT_REG_ADDR_MIN, kRegister);
    message_.PutBe32(NFTA_NAT_REG_PROTO_MIN, kRegister + (v6 ? 4 : 1));
  });
}

Message Chain(const std::string& table, bool v6, const std::string& name) {
  Message message = Request(NFT_MSG_NEWCHAIN, kNew, v6);
  message.PutName(NFTA_CHAIN_TABLE, table).PutName(NFTA_CHAIN_NAME, name);
  return message;
}

Message Hook(const std::string& table, bool v6, const std::string& name, uint32_t hook,
             int32_t priority) {
  Message message = Chain(table, v6, name);
  message.Nest(NFTA_CHAIN_HOOK, [&] {
    message.PutBe32(NFTA_HOOK_HOOKNUM, hook);
    message.PutBe32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(priority));
  });
  message.PutBe32(NFTA_CHAIN_POLICY, NF_ACCEPT).PutName(NFTA_CHAIN_TYPE, "nat");
  return message;
}

Message ElementRequest(uint16_t type, uint16_t flags, const std::string& table, bool v6,
                       const std::string& map, absl::string_view key,
                       const std::function<void(Message&)>& fill) {
  Message message = Request(type, flags, v6);
  message.PutName(NFTA_SET_ELEM_LIST_TABLE, table).PutName(NFTA_SET_ELEM_LIST_SET, map);
  message.Nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    message.Nest(NFTA_LIST_ELEM, [&] {
      message.Nest(NFTA_SET_ELEM_KEY, [&] { message.Put(NFTA_DATA_VALUE, key); });
      if (fill) fill(message);
    });
  });
  return message;
}

Message ListRequest(const std::string& table, bool v6, const std::string& map) {
  Message message = Request(NFT_MSG_GETSETELEM, NLM_F_DUMP, v6);
  message.PutName(NFTA_SET_ELEM_LIST_TABLE, table).PutName(NFTA_SET_ELEM_LIST_SET, map);
  return message;
}

Message Rule(const std::string& table, bool v6, const std::string& chain,
             const std::function<void(Expressions&)>& fill) {
  Message message = Request(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, v6);
  message.PutName(NFTA_RULE_TABLE, table).PutName(NFTA_RULE_CHAIN, chain);
  Expressions expressions(message);
  message.Nest(NFTA_RULE_EXPRESSIONS, [&] { fill(expressions); });
  return message;
}

void PutJump(Message& message, const std::string& chain) {
  message.Nest(NFTA_DATA_VERDICT, [&] {
    message.PutBe32(NFTA_VERDICT_CODE, static_cast<uint32_t>(NFT_JUMP));
    message.PutName(NFTA_VERDICT_CHAIN, chain);
  });
}

std::string RegisterBytes(uint32_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

}  // namespace crisp::cni::native::nft
