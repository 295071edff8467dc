#include "cni/native/masquerade.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr char kTable[] = "crisp";
constexpr char kPods[] = "pods";
constexpr char kPostrouting[] = "postrouting";
constexpr uint32_t kSourceNat = 100;           // NF_IP_PRI_NAT_SRC
constexpr uint8_t kUserDataComment = 0;        // nftnl_udata_set_elem_types
constexpr uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT
constexpr uint32_t kIpv4Type = 7;              // nft's own numbers, for `nft list`: ipv4_addr
constexpr uint32_t kIpv6Type = 8;
constexpr uint16_t kNew = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
constexpr int kRounds = 4;

uint8_t NftFamily(const Address& address) { return address.v6 ? NFPROTO_IPV6 : NFPROTO_IPV4; }

nfgenmsg Family(uint8_t family, uint16_t resource = 0) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}

Message Change(uint16_t type, uint16_t flags, const Address& address) {
  Message message(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags);
  message.Header(Family(NftFamily(address)));
  return message;
}

// Between a begin and an end, the kernel makes all changes or none. With a generation, none either
// if anything has changed since.
std::vector<Message> Batch(std::vector<Message> changes, uint32_t generation = 0) {
  std::vector<Message> batch;
  for (const uint16_t type : {NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END}) {
    Message edge(type, 0);
    edge.Header(Family(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    if (type == NFNL_MSG_BATCH_BEGIN) {
      if (generation != 0) edge.PutBe32(NFNL_BATCH_GENID, generation);
      batch.push_back(std::move(edge));
      for (Message& change : changes) batch.push_back(std::move(change));
    } else {
      batch.push_back(std::move(edge));
    }
  }
  return batch;
}

std::string ChainOf(const Prefix& prefix) {
  const std::string network = ToString(Prefix{NetworkOf(prefix), prefix.length});
  return absl::StrCat("network-", absl::StrReplaceAll(network, {{"/", "-"}, {":", "_"}}));
}

// Expressions of a rule (nft --debug=netlink shows them in this order and form).
class Expressions {
 public:
  explicit Expressions(Message& message) : message_(message) {}

  void LoadAddress(uint32_t offset, size_t size) {
    Add("payload", [&] {
      message_.PutBe32(NFTA_PAYLOAD_DREG, NFT_REG_1);
      message_.PutBe32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
      message_.PutBe32(NFTA_PAYLOAD_OFFSET, offset);
      message_.PutBe32(NFTA_PAYLOAD_LEN, static_cast<uint32_t>(size));
    });
  }
  // Keeps the bits of the network.
  void Mask(const Prefix& prefix) {
    Address ones = {.v6 = prefix.address.v6};
    ones.bytes.fill(0xff);
    const std::string zeros(ones.size(), '\0');
    const Address mask = NetworkOf({ones, prefix.length});
    Add("bitwise", [&] {
      message_.PutBe32(NFTA_BITWISE_SREG, NFT_REG_1);
      message_.PutBe32(NFTA_BITWISE_DREG, NFT_REG_1);
      message_.PutBe32(NFTA_BITWISE_LEN, static_cast<uint32_t>(zeros.size()));
      message_.Nest(NFTA_BITWISE_MASK, [&] { message_.Put(NFTA_DATA_VALUE, mask.data()); });
      message_.Nest(NFTA_BITWISE_XOR, [&] { message_.Put(NFTA_DATA_VALUE, zeros); });
    });
  }
  void Compare(nft_cmp_ops how, const Address& address) {
    Add("cmp", [&] {
      message_.PutBe32(NFTA_CMP_SREG, NFT_REG_1);
      message_.PutBe32(NFTA_CMP_OP, how);
      message_.Nest(NFTA_CMP_DATA, [&] { message_.Put(NFTA_DATA_VALUE, address.data()); });
    });
  }
  void LookUpVerdict() {
    Add("lookup", [&] {
      message_.PutName(NFTA_LOOKUP_SET, kPods);
      message_.PutBe32(NFTA_LOOKUP_SREG, NFT_REG_1);
      message_.PutBe32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
    });
  }
  void Accept() {
    Add("immediate", [&] {
      message_.PutBe32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      message_.Nest(NFTA_IMMEDIATE_DATA, [&] {
        message_.Nest(NFTA_DATA_VERDICT, [&] { message_.PutBe32(NFTA_VERDICT_CODE, NF_ACCEPT); });
      });
    });
  }
  void Masquerade() {
    Add("masq", [] {});
  }

 private:
  void Add(const char* name, const std::function<void()>& fill) {
    message_.Nest(NFTA_LIST_ELEM, [&] {
      message_.PutName(NFTA_EXPR_NAME, name);
      message_.Nest(NFTA_EXPR_DATA, fill);
    });
  }
  Message& message_;
};

Message RuleMessage(const Address& family, const std::string& chain,
                    const std::function<void(Expressions&)>& fill) {
  Message message = Change(NFT_MSG_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND, family);
  message.PutName(NFTA_RULE_TABLE, kTable).PutName(NFTA_RULE_CHAIN, chain);
  Expressions expressions(message);
  message.Nest(NFTA_RULE_EXPRESSIONS, [&] { fill(expressions); });
  return message;
}

uint32_t SourceOffset(const Address& address) { return address.v6 ? 8 : 12; }
uint32_t DestinationOffset(const Address& address) { return address.v6 ? 24 : 16; }

Prefix Multicast(const Address& address) {
  return *ParsePrefix(address.v6 ? "ff00::/8" : "224.0.0.0/4");
}

void AddTable(const Address& address, std::vector<Message>& batch) {
  batch.push_back(Change(NFT_MSG_NEWTABLE, kNew, address));
  batch.back().PutName(NFTA_TABLE_NAME, kTable).PutBe32(NFTA_TABLE_FLAGS, 0);
  batch.push_back(Change(NFT_MSG_NEWSET, kNew, address));
  batch.back()
      .PutName(NFTA_SET_TABLE, kTable)
      .PutName(NFTA_SET_NAME, kPods)
      .PutBe32(NFTA_SET_FLAGS, NFT_SET_MAP)
      .PutBe32(NFTA_SET_KEY_TYPE, address.v6 ? kIpv6Type : kIpv4Type)
      .PutBe32(NFTA_SET_KEY_LEN, static_cast<uint32_t>(address.size()))
      .PutBe32(NFTA_SET_DATA_TYPE, kVerdictType)
      .PutBe32(NFTA_SET_DATA_LEN, 0)
      .PutBe32(NFTA_SET_ID, 1);
  batch.push_back(Change(NFT_MSG_NEWCHAIN, kNew, address));
  Message& chain = batch.back();
  chain.PutName(NFTA_CHAIN_TABLE, kTable).PutName(NFTA_CHAIN_NAME, kPostrouting);
  chain.Nest(NFTA_CHAIN_HOOK, [&] {
    chain.PutBe32(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
    chain.PutBe32(NFTA_HOOK_PRIORITY, kSourceNat);
  });
  chain.PutBe32(NFTA_CHAIN_POLICY, NF_ACCEPT).PutName(NFTA_CHAIN_TYPE, "nat");
  batch.push_back(RuleMessage(address, kPostrouting, [&](Expressions& rule) {
    rule.LoadAddress(SourceOffset(address), address.size());
    rule.LookUpVerdict();
  }));
}

void AddNetwork(const Prefix& prefix, std::vector<Message>& batch) {
  const Address& address = prefix.address;
  const std::string name = ChainOf(prefix);
  batch.push_back(Change(NFT_MSG_NEWCHAIN, kNew, address));
  batch.back().PutName(NFTA_CHAIN_TABLE, kTable).PutName(NFTA_CHAIN_NAME, name);
  batch.push_back(RuleMessage(address, name, [&](Expressions& rule) {
    rule.LoadAddress(DestinationOffset(address), address.size());
    rule.Mask(prefix);
    rule.Compare(NFT_CMP_EQ, NetworkOf(prefix));
    rule.Accept();
  }));
  const Prefix multicast = Multicast(address);
  batch.push_back(RuleMessage(address, name, [&](Expressions& rule) {
    rule.LoadAddress(DestinationOffset(address), address.size());
    rule.Mask(multicast);
    rule.Compare(NFT_CMP_NEQ, multicast.address);
    rule.Masquerade();
  }));
}

// A message about the element of an address; `fill` adds what is more than its key.
Message ElementMessage(uint16_t type, uint16_t flags, const Address& address,
                       const std::function<void(Message&)>& fill = nullptr) {
  Message message = Change(type, flags, address);
  message.PutName(NFTA_SET_ELEM_LIST_TABLE, kTable).PutName(NFTA_SET_ELEM_LIST_SET, kPods);
  message.Nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    message.Nest(NFTA_LIST_ELEM, [&] {
      message.Nest(NFTA_SET_ELEM_KEY, [&] { message.Put(NFTA_DATA_VALUE, address.data()); });
      if (fill) fill(message);
    });
  });
  return message;
}

std::string Comment(const std::string& text) {
  std::string data(1, static_cast<char>(kUserDataComment));
  data.push_back(static_cast<char>(text.size() + 1));  // IsIdentifier: at most 128 bytes
  data.append(text).push_back('\0');
  return data;
}

Message NewElement(const Prefix& prefix, const std::string& container_id) {
  return ElementMessage(NFT_MSG_NEWSETELEM, kNew, prefix.address, [&](Message& message) {
    message.Nest(NFTA_SET_ELEM_DATA, [&] {
      message.Nest(NFTA_DATA_VERDICT, [&] {
        message.PutBe32(NFTA_VERDICT_CODE, static_cast<uint32_t>(NFT_JUMP));
        message.PutName(NFTA_VERDICT_CHAIN, ChainOf(prefix));
      });
    });
    message.Put(NFTA_SET_ELEM_USERDATA, Comment(container_id));
  });
}

Message OldElement(const Address& address) {
  return ElementMessage(NFT_MSG_DELSETELEM, NLM_F_ACK, address);
}

// The comments of the elements in an answer; an empty one for an element without.
void ReadComments(nlmsghdr* answer, std::vector<std::string>& comments) {
  nlattr* list[NFTA_SET_ELEM_LIST_MAX + 1] = {};
  if ((answer->nlmsg_type & 0xff) != NFT_MSG_NEWSETELEM ||
      nlmsg_parse(answer, sizeof(nfgenmsg), list, NFTA_SET_ELEM_LIST_MAX, nullptr) < 0 ||
      list[NFTA_SET_ELEM_LIST_ELEMENTS] == nullptr) {
    return;
  }
  nlattr* entry = nullptr;
  int left = 0;
  nla_for_each_nested(entry, list[NFTA_SET_ELEM_LIST_ELEMENTS], left) {
    nlattr* element[NFTA_SET_ELEM_MAX + 1] = {};
    comments.emplace_back();
    if (nla_parse_nested(element, NFTA_SET_ELEM_MAX, entry, nullptr) < 0) continue;
    nlattr* const data = element[NFTA_SET_ELEM_USERDATA];
    if (data == nullptr) continue;
    comments.back().assign(static_cast<const char*>(nla_data(data)),
                           static_cast<size_t>(nla_len(data)));
  }
}

// The kernel counts changes; 0 when it does not say. Then a table that was not needed stays.
absl::StatusOr<uint32_t> Generation(Netlink& netlink) {
  uint32_t generation = 0;
  CRISP_RETURN_IF_ERROR(netlink.Do(
      Change(NFT_MSG_GETGEN, NLM_F_ACK, {}), "nftables: generation", [&](nlmsghdr* answer) {
        nlattr* values[NFTA_GEN_MAX + 1] = {};
        if (nlmsg_parse(answer, sizeof(nfgenmsg), values, NFTA_GEN_MAX, nullptr) >= 0 &&
            values[NFTA_GEN_ID] != nullptr && nla_len(values[NFTA_GEN_ID]) == 4) {
          generation = ntohl(nla_get_u32(values[NFTA_GEN_ID]));
        }
      }));
  return generation;
}

// If anything is changed between the look and the removal, the kernel refuses, and it is looked
// again.
void RemoveTableIfEmpty(Netlink& netlink, const Address& family) {
  for (int round = 0; round < kRounds; ++round) {
    const absl::StatusOr<uint32_t> generation = Generation(netlink);
    if (!generation.ok() || *generation == 0) return;
    Message list = Change(NFT_MSG_GETSETELEM, NLM_F_DUMP, family);
    list.PutName(NFTA_SET_ELEM_LIST_TABLE, kTable).PutName(NFTA_SET_ELEM_LIST_SET, kPods);
    std::vector<std::string> comments;
    const absl::Status listed =
        netlink.Do(std::move(list), "nftables: list elements",
                   [&](nlmsghdr* answer) { ReadComments(answer, comments); });
    if (!listed.ok() || !comments.empty()) return;
    std::vector<Message> changes;
    changes.push_back(Change(NFT_MSG_DELTABLE, NLM_F_ACK, family));
    changes.back().PutName(NFTA_TABLE_NAME, kTable);
    if (netlink.DoAll(Batch(std::move(changes), *generation), "nftables: delete table").ok()) {
      return;
    }
  }
}

absl::Status RemoveElement(Netlink& netlink, const Address& address) {
  std::vector<Message> changes;
  changes.push_back(OldElement(address));
  const absl::Status status = netlink.DoAll(Batch(std::move(changes)),
                                            absl::StrCat("nftables: remove ", ToString(address)));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

// kInvalidArgument: a kernel without nftables.
bool IsNone(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status);
}

absl::StatusOr<bool> HasElement(Netlink& netlink, const Address& address,
                                const std::string& container_id) {
  std::vector<std::string> comments;
  const absl::Status status = netlink.Do(ElementMessage(NFT_MSG_GETSETELEM, NLM_F_ACK, address),
                                         absl::StrCat("nftables: find ", ToString(address)),
                                         [&](nlmsghdr* answer) { ReadComments(answer, comments); });
  if (IsNone(status)) return false;
  CRISP_RETURN_IF_ERROR(status);
  return comments == std::vector<std::string>{Comment(container_id)};
}

}  // namespace

