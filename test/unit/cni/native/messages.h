// For tests of the messages to nftables: what is in them, as the kernel would find it.
#pragma once

#include <linux/netfilter/nfnetlink.h>

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "cni/native/netlink.h"

namespace crisp::cni::native {

inline std::string Bytes(const nlattr* attribute) {
  return {static_cast<const char*>(nla_data(attribute)), static_cast<size_t>(nla_len(attribute))};
}

// The attribute on the way of `types` through nested ones; of several elements of a list the first.
inline nlattr* At(nlmsghdr* message, std::initializer_list<int> types) {
  nlattr* list = nlmsg_attrdata(message, sizeof(nfgenmsg));
  int length = nlmsg_attrlen(message, sizeof(nfgenmsg));
  nlattr* found = nullptr;
  for (const int type : types) {
    found = nla_find(list, length, type);
    REQUIRE(found != nullptr);
    list = static_cast<nlattr*>(nla_data(found));
    length = nla_len(found);
  }
  return found;
}

inline std::vector<int> Types(std::vector<Message>& batch) {
  std::vector<int> types;
  for (Message& message : batch) {
    CHECK(message.complete());
    types.push_back(message.raw()->nlmsg_type & 0xff);
  }
  return types;
}

}  // namespace crisp::cni::native
