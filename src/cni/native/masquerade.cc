#include "cni/native/masquerade.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cni/native/nft.h"

namespace crisp::cni::native {
namespace {

constexpr char kTable[] = "crisp";
constexpr char kPods[] = "pods";
constexpr char kPostrouting[] = "postrouting";
constexpr int32_t kSourceNat = 100;  // NF_IP_PRI_NAT_SRC
constexpr int kRounds = 4;

uint32_t SourceOffset(bool v6) { return v6 ? 8 : 12; }
uint32_t DestinationOffset(bool v6) { return v6 ? 24 : 16; }

Prefix Multicast(bool v6) { return *ParsePrefix(v6 ? "ff00::/8" : "224.0.0.0/4"); }

void AddTable(const Address& address, std::vector<Message>& batch) {
  batch.push_back(nft::Request(NFT_MSG_NEWTABLE, nft::kNew, address.v6));
  batch.back().PutName(NFTA_TABLE_NAME, kTable).PutBe32(NFTA_TABLE_FLAGS, 0);
  batch.push_back(nft::Request(NFT_MSG_NEWSET, nft::kNew, address.v6));
  batch.back()
      .PutName(NFTA_SET_TABLE, kTable)
      .PutName(NFTA_SET_NAME, kPods)
      .PutBe32(NFTA_SET_FLAGS, NFT_SET_MAP)
      .PutBe32(NFTA_SET_KEY_TYPE, address.v6 ? nft::kIpv6Type : nft::kIpv4Type)
      .PutBe32(NFTA_SET_KEY_LEN, static_cast<uint32_t>(address.size()))
      .PutBe32(NFTA_SET_DATA_TYPE, nft::kVerdictType)
      .PutBe32(NFTA_SET_DATA_LEN, 0)
      .PutBe32(NFTA_SET_ID, 1);
  batch.push_back(nft::Hook(kTable, address.v6, kPostrouting, NF_INET_POST_ROUTING, kSourceNat));
  batch.push_back(nft::Rule(kTable, address.v6, kPostrouting, [&](nft::Expressions& rule) {
    rule.LoadHeader(NFT_PAYLOAD_NETWORK_HEADER, SourceOffset(address.v6), address.size());
    rule.LookUpVerdict(kPods);
  }));
}

void AddNetwork(const Prefix& prefix, std::vector<Message>& batch) {
  const Address& address = prefix.address;
  const std::string name = nft::NetworkChain(prefix);
  const uint32_t destination = DestinationOffset(address.v6);
  batch.push_back(nft::Chain(kTable, address.v6, name));
  batch.push_back(nft::Rule(kTable, address.v6, name, [&](nft::Expressions& rule) {
    rule.LoadHeader(NFT_PAYLOAD_NETWORK_HEADER, destination, address.size());
    rule.Mask(prefix);
    rule.Compare(NFT_CMP_EQ, NetworkOf(prefix).data());
    rule.Accept();
  }));
  const Prefix multicast = Multicast(address.v6);
  batch.push_back(nft::Rule(kTable, address.v6, name, [&](nft::Expressions& rule) {
    rule.LoadHeader(NFT_PAYLOAD_NETWORK_HEADER, destination, address.size());
    rule.Mask(multicast);
    rule.Compare(NFT_CMP_NEQ, multicast.address.data());
    rule.Masquerade();
  }));
}

// A request about the element of an address.
Message ElementMessage(uint16_t type, uint16_t flags, const Address& address,
                       const std::function<void(Message&)>& fill = nullptr) {
  return nft::ElementRequest(type, flags, kTable, address.v6, kPods, address.data(), fill);
}

Message NewElement(const Prefix& prefix, const std::string& container_id) {
  return ElementMessage(NFT_MSG_NEWSETELEM, nft::kNew, prefix.address, [&](Message& message) {
    message.Nest(NFTA_SET_ELEM_DATA, [&] { nft::PutJump(message, nft::NetworkChain(prefix)); });
    message.Put(NFTA_SET_ELEM_USERDATA, nft::Comment(container_id));
  });
}

// If anything is changed between the look and the removal, the kernel refuses, and it is looked
// again. Where the kernel does not count changes, a table that was not needed stays.
void RemoveTableIfEmpty(Netlink& netlink, bool v6) {
  for (int round = 0; round < kRounds; ++round) {
    const absl::StatusOr<uint32_t> generation = nft::Generation(netlink);
    if (!generation.ok() || *generation == 0) return;
    std::vector<nft::Element> elements;
    const absl::Status listed =
        netlink.Do(nft::ListRequest(kTable, v6, kPods), "nftables: list elements",
                   [&](nlmsghdr* answer) { nft::ReadElements(answer, kPods, elements); });
    if (!listed.ok() || !elements.empty()) return;
    std::vector<Message> changes;
    changes.push_back(nft::Request(NFT_MSG_DELTABLE, 0, v6));
    changes.back().PutName(NFTA_TABLE_NAME, kTable);
    if (netlink.DoAll(nft::Batch(std::move(changes), *generation), "nftables: delete table").ok()) {
      return;
    }
  }
}

absl::Status RemoveElement(Netlink& netlink, const Address& address) {
  std::vector<Message> changes;
  changes.push_back(ElementMessage(NFT_MSG_DELSETELEM, 0, address));
  const absl::Status status = netlink.DoAll(nft::Batch(std::move(changes)),
                                            absl::StrCat("nftables: remove ", ToString(address)));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

// kInvalidArgument: a kernel without nftables.
bool IsNone(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status);
}

absl::StatusOr<bool> HasElement(Netlink& netlink, const Address& address,
                                const std::string& container_id) {
  std::vector<nft::Element> elements;
  const absl::Status status =
      netlink.Do(ElementMessage(NFT_MSG_GETSETELEM, NLM_F_ACK, address),
                 absl::StrCat("nftables: find ", ToString(address)),
                 [&](nlmsghdr* answer) { nft::ReadElements(answer, kPods, elements); });
  if (IsNone(status)) return false;
  CRISP_RETURN_IF_ERROR(status);
  return elements.size() == 1 && elements[0].comment == nft::Comment(container_id);
}

}  // namespace

std::vector<Message> AddBatch(const Prefix& address, const std::string& container_id,
                              Missing missing) {
  std::vector<Message> changes;
  if (missing == Missing::kTable) AddTable(address.address, changes);
  if (missing != Missing::kNothing) AddNetwork(address, changes);
  changes.push_back(NewElement(address, container_id));
  return nft::Batch(std::move(changes));
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
  return nft::HasTable(netlink_, kTable, deadline);
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
  for (const bool v6 : {false, true}) RemoveTableIfEmpty(**netlink, v6);
}

}  // namespace crisp::cni::native
