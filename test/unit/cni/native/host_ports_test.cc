#include "cni/native/host_ports.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <map>

#include "base/errno.h"
#include "messages.h"

using namespace crisp::cni::native;

namespace {

const std::string kPort8080 = std::string("\x06\0\0\0\x1f\x90\0\0", 8);  // TCP, as maps have it

PortmapConf Conf(std::vector<HostPort> ports, std::vector<std::string> pod) {
  PortmapConf conf;
  conf.ports = std::move(ports);
  for (const std::string& prefix : pod) conf.pod.push_back(*ParsePrefix(prefix));
  return conf;
}

HostPort Port(uint16_t port, const std::string& address = "", uint8_t protocol = IPPROTO_TCP) {
  return {protocol, port, 80,
          address.empty() ? std::nullopt : std::optional(*ParseAddress(address))};
}

// Of a host where such a pod has been before.
PortTables Present(std::vector<nft::Element> v4 = {}, std::vector<nft::Element> v6 = {}) {
  return {{true, {"postrouting", "network-10.1.0.0-16"}, std::move(v4)},
          {true, {"postrouting", "network-fd00__-64"}, std::move(v6)}};
}

// What an element in a request is: "ip every", its key, what it leads to, its comment.
struct Put {
  std::string map;
  std::string key;
  std::string value;  // of verdicts the chain
  std::string comment;
};
Put PutOf(Message& message) {
  nlmsghdr* const raw = message.raw();
  CHECK(Bytes(At(raw, {NFTA_SET_ELEM_LIST_TABLE})) == std::string("crisp-ports\0", 12));
  const uint8_t family = static_cast<const nfgenmsg*>(nlmsg_data(raw))->nfgen_family;
  Put put;
  put.map = std::string(family == NFPROTO_IPV6 ? "ip6 " : "ip ") +
            Bytes(At(raw, {NFTA_SET_ELEM_LIST_SET})).c_str();
  const int list = NFTA_SET_ELEM_LIST_ELEMENTS;
  put.key = Bytes(At(raw, {list, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE}));
  if ((raw->nlmsg_type & 0xff) != NFT_MSG_NEWSETELEM) return put;
  nlattr* const data = At(raw, {list, NFTA_LIST_ELEM, NFTA_SET_ELEM_DATA});
  nlattr* const value =
      nla_find(static_cast<nlattr*>(nla_data(data)), nla_len(data), NFTA_DATA_VALUE);
  put.value = value != nullptr ? Bytes(value)
                               : Bytes(At(raw, {list, NFTA_LIST_ELEM, NFTA_SET_ELEM_DATA,
                                                NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN}))
                                     .c_str();
  put.comment = Bytes(At(raw, {list, NFTA_LIST_ELEM, NFTA_SET_ELEM_USERDATA}));
  return put;
}

// How many elements each map gets.
std::map<std::string, int> Counts(std::vector<Message>& changes) {
  std::map<std::string, int> counts;
  for (Message& change : changes) {
    if ((change.raw()->nlmsg_type & 0xff) == NFT_MSG_NEWSETELEM) ++counts[PutOf(change).map];
  }
  return counts;
}

// The names of a rule's expressions.
std::vector<std::string> ExpressionsOf(Message& rule) {
  std::vector<std::string> names;
  nlattr* entry = nullptr;
  int left = 0;
  nla_for_each_nested(entry, At(rule.raw(), {NFTA_RULE_EXPRESSIONS}), left) {
    names.emplace_back(
        Bytes(nla_find(static_cast<nlattr*>(nla_data(entry)), nla_len(entry), NFTA_EXPR_NAME))
            .c_str());
  }
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a port of the host leads to the pod, and sources of its network are marked") {
  auto changes = AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "pod1", Present());
  REQUIRE(changes.has_value());
  REQUIRE(Types(*changes) == std::vector<int>{NFT_MSG_NEWSETELEM, NFT_MSG_NEWSETELEM});
  for (Message& change : *changes) CHECK((change.raw()->nlmsg_flags & NLM_F_EXCL) != 0);
  const Put target = PutOf((*changes)[0]);
  CHECK(target.map == "ip every");
  CHECK(target.key == kPort8080);
  CHECK(target.value == std::string("\x0a\x01\x02\x03\0\x50\0\0", 8));
  CHECK(target.comment == std::string("\0\x05pod1\0", 7));
  const Put sources = PutOf((*changes)[1]);
  CHECK(sources.map == "ip every-sources");
  CHECK(sources.key == kPort8080);
  CHECK(sources.value == "network-10.1.0.0-16");
  CHECK(sources.comment == target.comment);
}

TEST_CASE("a port of one address of the host has the address in its key, in a map of its own") {
  auto v4 = AddPorts(Conf({Port(8080, "192.0.2.1", IPPROTO_UDP)}, {"10.1.2.3/16"}), "p", Present());
  REQUIRE(v4.has_value());
  CHECK(Counts(*v4) == std::map<std::string, int>{{"ip one", 1}, {"ip one-sources", 1}});
  CHECK(PutOf((*v4)[0]).key == std::string("\xc0\0\x02\x01\x11\0\0\0\x1f\x90\0\0", 12));

  auto v6 =
      AddPorts(Conf({Port(8080, "2001:db8::1", IPPROTO_SCTP)}, {"fd00::5/64"}), "p", Present());
  REQUIRE(v6.has_value());
  const Put put = PutOf((*v6)[0]);
  CHECK(put.map == "ip6 one");
  CHECK(put.key == std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                               "\x84\0\0\0\x1f\x90\0\0",
                               24));
  CHECK(put.value == std::string("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x50\0\0", 20));
}