std::vector<Message> AddBatch(const Prefix& address, const std::string& container_id,
                              Missing missing) {
  std::vector<Message> changes;
  if (missing == Missing::kTable) AddTable(address.address, changes);
  if (missing != Missing::kNothing) AddNetwork(address, changes);
  changes.push_back(NewElement(address, container_id));
  return Batch(std::move(changes));
}

absl::Status Masquerading::Add(const Prefix& address, const std::string& container_id,
                               base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const SharedNetlink::Turn netlink, netlink_.Take(deadline));
  absl::Status status;
  // Others may make or remove the table meanwhile, but not in each round.
  for (int round = 0; round < kRounds; ++round) {
    for (const Missing missing : {Missing::kNothing, Missing::kNetwork, Missing::kTable}) {
      status = netlink->DoAll(AddBatch(address, container_id, missing),
                              absl::StrCat("nftables: masquerade ", ToString(address)));
      if (!absl::IsNotFound(status)) break;
    }
    const bool left_behind =
        absl::IsAlreadyExists(status) || absl::IsFailedPrecondition(status);  // EEXIST, EBUSY
    if (!left_behind && !absl::IsNotFound(status)) return status;
    // Whoever has the lease has the address, whatever was left behind.
    CRISP_RETURN_IF_ERROR(RemoveElement(*netlink, address.address));
  }
  return status;
}

