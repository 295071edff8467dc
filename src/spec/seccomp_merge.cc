// Where `base` returns, the merged filter goes on with a copy of `other` whose results are those of
// both. There is one copy for each result of `base`, without what cannot matter: only that for
// "allow" is about as long as `other`.
#include "spec/seccomp_merge.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ipc/seccomp_file.h"

namespace crisp::spec {
namespace {

bool IsReturn(const sock_filter& instruction) { return BPF_CLASS(instruction.code) == BPF_RET; }
bool IsJump(const sock_filter& instruction) { return BPF_CLASS(instruction.code) == BPF_JMP; }
bool IsAlways(const sock_filter& jump) { return BPF_OP(jump.code) == BPF_JA; }

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

// Where the filter may go on after an instruction that does not return; often the same twice.
std::pair<size_t, size_t> Next(const std::vector<sock_filter>& filter, size_t at) {
  const sock_filter& instruction = filter[at];
  if (!IsJump(instruction)) return {at + 1, at + 1};
  if (IsAlways(instruction)) return {at + 1 + instruction.k, at + 1 + instruction.k};
  return {at + 1 + instruction.jt, at + 1 + instruction.jf};
}

// Where both ways lead to the same result, it is returned at once. Jumps go forward only: from the
// end, what an instruction leads to is known before the instruction is looked at.
void ReturnEarly(std::vector<sock_filter>& filter) {
  for (size_t at = filter.size(); at-- > 0;) {
    if (IsReturn(filter[at])) continue;
    const auto [yes, no] = Next(filter, at);
    if (IsReturn(filter[yes]) && IsReturn(filter[no]) && filter[yes].k == filter[no].k)
      filter[at] = filter[yes];
  }
}

std::vector<sock_filter> WithoutUnreachable(const std::vector<sock_filter>& filter) {
  std::vector<bool> reachable(filter.size());
  std::vector<size_t> place(filter.size());  // of what is reachable, in the result
  size_t places = 0;
  for (size_t at = 0; at < filter.size(); ++at) {
    if (at > 0 && !reachable[at]) continue;
    reachable[at] = true;
    place[at] = places++;
    if (IsReturn(filter[at])) continue;
    const auto [yes, no] = Next(filter, at);
    reachable[yes] = reachable[no] = true;
  }
  std::vector<sock_filter> result;
  for (size_t at = 0; at < filter.size(); ++at) {
    if (!reachable[at]) continue;
    sock_filter instruction = filter[at];
    if (IsJump(instruction)) {
      const auto [yes, no] = Next(filter, at);
      if (IsAlways(instruction)) {
        instruction.k = static_cast<uint32_t>(place[yes] - place[at] - 1);
      } else {
        instruction.jt = static_cast<uint8_t>(place[yes] - place[at] - 1);
        instruction.jf = static_cast<uint8_t>(place[no] - place[at] - 1);
      }
    }
    result.push_back(instruction);
  }
  return result;
}

// `filter` where another one has said `result` already.
std::vector<sock_filter> After(uint32_t result, std::vector<sock_filter> filter) {
  for (sock_filter& instruction : filter) {
    if (IsReturn(instruction)) instruction.k = Stricter(result, instruction.k);
  }
  ReturnEarly(filter);
  return WithoutUnreachable(filter);
}

}  // namespace

absl::StatusOr<std::vector<sock_filter>> MergeFilters(const std::vector<sock_filter>& base,
                                                      const std::vector<sock_filter>& other) {
  CRISP_RETURN_IF_ERROR(RequireConstantResults(base));
  CRISP_RETURN_IF_ERROR(RequireConstantResults(other));
  std::map<uint32_t, size_t> copies;  // result of `base` -> where its copy of `other` begins
  std::vector<sock_filter> merged = base;
  for (size_t at = 0; at < base.size(); ++at) {
    if (!IsReturn(base[at])) continue;
    const auto [copy, is_new] = copies.try_emplace(base[at].k, merged.size());
    if (is_new) {
      const std::vector<sock_filter> rest = After(base[at].k, other);
      merged.insert(merged.end(), rest.begin(), rest.end());
    }
    if (merged.size() > ipc::kMaxSeccompInstructions) {
      return absl::InvalidArgumentError(
          absl::StrCat("two seccomp profiles together have more than ",
                       ipc::kMaxSeccompInstructions, " instructions"));
    }
    merged[at] = {BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(copy->second - at - 1)};
  }
  return merged;
}

}  // namespace crisp::spec
