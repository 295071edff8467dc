#include "cni/native/host_ports.h"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr char kPortTable[] = "crisp-ports";
constexpr char kEvery[] = "every";
constexpr char kEverySources[] = "every-sources";
constexpr char kOne[] = "one";
constexpr char kOneSources[] = "one-sources";
constexpr const char* kMaps[] = {kEvery, kEverySources, kOne, kOneSources};
constexpr char kPorts[] = "ports";
constexpr char kMarked[] = "postrouting";
constexpr int32_t kAfterServices = -99;  // NF_IP_PRI_NAT_DST + 1
constexpr int32_t kBeforeExempts = 99;   // NF_IP_PRI_NAT_SRC - 1
constexpr uint32_t kMark = 0x2000;
constexpr uint32_t kRegisterBytes = 4;
constexpr int kTries = 16;  // others may change something during some, not during so many

uint32_t AddressBytes(bool v6) { return v6 ? 16 : 4; }
uint32_t AddressType(bool v6) { return v6 ? nft::kIpv6Type : nft::kIpv4Type; }

// Each part of a key or value fills registers.
std::string Padded(std::string bytes) {
  bytes.resize((bytes.size() + kRegisterBytes - 1) / kRegisterBytes * kRegisterBytes, '\0');
  return bytes;
}

std::string PortBytes(uint16_t port) {
  return Padded({static_cast<char>(port >> 8), static_cast<char>(port & 0xff)});
}

// Not of all addresses of a family.
bool IsOfOne(const HostPort& port) {
  return port.address.has_value() && *port.address != Address{.v6 = port.address->v6};
}

std::string KeyOf(const HostPort& port) {
  return absl::StrCat(IsOfOne(port) ? port.address->data() : "",
                      Padded(std::string(1, static_cast<char>(port.protocol))),
                      PortBytes(port.port));
}

bool LeadsTo(const HostPort& port, const Prefix& pod) {
  return !port.address.has_value() || port.address->v6 == pod.address.v6;
}

Message NewMap(bool v6, bool one, bool sources, uint32_t id) {
  Message message = nft::Request(NFT_MSG_NEWSET, nft::kNew, v6);
  const uint32_t port_type = nft::kProtocolType << 6 | nft::kServiceType;
  message.PutName(NFTA_SET_TABLE, kPortTable)
      .PutName(NFTA_SET_NAME,
               one ? (sources ? kOneSources : kOne) : (sources ? kEverySources : kEvery))
      .PutBe32(NFTA_SET_FLAGS, NFT_SET_MAP)
      .PutBe32(NFTA_SET_KEY_TYPE, one ? AddressType(v6) << 12 | port_type : port_type)
      .PutBe32(NFTA_SET_KEY_LEN, (one ? AddressBytes(v6) : 0) + 2 * kRegisterBytes)
      .PutBe32(NFTA_SET_DATA_TYPE,
               sources ? nft::kVerdictType : AddressType(v6) << 6 | nft::kServiceType)
      .PutBe32(NFTA_SET_DATA_LEN, sources ? 0 : AddressBytes(v6) + kRegisterBytes)
      .PutBe32(NFTA_SET_ID, id);
  return message;
}

// The port that a packet is for, as the keys of the maps have it.
void LoadPort(nft::Expressions& rule, bool v6, bool one) {
  uint32_t to = nft::kRegister;
  if (one) {
    rule.LoadHeader(NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, AddressBytes(v6), to);
    to += AddressBytes(v6) / kRegisterBytes;
  }
  rule.LoadMeta(NFT_META_L4PROTO, to);
  rule.LoadHeader(NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(uint16_t), to + 1);
}