absl::StatusOr<bool> Masquerading::Has(const Address& address, const std::string& container_id,
                                       base::Deadline deadline) {
  absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (absl::IsUnimplemented(netlink.status())) return false;  // a kernel without such sockets
  CRISP_RETURN_IF_ERROR(netlink.status());
  const absl::StatusOr<bool> has = HasElement(**netlink, address, container_id);
  // An engine that is switched off only asks, and is to hold nothing open.
  if (netlink->opened() && !has.value_or(false)) netlink->Close();
  return has;
}

absl::StatusOr<bool> Masquerading::HasTables(base::Deadline deadline) {
  absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (absl::IsUnimplemented(netlink.status())) return false;
  CRISP_RETURN_IF_ERROR(netlink.status());
  bool any = false;
  for (const bool v6 : {false, true}) {
    Message request = Change(NFT_MSG_GETTABLE, NLM_F_ACK, {.v6 = v6});
    request.PutName(NFTA_TABLE_NAME, kTable);
    const absl::Status status = (*netlink)->Do(std::move(request), "nftables: find table");
    if (!status.ok() && !IsNone(status)) return status;
    any = any || status.ok();
  }
  if (netlink->opened() && !any) netlink->Close();
  return any;
}

absl::Status Masquerading::Remove(const Address& address, const std::string& container_id,
                                  base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const SharedNetlink::Turn netlink, netlink_.Take(deadline));
  CRISP_ASSIGN_OR_RETURN(const bool mine, HasElement(*netlink, address, container_id));
  return mine ? RemoveElement(*netlink, address) : absl::OkStatus();
}

void Masquerading::RemoveUnusedTables(base::Deadline deadline) {
  const absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (!netlink.ok()) return;
  for (const bool v6 : {false, true}) RemoveTableIfEmpty(**netlink, {.v6 = v6});
}

}  // namespace crisp::cni::native
