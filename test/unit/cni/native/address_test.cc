#include "cni/native/address.h"

#include <catch2/catch.hpp>

using namespace crisp::cni::native;

TEST_CASE("addresses and prefixes are printed as Go prints them") {
  for (const char* text : {"10.1.2.3/24", "0.0.0.0/0", "::/0", "fd00::5/64", "fe80::1:0:0:1/10",
                           "2001:db8:0:1:1:1:1:1/128", "255.255.255.255/32", "::1/128"}) {
    const auto prefix = ParsePrefix(text);
    INFO(text);
    REQUIRE(prefix.has_value());
    CHECK(ToString(*prefix) == text);
  }
  CHECK(ToString(*ParseAddress("FD00:0:0:0:0:0:0:0A")) == "fd00::a");
}

TEST_CASE("text that is not plainly an address or prefix is left to the plugin") {
  for (const char* text : {"", "10.1.2", "10.1.2.3 ", "010.1.2.3", "10.1.2.3/24", "fd00:::1",
                           "::ffff:10.1.2.3", "::10.1.2.3", "host"}) {
    INFO(text);
    CHECK_FALSE(ParseAddress(text).has_value());
  }
  for (const char* text : {"10.1.2.3", "10.1.2.3/", "10.1.2.3/33", "10.1.2.3/+8", "10.1.2.3/-1",
                           "10.1.2.3/ 8", "fd00::/129", "10.1.2.3/24/24", "10.1.2.3/0008"}) {
    INFO(text);
    CHECK_FALSE(ParsePrefix(text).has_value());
  }
}

TEST_CASE("the next address carries, and a network has a first and a last one") {
  CHECK(ToString(Next(*ParseAddress("10.1.2.255"))) == "10.1.3.0");
  CHECK(ToString(Next(*ParseAddress("fd00::ffff"))) == "fd00::1:0");
  const Prefix v4 = *ParsePrefix("10.1.2.77/20");
  CHECK(ToString(NetworkOf(v4)) == "10.1.0.0");
  CHECK(ToString(LastOf(v4)) == "10.1.15.255");
  CHECK(ToString(LastOf(*ParsePrefix("fd00::/120"))) == "fd00::ff");
  CHECK(Contains(v4, *ParseAddress("10.1.15.1")));
  CHECK_FALSE(Contains(v4, *ParseAddress("10.1.16.1")));
  CHECK(Contains(*ParsePrefix("0.0.0.0/0"), *ParseAddress("10.1.16.1")));
  CHECK_FALSE(Contains(*ParsePrefix("0.0.0.0/0"), *ParseAddress("fd00::1")));
}