// Its maps come before the rules that look something up in them.
void AddPortTable(bool v6, std::vector<Message>& changes) {
  changes.push_back(nft::Request(NFT_MSG_NEWTABLE, nft::kNew, v6));
  changes.back().PutName(NFTA_TABLE_NAME, kPortTable).PutBe32(NFTA_TABLE_FLAGS, 0);
  uint32_t id = 0;
  for (const bool one : {true, false}) {
    for (const bool sources : {true, false}) changes.push_back(NewMap(v6, one, sources, ++id));
  }
  changes.push_back(nft::Chain(kPortTable, v6, kPorts));
  for (const bool one : {true, false}) {
    changes.push_back(nft::Rule(kPortTable, v6, kPorts, [&](nft::Expressions& rule) {
      LoadPort(rule, v6, one);
      rule.LookUpVerdict(one ? kOneSources : kEverySources);
    }));
    changes.push_back(nft::Rule(kPortTable, v6, kPorts, [&](nft::Expressions& rule) {
      LoadPort(rule, v6, one);
      rule.LookUp(one ? kOne : kEvery);
      rule.DestinationNat(v6);
    }));
  }
  for (const auto& [name, hook] :
       {std::pair<const char*, nf_inet_hooks>{"prerouting", NF_INET_PRE_ROUTING},
        {"output", NF_INET_LOCAL_OUT}}) {
    changes.push_back(nft::Hook(kPortTable, v6, name, hook, kAfterServices));
    changes.push_back(nft::Rule(kPortTable, v6, name, [](nft::Expressions& rule) {
      rule.LoadDestinationType();
      rule.Compare(NFT_CMP_EQ, nft::RegisterBytes(RTN_LOCAL));
      rule.Jump(kPorts);
    }));
  }
}

void AddMasquerading(bool v6, std::vector<Message>& changes) {
  changes.push_back(nft::Hook(kPortTable, v6, kMarked, NF_INET_POST_ROUTING, kBeforeExempts));
  changes.push_back(nft::Rule(kPortTable, v6, kMarked, [](nft::Expressions& rule) {
    rule.LoadMeta(NFT_META_MARK);
    rule.Change(nft::RegisterBytes(kMark), nft::RegisterBytes(0));
    rule.Compare(NFT_CMP_NEQ, nft::RegisterBytes(0));
    rule.Masquerade();
  }));
}

// Marks what comes from the network.
Message MarkRule(const std::string& chain, const Prefix& network) {
  const Address& address = network.address;
  return nft::Rule(kPortTable, address.v6, chain, [&](nft::Expressions& rule) {
    rule.LoadHeader(NFT_PAYLOAD_NETWORK_HEADER, address.v6 ? 8 : 12, address.size());
    rule.Mask(network);
    rule.Compare(NFT_CMP_EQ, NetworkOf(network).data());
    rule.LoadMeta(NFT_META_MARK);
    rule.Change(nft::RegisterBytes(~kMark), nft::RegisterBytes(kMark));
    rule.SetMark();
  });
}

// The answers to pods of the own network would pass the host by, and those to 127.0.0.1 would stay
// in the pod. What comes from ::1 the kernel does not let out of the host.
void AddSources(const Prefix& pod, std::vector<Message>& changes) {
  const std::string chain = nft::NetworkChain(pod);
  changes.push_back(nft::Chain(kPortTable, pod.address.v6, chain));
  changes.push_back(MarkRule(chain, pod));
  if (!pod.address.v6) changes.push_back(MarkRule(chain, *ParsePrefix("127.0.0.1/32")));
}

void AddElements(const HostPort& port, const Prefix& pod, bool snat, const std::string& comment,
                 std::vector<Message>& changes) {
  const auto add = [&](const char* map, const std::function<void(Message&)>& value) {
    changes.push_back(nft::ElementRequest(NFT_MSG_NEWSETELEM, nft::kNew, kPortTable, pod.address.v6,
                                          map, KeyOf(port), [&](Message& message) {
                                            message.Nest(NFTA_SET_ELEM_DATA,
                                                         [&] { value(message); });
                                            message.Put(NFTA_SET_ELEM_USERDATA, comment);
                                          }));
  };
  const bool one = IsOfOne(port);
  add(one ? kOne : kEvery, [&](Message& message) {
    message.Put(NFTA_DATA_VALUE, absl::StrCat(pod.address.data(), PortBytes(port.pod_port)));
  });
  if (!snat) return;
  add(one ? kOneSources : kEverySources,
      [&](Message& message) { nft::PutJump(message, nft::NetworkChain(pod)); });
}

// By another pod than the one of the comment.
bool IsTaken(const HostPort& port, const PortTable& table, const std::string& comment) {
  const std::string key = KeyOf(port);
  return std::any_of(table.elements.begin(), table.elements.end(),
                     [&](const nft::Element& element) {
                       return element.key == key && element.comment != comment;
                     });
}

