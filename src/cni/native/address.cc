#include "cni/native/address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace crisp::cni::native {
namespace {

// Of the byte `at`, the bits that belong to the network.
uint8_t MaskByte(uint8_t length, size_t at) {
  const int bits = std::clamp(static_cast<int>(length) - static_cast<int>(at * 8), 0, 8);
  return static_cast<uint8_t>(0xff << (8 - bits));
}

// IPv4 in IPv6 (RFC 4291, 2.5.5), which Go takes for IPv4 and prints in another form.
bool IsEmbeddedIpv4(const Address& address) {
  const auto is_zero = [](uint8_t byte) { return byte == 0; };
  const auto from = address.bytes.begin();
  // Not "::" and "::1".
  return address.v6 && std::all_of(from, from + 10, is_zero) &&
         !std::all_of(from + 10, from + 14, is_zero);
}

}  // namespace

std::optional<Address> ParseAddress(absl::string_view text) {
  const std::string copy(text);
  if (copy.find('\0') != std::string::npos) return std::nullopt;
  Address address = {.v6 = copy.find(':') != std::string::npos};
  if (inet_pton(address.v6 ? AF_INET6 : AF_INET, copy.c_str(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  if (IsEmbeddedIpv4(address)) return std::nullopt;
  return address;
}

std::optional<Prefix> ParsePrefix(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const std::optional<Address> address = ParseAddress(text.substr(0, slash));
  const absl::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  if (!address.has_value() || digits.empty() || digits.size() > 3 ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &length) || length > address->size() * 8) {
    return std::nullopt;
  }
  return Prefix{*address, static_cast<uint8_t>(length)};
}

std::string ToString(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof(text));
}

std::string ToString(const Prefix& prefix) {
  return absl::StrCat(ToString(prefix.address), "/", prefix.length);
}

Address Next(Address address) {
  for (size_t at = address.size(); at-- > 0;) {
    if (++address.bytes[at] != 0) break;
  }
  return address;
}

Address NetworkOf(const Prefix& prefix) {
  Address network = prefix.address;
  for (size_t at = 0; at < network.size(); ++at) network.bytes[at] &= MaskByte(prefix.length, at);
  return network;
}

Address LastOf(const Prefix& prefix) {
  Address last = prefix.address;
  for (size_t at = 0; at < last.size(); ++at) {
    last.bytes[at] = static_cast<uint8_t>(last.bytes[at] | ~MaskByte(prefix.length, at));
  }
  return last;
}

bool Contains(const Prefix& prefix, const Address& address) {
  return address.v6 == prefix.address.v6 &&
         NetworkOf({address, prefix.length}) == NetworkOf(prefix);
}

}  // namespace crisp::cni::native
