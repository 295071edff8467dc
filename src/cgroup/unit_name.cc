#include "cgroup/unit_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace crisp::cgroup {
namespace {

constexpr absl::string_view kSuffix = ".slice";
constexpr absl::string_view kRoot = "-.slice";

bool IsSlice(absl::string_view unit) {
  constexpr size_t kMaxName = 255;
  if (unit == kRoot) return true;
  if (unit.size() > kMaxName || !absl::ConsumeSuffix(&unit, kSuffix)) return false;
  const bool plain = std::all_of(unit.begin(), unit.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(":-_.\\", c);
  });
  // Every dash starts a level of the hierarchy, and no level may be empty.
  return plain && !unit.empty() && unit.front() != '-' && unit.back() != '-' &&
         !absl::StrContains(unit, "--");
}

}  // namespace

absl::StatusOr<std::string> ParseSlice(absl::string_view cgroup_parent) {
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup_parent \"", cgroup_parent.substr(0, 200), "\": ", why));
  };
  absl::string_view path = cgroup_parent;
  absl::ConsumeSuffix(&path, "/");
  const absl::string_view unit = path.substr(path.rfind('/') + 1);  // npos + 1: all of it
  if (!IsSlice(unit)) return refuse("must be a slice, because crispd runs with the systemd driver");
  absl::ConsumePrefix(&path, "/");
  if (path != unit && absl::StrCat("/", path) != SlicePath(unit)) {
    return refuse(absl::StrCat("systemd has this slice at ", SlicePath(unit)));
  }
  return std::string(unit);
}

std::vector<std::string> SliceChain(absl::string_view slice) {
  std::vector<std::string> chain;
  if (slice == kRoot) return chain;
  const absl::string_view name = absl::StripSuffix(slice, kSuffix);
  for (size_t dash = name.find('-'); dash != absl::string_view::npos;
       dash = name.find('-', dash + 1)) {
    chain.push_back(absl::StrCat(name.substr(0, dash), kSuffix));
  }
  chain.emplace_back(slice);
  return chain;
}

std::string SlicePath(absl::string_view slice) {
  std::string path;
  for (const std::string& unit : SliceChain(slice)) absl::StrAppend(&path, "/", unit);
  return path;
}

}  // namespace crisp::cgroup
