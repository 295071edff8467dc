// IP addresses and prefixes as values. IPv4 and IPv6 side by side; an IPv4 address uses the first
// four bytes. Text is what Go's net package prints, because it becomes file names and results.
// Pure, thread-safe.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace crisp::cni::native {

struct Address {
  bool v6 = false;
  std::array<uint8_t, 16> bytes = {};

  size_t size() const { return v6 ? 16 : 4; }
  absl::string_view data() const { return {reinterpret_cast<const char*>(bytes.data()), size()}; }
  friend auto operator<=>(const Address&, const Address&) = default;
};

// An address and the length of its network's prefix: "10.1.2.3/24".
struct Prefix {
  Address address;
  uint8_t length = 0;

  friend bool operator==(const Prefix&, const Prefix&) = default;
};

// nullopt for everything that is not plainly one address, and for IPv4 in the form of IPv6.
std::optional<Address> ParseAddress(absl::string_view text);
std::optional<Prefix> ParsePrefix(absl::string_view text);
std::string ToString(const Address& address);
std::string ToString(const Prefix& prefix);

// The address after this one; the first again after the last.
Address Next(Address address);
// The bits of the network only.
Address NetworkOf(const Prefix& prefix);
// All other bits set: the broadcast address of an IPv4 network.
Address LastOf(const Prefix& prefix);
// False for an address of the other family.
bool Contains(const Prefix& prefix, const Address& address);

}  // namespace crisp::cni::native
