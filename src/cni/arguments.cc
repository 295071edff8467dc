#include "cni/arguments.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crisp::cni {
namespace {

bool IsArgValue(absl::string_view value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return c == ';' || c == '=' || absl::ascii_iscntrl(c); });
}

// The factor of a quantity's suffix; 0 for an unknown suffix.
double Factor(absl::string_view suffix) {
  static constexpr std::pair<absl::string_view, double> kFactors[] = {
      {"", 1},        {"n", 1e-9},    {"u", 1e-6},    {"m", 1e-3},   {"k", 1e3},     {"M", 1e6},
      {"G", 1e9},     {"T", 1e12},    {"P", 1e15},    {"E", 1e18},   {"Ki", 0x1p10}, {"Mi", 0x1p20},
      {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};
  for (const auto& [name, factor] : kFactors) {
    if (suffix == name) return factor;
  }
  int exponent = 0;
  const bool is_exponent = suffix.size() >= 2 && (suffix[0] == 'e' || suffix[0] == 'E') &&
                           absl::SimpleAtoi(suffix.substr(1), &exponent);
  return is_exponent && std::abs(exponent) <= 30 ? std::pow(10.0, exponent) : 0;
}

}  // namespace

absl::StatusOr<CniArgs> PodArgs(const PodNetworkRequest& request) {
  if (!IsIdentifier(request.sandbox_id)) {
    return absl::InvalidArgumentError("cni: the sandbox id is not a valid container id");
  }
  CniArgs args = {{"IgnoreUnknown", "1"},
                  {"K8S_POD_NAMESPACE", request.pod_namespace},
                  {"K8S_POD_NAME", request.pod_name},
                  {"K8S_POD_INFRA_CONTAINER_ID", request.sandbox_id},
                  {"K8S_POD_UID", request.pod_uid}};
  for (const auto& [name, value] : args) {
    if (!IsArgValue(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cni: ", name, " must not contain \";\", \"=\" or control characters"));
    }
  }
  return args;
}

std::string FormatArgs(const CniArgs& args) {
  return absl::StrJoin(args, ";", absl::PairFormatter("="));
}

absl::StatusOr<uint64_t> ParseBandwidth(absl::string_view quantity) {
  const size_t digits = std::min(quantity.find_first_not_of("0123456789."), quantity.size());
  double number = 0;
  const double factor = Factor(quantity.substr(digits));
  if (digits == 0 || factor == 0 || !absl::SimpleAtod(quantity.substr(0, digits), &number)) {
    return absl::InvalidArgumentError("must be a quantity like 10M");
  }
  const double bits = std::ceil(number * factor);
  if (!(bits >= 1e3 && bits <= 1e15))
    return absl::InvalidArgumentError("must be between 1k and 1P");
  return static_cast<uint64_t>(bits);
}

}  // namespace crisp::cni
