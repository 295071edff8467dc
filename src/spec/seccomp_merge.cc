// Where `base` returns, the merged filter goes on with a copy of `other` whose results are those of
// both. There is one copy for each result of `base` which `other` may have a stricter one for: as a
// rule only for "allow".
#include "spec/seccomp_merge.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::spec {
namespace {

bool IsReturn(const sock_filter& instruction) { return BPF_CLASS(instruction.code) == BPF_RET; }

// The lower, the more restrictive: the kernel compares actions as signed numbers.
int32_t Rank(uint32_t result) { return static_cast<int32_t>(result & SECCOMP_RET_ACTION_FULL); }

uint32_t Stricter(uint32_t base, uint32_t other) { return Rank(other) < Rank(base) ? other : base; }

// Filters of libseccomp and of ours return constants only.
absl::Status RequireConstantResults(const std::vector<sock_filter>& filter) {
  const auto computed = [](const sock_filter& instruction) {
    return IsReturn(instruction) && instruction.code != (BPF_RET | BPF_K);
  };
  if (std::none_of(filter.begin(), filter.end(), computed)) return absl::OkStatus();
  return absl::InternalError("a seccomp filter has a result that is not constant");
}

}  // namespace

absl::StatusOr<std::vector<sock_filter>> MergeFilters(std::vector<sock_filter> base,
                                                      const std::vector<sock_filter>& other) {
  CRISP_RETURN_IF_ERROR(RequireConstantResults(base));
  CRISP_RETURN_IF_ERROR(RequireConstantResults(other));
  int32_t strictest = INT32_MAX;
  for (const sock_filter& instruction : other) {
    if (IsReturn(instruction)) strictest = std::min(strictest, Rank(instruction.k));
  }
  std::map<uint32_t, size_t> copies;  // result of `base` -> where its copy of `other` begins
  std::vector<sock_filter> merged = std::move(base);
  const size_t base_size = merged.size();
  for (size_t i = 0; i < base_size; ++i) {
    const uint32_t result = merged[i].k;
    if (!IsReturn(merged[i]) || Rank(result) <= strictest) continue;
    const auto [copy, is_new] = copies.try_emplace(result, merged.size());
    for (size_t at = 0; is_new && at < other.size(); ++at) {
      merged.push_back(other[at]);
      if (IsReturn(other[at])) merged.back().k = Stricter(result, other[at].k);
    }
    merged[i] = {BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(copy->second - i - 1)};
  }
  if (merged.size() > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(absl::StrCat("the two seccomp profiles together have ",
                                                   merged.size(), " instructions, at most ",
                                                   BPF_MAXINSNS));
  }
  return merged;
}

}  // namespace crisp::spec
