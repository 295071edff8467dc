// Messages of nftables: transactions, and the expressions that rules are made of. Whoever has a
// table makes them; nothing here sends any. Pure, thread-safe.
// Source: <linux/netfilter/nf_tables.h>; `nft --debug=netlink` shows the expressions of a rule.
#pragma once

#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cni/native/address.h"
#include "cni/native/netlink.h"
#include "cni/native/shared_netlink.h"

namespace crisp::cni::native::nft {

// What the elements of maps lead to, and nft's own numbers of types, for `nft list`. A key or value
// of several parts has six bits for each, and each part fills registers.
inline constexpr uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT
inline constexpr uint32_t kIpv4Type = 7;
inline constexpr uint32_t kIpv6Type = 8;
inline constexpr uint32_t kProtocolType = 12;
inline constexpr uint32_t kServiceType = 13;

// Flags of a request that makes something which must not be there yet.
inline constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;

// A request about a table of the family: NFT_MSG_*.
Message Request(uint16_t type, uint16_t flags, bool v6);

// The changes as a transaction: the kernel makes all or none. It answers the last one, and those
// that are wrong: an answer to each of many would not fit into the socket. With a generation, it
// makes none either if anything in nftables has changed since, and says ERESTART (kUnknown).
std::vector<Message> Batch(std::vector<Message> changes, uint32_t generation = 0);

// The kernel counts changes; 0 when it does not say.
absl::StatusOr<uint32_t> Generation(Netlink& netlink);

// The name of a chain for a network: "network-10.1.0.0-16".
std::string NetworkChain(const Prefix& prefix);

// A comment as `nft list` shows it, for NFTA_SET_ELEM_USERDATA. At most 128 bytes.
std::string Comment(const std::string& text);

struct Element {
  std::string map;
  std::string key = "";
  std::string comment = "";  // as of Comment(); empty without one
  std::string chain = "";    // that it leads to, if it is one of a verdict map
};
// Appends the elements of one answer to NFT_MSG_GETSETELEM.
void ReadElements(nlmsghdr* answer, const std::string& map, std::vector<Element>& elements);

// Registers have four bytes, and what is longer goes on in the next ones.
inline constexpr uint32_t kRegister = NFT_REG32_00;

// Expressions of a rule, in the order in which the kernel does them. One that does not match ends
// the rule.
class Expressions {
 public:
  // Of a message that is inside NFTA_RULE_EXPRESSIONS.
  explicit Expressions(Message& message) : message_(message) {}

  // `size` bytes of a packet's header, into the registers from `to` on.
  void LoadHeader(nft_payload_bases header, uint32_t offset, size_t size, uint32_t to = kRegister);
  void LoadMeta(nft_meta_keys what, uint32_t to = kRegister);
  // What the packet's destination is for the host, RTN_*.
  void LoadDestinationType();
  // (bits & mask) ^ flip.
  void Change(absl::string_view mask, absl::string_view flip);
  // Keeps what is of the network's bits.
  void Mask(const Prefix& network);
  void Compare(nft_cmp_ops how, absl::string_view with);
  // In a map, and does what it leads to.
  void LookUpVerdict(const std::string& map);
  // In a map; what it leads to is in the registers then.
  void LookUp(const std::string& map);
  void SetMark();
  void Accept();
  void Jump(const std::string& chain);
  void Masquerade();
  // To the address, and the port behind it, in the registers.
  void DestinationNat(bool v6);

 private:
  void Add(const char* name, const std::function<void()>& fill);
  Message& message_;
};

// A request that makes a chain that other chains jump to.
Message Chain(const std::string& table, bool v6, const std::string& name);
// A request that makes a chain for NAT.
Message Hook(const std::string& table, bool v6, const std::string& name, uint32_t hook,
             int32_t priority);

// A request about one element of a map; `fill` adds what is more than its key.
Message ElementRequest(uint16_t type, uint16_t flags, const std::string& table, bool v6,
                       const std::string& map, absl::string_view key,
                       const std::function<void(Message&)>& fill = nullptr);

// Whether there is a table of this name, of IPv4 or IPv6. False on a kernel without nftables. The
// socket stays open only if there is one: an engine that is switched off is to hold nothing.
absl::StatusOr<bool> HasTable(SharedNetlink& shared, const std::string& table,
                              base::Deadline deadline);

// A request for all elements of a map.
Message ListRequest(const std::string& table, bool v6, const std::string& map);

// A request that appends a rule.
Message Rule(const std::string& table, bool v6, const std::string& chain,
             const std::function<void(Expressions&)>& fill);

// What an element or an immediate expression has for "jump to the chain", inside an attribute.
void PutJump(Message& message, const std::string& chain);

// A number as registers have it, which is the machine's order of bytes.
std::string RegisterBytes(uint32_t number);

}  // namespace crisp::cni::native::nft