TEST_CASE("each of a pod's addresses gets the ports of its family") {
  auto changes = AddPorts(
      Conf({Port(1), Port(2, "0.0.0.0"), Port(3, "192.0.2.1"), Port(4, "::"), Port(5, "2001::1")},
           {"10.1.2.3/16", "fd00::5/64"}),
      "p", Present());
  REQUIRE(changes.has_value());
  CHECK(Counts(*changes) == std::map<std::string, int>{{"ip every", 2},
                                                       {"ip every-sources", 2},
                                                       {"ip one", 1},
                                                       {"ip one-sources", 1},
                                                       {"ip6 every", 2},
                                                       {"ip6 every-sources", 2},
                                                       {"ip6 one", 1},
                                                       {"ip6 one-sources", 1}});
  // A port of an address that the pod's family cannot have makes nothing.
  auto other = AddPorts(Conf({Port(4, "::")}, {"10.1.2.3/16"}), "p", {});
  REQUIRE(other.has_value());
  CHECK(other->empty());
}

TEST_CASE("what is missing of the table comes first, in the same transaction") {
  auto changes = AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "p", {});
  REQUIRE(changes.has_value());
  REQUIRE(Types(*changes) ==
          std::vector<int>{NFT_MSG_NEWTABLE,   NFT_MSG_NEWSET,    NFT_MSG_NEWSET,   NFT_MSG_NEWSET,
                           NFT_MSG_NEWSET,     NFT_MSG_NEWCHAIN,  NFT_MSG_NEWRULE,  NFT_MSG_NEWRULE,
                           NFT_MSG_NEWRULE,    NFT_MSG_NEWRULE,   NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
                           NFT_MSG_NEWCHAIN,   NFT_MSG_NEWRULE,                     // both hooks
                           NFT_MSG_NEWCHAIN,   NFT_MSG_NEWRULE,                     // postrouting
                           NFT_MSG_NEWCHAIN,   NFT_MSG_NEWRULE,   NFT_MSG_NEWRULE,  // the network
                           NFT_MSG_NEWSETELEM, NFT_MSG_NEWSETELEM});
  CHECK(ExpressionsOf((*changes)[6]) == Names{"payload", "meta", "payload", "lookup"});
  CHECK(ExpressionsOf((*changes)[7]) == Names{"payload", "meta", "payload", "lookup", "nat"});
  CHECK(ExpressionsOf((*changes)[9]) == Names{"meta", "payload", "lookup", "nat"});
  CHECK(ExpressionsOf((*changes)[11]) == Names{"fib", "cmp", "immediate"});
  CHECK(ExpressionsOf((*changes)[15]) == Names{"meta", "bitwise", "cmp", "masq"});
  const Names marks = {"payload", "bitwise", "cmp", "meta", "bitwise", "meta"};
  CHECK(ExpressionsOf((*changes)[17]) == marks);
  const auto priority = [&](size_t at) {
    return Bytes(At((*changes)[at].raw(), {NFTA_CHAIN_HOOK, NFTA_HOOK_PRIORITY}));
  };
  CHECK(priority(10) == std::string("\xff\xff\xff\x9d", 4));  // -99
  CHECK(priority(14) == std::string("\0\0\0\x63", 4));        // 99
  // A network of which there was no pod.
  PortTables present = Present();
  present.v4.chains = {"postrouting"};
  changes = AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "p", present);
  REQUIRE(changes.has_value());
  CHECK(Types(*changes) == std::vector<int>{NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE,
                                            NFT_MSG_NEWSETELEM, NFT_MSG_NEWSETELEM});
}

TEST_CASE("without snat nothing is marked and nothing masqueraded") {
  PortmapConf conf = Conf({Port(8080)}, {"10.1.2.3/16"});
  conf.snat = false;
  auto changes = AddPorts(conf, "p", {});
  REQUIRE(changes.has_value());
  CHECK(Counts(*changes) == std::map<std::string, int>{{"ip every", 1}});
  for (Message& change : *changes) {
    if ((change.raw()->nlmsg_type & 0xff) != NFT_MSG_NEWRULE) continue;
    for (const std::string& name : ExpressionsOf(change)) CHECK(name != "masq");
  }
}

TEST_CASE("a port that another pod has is left alone, one of the same container is replaced") {
  const PortmapConf conf = Conf({Port(80), Port(8080)}, {"10.1.2.3/16", "fd00::5/64"});
  CHECK_FALSE(
      AddPorts(conf, "p", Present({{"every", kPort8080, nft::Comment("other")}})).has_value());
  CHECK_FALSE(
      AddPorts(conf, "p", Present({}, {{"every", kPort8080, nft::Comment("other")}})).has_value());
  CHECK_FALSE(AddPorts(conf, "p", Present({{"every", kPort8080, ""}})).has_value());
  auto again = AddPorts(conf, "p", Present({{"every", kPort8080, nft::Comment("p")}}));
  REQUIRE(again.has_value());
  CHECK((*again)[0].raw()->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM));
  CHECK(Counts(*again).at("ip every") == 2);
}