// What a container has in the table of a family.
class Removal {
 public:
  Removal(const std::string& container_id, bool v6, const PortTables& present) : v6_(v6) {
    const std::string comment = nft::Comment(container_id);
    for (const nft::Element& element : (v6 ? present.v6 : present.v4).elements) {
      // The kernel may list an element twice while it makes its table larger.
      if (element.comment == comment) elements_.emplace(element.map, element.key);
      (element.comment == comment ? chains_ : others_).insert(element.chain);
    }
    others_.insert("");  // of what leads to no chain
  }

  void RemoveElements(std::vector<Message>& changes) const {
    for (const auto& [map, key] : elements_) {
      changes.push_back(nft::ElementRequest(NFT_MSG_DELSETELEM, 0, kPortTable, v6_, map, key));
    }
  }

  // Those that no other container's elements lead to: where each pod is a network of its own, they
  // would become more and more.
  void RemoveChains(std::vector<Message>& changes) const {
    for (const std::string& chain : chains_) {
      if (others_.count(chain) != 0) continue;
      changes.push_back(nft::Request(NFT_MSG_DELCHAIN, 0, v6_));
      changes.back().PutName(NFTA_CHAIN_TABLE, kPortTable).PutName(NFTA_CHAIN_NAME, chain);
    }
  }

 private:
  const bool v6_;
  std::set<std::pair<std::string, std::string>> elements_;  // map and key
  std::set<std::string> chains_;                            // that they lead to
  std::set<std::string> others_;                            // that those of others lead to
};

bool IsMissing(const absl::Status& status) {
  // kUnimplemented: nftables without this family.
  return absl::IsNotFound(status) || absl::IsUnimplemented(status);
}

absl::StatusOr<PortTable> Look(Netlink& netlink, bool v6, const std::set<std::string>& chains) {
  PortTable table;
  for (const char* map : kMaps) {
    const absl::Status listed =
        netlink.Do(nft::ListRequest(kPortTable, v6, map), "nftables: list host ports",
                   [&](nlmsghdr* answer) { nft::ReadElements(answer, map, table.elements); });
    if (IsMissing(listed)) return PortTable();
    CRISP_RETURN_IF_ERROR(listed);
  }
  table.there = true;
  for (const std::string& chain : chains) {
    Message find = nft::Request(NFT_MSG_GETCHAIN, NLM_F_ACK, v6);
    find.PutName(NFTA_CHAIN_TABLE, kPortTable).PutName(NFTA_CHAIN_NAME, chain);
    const absl::Status found = netlink.Do(std::move(find), absl::StrCat("nftables: find ", chain));
    if (absl::IsNotFound(found)) continue;
    CRISP_RETURN_IF_ERROR(found);
    table.chains.insert(chain);
  }
  return table;
}

// Of the families of the pod's addresses, or of both without a pod.
absl::StatusOr<PortTables> LookAtAll(Netlink& netlink, const std::vector<Prefix>& pod) {
  PortTables tables;
  for (const bool v6 : {false, true}) {
    std::set<std::string> chains;
    for (const Prefix& prefix : pod) {
      if (prefix.address.v6 == v6) chains = {kMarked, nft::NetworkChain(prefix)};
    }
    if (!pod.empty() && chains.empty()) continue;
    PortTable& table = v6 ? tables.v6 : tables.v4;
    CRISP_ASSIGN_OR_RETURN(table, Look(netlink, v6, chains));
  }
  return tables;
}

// Makes the changes that `plan` builds on what there is. If something has changed meanwhile, the
// kernel makes none, and all is done again. kUnimplemented on a kernel without nftables.
absl::Status ChangePorts(Netlink& netlink, const std::vector<Prefix>& pod,
                         const std::function<std::vector<Message>(const PortTables&)>& plan) {
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    const absl::StatusOr<uint32_t> generation = nft::Generation(netlink);
    if (absl::IsInvalidArgument(generation.status())) {
      return absl::UnimplementedError(generation.status().message());
    }
    CRISP_RETURN_IF_ERROR(generation.status());
    CRISP_ASSIGN_OR_RETURN(const PortTables present, LookAtAll(netlink, pod));
    std::vector<Message> changes = plan(present);
    if (changes.empty()) return absl::OkStatus();
    status = netlink.DoAll(nft::Batch(std::move(changes), *generation), "nftables: host ports");
    if (!absl::IsUnknown(status)) break;
  }
  return status;
}

}  // namespace

