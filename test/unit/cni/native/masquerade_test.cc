#include "cni/native/masquerade.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <catch2/catch.hpp>

#include "messages.h"

using namespace crisp::cni::native;

TEST_CASE("a pod's element leads to the chain of its network and names the container") {
  const std::string id(64, 'a');
  std::vector<Message> batch = AddBatch(*ParsePrefix("10.1.2.3/16"), id, Missing::kNothing);
  CHECK(Types(batch) ==
        std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWSETELEM, NFNL_MSG_BATCH_END});
  nlmsghdr* const message = batch[1].raw();
  CHECK((message->nlmsg_flags & (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)) ==
        (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL));
  CHECK(static_cast<const nfgenmsg*>(nlmsg_data(message))->nfgen_family == NFPROTO_IPV4);
  CHECK(Bytes(At(message, {NFTA_SET_ELEM_LIST_TABLE})) == std::string("crisp\0", 6));
  CHECK(Bytes(At(message, {NFTA_SET_ELEM_LIST_SET})) == std::string("pods\0", 5));
  const int element = NFTA_SET_ELEM_LIST_ELEMENTS;
  CHECK(Bytes(At(message, {element, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE})) ==
        std::string("\x0a\x01\x02\x03", 4));
  CHECK(Bytes(At(message, {element, NFTA_LIST_ELEM, NFTA_SET_ELEM_DATA, NFTA_DATA_VERDICT,
                           NFTA_VERDICT_CODE})) == std::string("\xff\xff\xff\xfd", 4));  // jump
  CHECK(Bytes(At(message, {element, NFTA_LIST_ELEM, NFTA_SET_ELEM_DATA, NFTA_DATA_VERDICT,
                           NFTA_VERDICT_CHAIN})) == std::string("network-10.1.0.0-16\0", 20));
  // As nft has comments: kind, length with the NUL, text.
  CHECK(Bytes(At(message, {element, NFTA_LIST_ELEM, NFTA_SET_ELEM_USERDATA})) ==
        std::string("\0A", 2) + id + std::string(1, '\0'));
}

TEST_CASE("a new network and a new table come in the same transaction, made and not replaced") {
  const Prefix pod = *ParsePrefix("fd00::5/64");
  std::vector<Message> network = AddBatch(pod, "id", Missing::kNetwork);
  CHECK(Types(network) == std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
                                           NFT_MSG_NEWRULE, NFT_MSG_NEWSETELEM,
                                           NFNL_MSG_BATCH_END});
  CHECK((network[1].raw()->nlmsg_flags & NLM_F_EXCL) != 0);
  CHECK(Bytes(At(network[1].raw(), {NFTA_CHAIN_NAME})) == std::string("network-fd00__-64\0", 18));
  CHECK(static_cast<const nfgenmsg*>(nlmsg_data(network[1].raw()))->nfgen_family == NFPROTO_IPV6);

  std::vector<Message> table = AddBatch(pod, "id", Missing::kTable);
  CHECK(Types(table) == std::vector<int>{NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWTABLE, NFT_MSG_NEWSET,
                                         NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWCHAIN,
                                         NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWSETELEM,
                                         NFNL_MSG_BATCH_END});
  CHECK((table[1].raw()->nlmsg_flags & NLM_F_EXCL) != 0);
  nlmsghdr* const chain = table[3].raw();
  CHECK(Bytes(At(chain, {NFTA_CHAIN_HOOK, NFTA_HOOK_PRIORITY})) == std::string("\0\0\0\x64", 4));
  CHECK(Bytes(At(chain, {NFTA_CHAIN_TYPE})) == std::string("nat\0", 4));
}
