// An amount of a resource as manifests write it: 100m, 1.5, 64Mi, 2e3 (Kubernetes: API conventions,
// "resource quantities"). Exact: kept in billionths. Pure values, thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cli {

class Quantity {
 public:
  Quantity() = default;
  static Quantity Of(int64_t whole) { return Quantity(Nanos{whole} * kOne); }

  // kInvalidArgument with a reason for the end of a message: "must be a quantity such as ...".
  // Negative ones are refused: nothing here can be less than zero.
  static absl::StatusOr<Quantity> Parse(absl::string_view text);

  // Rounded up, as kubelet rounds: half a byte takes a byte.
  int64_t Value() const { return Round(kOne); }
  int64_t MilliValue() const { return Round(kOne / 1000); }
  // How many times `unit` (above zero), rounded up.
  int64_t Per(const Quantity& unit) const { return Round(unit.nanos_); }

  bool IsZero() const { return nanos_ == 0; }
  Quantity operator+(const Quantity& other) const { return Quantity(nanos_ + other.nanos_); }
  bool operator==(const Quantity& other) const { return nanos_ == other.nanos_; }
  bool operator<(const Quantity& other) const { return nanos_ < other.nanos_; }

 private:
  using Nanos = __int128;
  static constexpr int64_t kOne = 1'000'000'000;

  explicit Quantity(Nanos nanos) : nanos_(nanos) {}
  // INT64_MAX for what is larger, as sums and thousandths of large amounts are.
  int64_t Round(Nanos unit) const {
    const Nanos whole = (nanos_ + unit - 1) / unit;
    return whole > INT64_MAX ? INT64_MAX : static_cast<int64_t>(whole);
  }

  Nanos nanos_ = 0;
};

}  // namespace crisp::cli
