#include "cli/manifest/quantity.h"

#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace crisp::cli {
namespace {

using Wide = __int128;

const std::map<absl::string_view, Wide>& BinarySuffixes() {
  static const std::map<absl::string_view, Wide> suffixes = {
      {"Ki", Wide{1} << 10}, {"Mi", Wide{1} << 20}, {"Gi", Wide{1} << 30},
      {"Ti", Wide{1} << 40}, {"Pi", Wide{1} << 50}, {"Ei", Wide{1} << 60}};
  return suffixes;
}

// The power of ten of a suffix or an exponent; false for any other text.
bool DecimalExponent(absl::string_view suffix, int& exponent) {
  static const std::map<absl::string_view, int> suffixes = {
      {"n", -9}, {"u", -6}, {"m", -3}, {"", 0},   {"k", 3},
      {"M", 6},  {"G", 9},  {"T", 12}, {"P", 15}, {"E", 18}};
  const auto found = suffixes.find(suffix);
  if (found != suffixes.end()) {
    exponent = found->second;
    return true;
  }
  return (suffix[0] == 'e' || suffix[0] == 'E') && absl::SimpleAtoi(suffix.substr(1), &exponent) &&
         exponent >= -18 && exponent <= 18;
}

}  // namespace

absl::StatusOr<Quantity> Quantity::Parse(absl::string_view text) {
  const absl::Status bad =
      absl::InvalidArgumentError("must be a quantity such as 500m, 1.5 or 64Mi, at most 2^63-1");
  constexpr size_t kMaxDigits = 19;  // with the largest suffix they stay below 2^127
  absl::string_view rest = text;
  if (!rest.empty() && rest[0] == '+') rest.remove_prefix(1);
  Wide number = 0;
  size_t digits = 0;
  int exponent_of_digits = 0;
  bool after_point = false;
  for (; !rest.empty(); rest.remove_prefix(1)) {
    if (rest[0] == '.' && !after_point) {
      after_point = true;
      continue;
    }
    if (!absl::ascii_isdigit(rest[0])) break;
    if (++digits > kMaxDigits) return bad;
    number = number * 10 + (rest[0] - '0');
    if (after_point) --exponent_of_digits;
  }
  if (digits == 0) return bad;
  int exponent = 0;
  const auto binary = BinarySuffixes().find(rest);
  if (binary != BinarySuffixes().end()) {
    // Below 2^64 * 2^60; the billion is applied while the fraction is taken off.
    number *= binary->second;
  } else if (!DecimalExponent(rest, exponent)) {
    return bad;
  }
  constexpr Wide kMax = Wide{INT64_MAX} * kOne;
  for (exponent += exponent_of_digits + 9; exponent > 0; --exponent) {
    number *= 10;
    if (number > kMax) return bad;
  }
  bool is_cut = false;
  for (; exponent < 0; ++exponent) {
    is_cut = is_cut || number % 10 != 0;
    number /= 10;
  }
  if (is_cut) ++number;  // finer than a billionth: rounded up
  if (number > kMax) return bad;
  return Quantity(number);
}

}  // namespace crisp::cli