TEST_CASE("what a container has is found by its id alone, in both families") {
  const std::string mine = nft::Comment("pod1");
  auto changes = RemovePorts(
      "pod1", Present({{"every", kPort8080, mine},
                       {"every-sources", kPort8080, mine},
                       {"every", std::string("\x06\0\0\0\0\x50\0\0", 8), nft::Comment("pod11")}},
                      {{"one", std::string(24, 'k'), mine}}));
  REQUIRE(Types(changes) ==
          std::vector<int>{NFT_MSG_DELSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_DELSETELEM});
  CHECK(PutOf(changes[0]).map == "ip every");
  CHECK(PutOf(changes[0]).key == kPort8080);
  CHECK(PutOf(changes[1]).map == "ip every-sources");
  CHECK(PutOf(changes[2]).map == "ip6 one");
  CHECK(RemovePorts("pod2", Present({{"every", kPort8080, mine}})).empty());
}

TEST_CASE("the chain of a network goes with the last element that leads to it") {
  const std::string mine = nft::Comment("pod1");
  const nft::Element port = {"every", kPort8080, mine, ""};
  const nft::Element sources = {"every-sources", kPort8080, mine, "network-10.1.0.5-32"};
  auto changes = RemovePorts("pod1", Present({port, sources}));
  REQUIRE(Types(changes) ==
          std::vector<int>{NFT_MSG_DELSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_DELCHAIN});
  CHECK(Bytes(At(changes[2].raw(), {NFTA_CHAIN_NAME})).c_str() == sources.chain);
  nft::Element others = sources;
  others.key[3] = 'x';
  others.comment = nft::Comment("pod2");
  changes = RemovePorts("pod1", Present({port, sources, others}));
  CHECK(Types(changes) == std::vector<int>{NFT_MSG_DELSETELEM, NFT_MSG_DELSETELEM});
  // An ADD that replaces what the container had goes on to use the chain.
  const auto again =
      AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "pod1",
               Present({port, {"every-sources", kPort8080, mine, "network-10.1.0.0-16"}}));
  REQUIRE(again.has_value());
  for (const Message& change : *again) {
    CHECK((const_cast<Message&>(change).raw()->nlmsg_type & 0xff) != NFT_MSG_DELCHAIN);
  }
}

TEST_CASE("elements are read as they were written") {
  auto changes = AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "pod1", Present());
  REQUIRE(changes.has_value());
  std::vector<nft::Element> elements;
  for (Message& change : *changes) nft::ReadElements(change.raw(), "a map", elements);
  REQUIRE(elements.size() == 2);
  for (const nft::Element& element : elements) {
    CHECK(element.map == "a map");
    CHECK(element.key == kPort8080);
    CHECK(element.comment == nft::Comment("pod1"));
  }
  CHECK(elements[0].chain.empty());
  CHECK(elements[1].chain == "network-10.1.0.0-16");
}

TEST_CASE("as many ports as a pod may have fit into one transaction") {
  std::vector<HostPort> ports;
  for (uint16_t port = 1; port <= 200; ++port) ports.push_back(Port(port));
  auto changes = AddPorts(Conf(ports, {"10.1.2.3/16", "fd00::5/64"}), std::string(64, 'a'), {});
  REQUIRE(changes.has_value());
  CHECK(Counts(*changes).at("ip6 every-sources") == 200);
  size_t bytes = 0;
  for (Message& message : nft::Batch(*std::move(changes), 7)) {
    CHECK(message.complete());
    bytes += NLMSG_ALIGN(message.raw()->nlmsg_len);
  }
  CHECK(bytes < 212992 - 32);  // the kernel's default of net.core.wmem_default
}

TEST_CASE("of a transaction the last change is answered, and the generation is asked for") {
  auto changes = AddPorts(Conf({Port(8080)}, {"10.1.2.3/16"}), "pod1", {});
  REQUIRE(changes.has_value());
  std::vector<Message> batch = nft::Batch(*std::move(changes), 7);
  CHECK(Bytes(At(batch[0].raw(), {NFNL_BATCH_GENID})) == std::string("\0\0\0\x07", 4));
  for (size_t i = 0; i < batch.size(); ++i) {
    CHECK(((batch[i].raw()->nlmsg_flags & NLM_F_ACK) != 0) == (i + 2 == batch.size()));
  }
  // What tells the kernel's "something has changed" from its other answers.
  CHECK(absl::IsUnknown(crisp::base::Errno("batch", "", ERESTART)));
  for (const int other : {ENOENT, EEXIST, EBUSY, EINVAL, EOPNOTSUPP, ENOMEM, EPERM}) {
    CHECK_FALSE(absl::IsUnknown(crisp::base::Errno("batch", "", other)));
  }
}