std::vector<Message> RemovePorts(const std::string& container_id, const PortTables& present,
                                 bool with_chains) {
  std::vector<Message> changes;
  for (const bool v6 : {false, true}) {
    const Removal removal(container_id, v6, present);
    removal.RemoveElements(changes);
    if (with_chains) removal.RemoveChains(changes);
  }
  return changes;
}

std::optional<std::vector<Message>> AddPorts(const PortmapConf& conf,
                                             const std::string& container_id,
                                             const PortTables& present) {
  const std::string comment = nft::Comment(container_id);
  std::vector<Message> changes;
  for (const bool v6 : {false, true}) Removal(container_id, v6, present).RemoveElements(changes);
  for (const Prefix& pod : conf.pod) {
    const bool v6 = pod.address.v6;
    const PortTable& table = v6 ? present.v6 : present.v4;
    std::vector<HostPort> ports = conf.ports;
    ports.erase(std::remove_if(ports.begin(), ports.end(),
                               [&](const HostPort& port) { return !LeadsTo(port, pod); }),
                ports.end());
    if (ports.empty()) continue;
    if (!table.there) AddPortTable(v6, changes);
    if (conf.snat && table.chains.count(kMarked) == 0) AddMasquerading(v6, changes);
    if (conf.snat && table.chains.count(nft::NetworkChain(pod)) == 0) AddSources(pod, changes);
    for (const HostPort& port : ports) {
      if (IsTaken(port, table, comment)) return std::nullopt;
      AddElements(port, pod, conf.snat, comment, changes);
    }
  }
  return changes;
}

absl::StatusOr<bool> HostPorts::Add(const PortmapConf& conf, const std::string& container_id,
                                    base::Deadline deadline) {
  const absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (absl::IsUnimplemented(netlink.status())) return false;  // a kernel without such sockets
  CRISP_RETURN_IF_ERROR(netlink.status());
  bool taken = false;
  const absl::Status status = ChangePorts(**netlink, conf.pod, [&](const PortTables& present) {
    std::optional<std::vector<Message>> changes = AddPorts(conf, container_id, present);
    taken = !changes.has_value();
    return taken ? std::vector<Message>() : *std::move(changes);
  });
  if (IsMissing(status)) return false;
  CRISP_RETURN_IF_ERROR(status);
  return !taken;
}

absl::StatusOr<bool> HostPorts::Remove(const std::string& container_id, base::Deadline deadline) {
  absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (absl::IsUnimplemented(netlink.status())) return false;
  CRISP_RETURN_IF_ERROR(netlink.status());
  bool found = false;
  absl::Status status;
  for (const bool with_chains : {true, false}) {
    status = ChangePorts(**netlink, {}, [&](const PortTables& present) {
      std::vector<Message> changes = RemovePorts(container_id, present, with_chains);
      found = found || !changes.empty();
      return changes;
    });
    if (!absl::IsFailedPrecondition(status)) break;  // EBUSY: a rule of somebody else leads there
  }
  // An engine that is switched off only asks, and is to hold nothing open.
  if (netlink->opened() && !found) netlink->Close();
  if (absl::IsUnimplemented(status)) return false;
  CRISP_RETURN_IF_ERROR(status);
  return found;
}

absl::StatusOr<bool> HostPorts::HasTables(base::Deadline deadline) {
  return nft::HasTable(netlink_, kPortTable, deadline);
}

void HostPorts::RemoveUnusedTables(base::Deadline deadline) {
  const absl::StatusOr<SharedNetlink::Turn> netlink = netlink_.Take(deadline);
  if (!netlink.ok()) return;
  ChangePorts(**netlink, {}, [](const PortTables& present) {
    std::vector<Message> changes;
    for (const bool v6 : {false, true}) {
      const PortTable& table = v6 ? present.v6 : present.v4;
      if (!table.there || !table.elements.empty()) continue;
      changes.push_back(nft::Request(NFT_MSG_DELTABLE, 0, v6));
      changes.back().PutName(NFTA_TABLE_NAME, kPortTable);
    }
    return changes;
  }).IgnoreError();
}

}  // namespace crisp::cni::native
