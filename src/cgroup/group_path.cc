#include "cgroup/group_path.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cgroup/unit_name.h"

namespace crisp::cgroup {
namespace {

constexpr absl::string_view kScope = ".scope";
constexpr absl::string_view kPod = "crisp-pod-";
constexpr absl::string_view kContainer = "cri-containerd-";
constexpr size_t kPodDigits = 32;

absl::string_view Name(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

absl::string_view Above(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? absl::string_view() : path.substr(0, slash);
}

// Of today's form: one of crisp 0.1 holds the containers too.
bool IsScopeOfPauseOnly(absl::string_view path) {
  absl::string_view name = Name(path);
  return absl::ConsumePrefix(&name, kPod) && absl::ConsumeSuffix(&name, kScope) &&
         name.size() == kPodDigits;
}

}  // namespace

std::string PodScopePath(absl::string_view slice, absl::string_view sandbox_id) {
  return absl::StrCat(SlicePath(slice), "/", kPod, sandbox_id.substr(0, kPodDigits), kScope);
}

bool IsPodScope(absl::string_view path, absl::string_view sandbox_id) {
  return absl::EndsWith(path, absl::StrCat("/", kPod, sandbox_id.substr(0, kPodDigits), kScope)) ||
         absl::EndsWith(path, absl::StrCat("/crisp-", sandbox_id, kScope));
}

std::string GroupPath(absl::string_view parent, absl::string_view id) {
  // "pods", "/pods" and "/pods/" are the same.
  absl::ConsumePrefix(&parent, "/");
  absl::ConsumeSuffix(&parent, "/");
  const std::string path = absl::StrCat(parent.empty() ? "" : "/", parent);
  if (!IsScopeOfPauseOnly(path) || IsPodScope(path, id)) return absl::StrCat(path, "/", id);
  return absl::StrCat(Above(path), "/", kContainer, id, kScope);
}

absl::string_view IdOfGroup(absl::string_view name) {
  absl::string_view id = name;
  return absl::ConsumePrefix(&id, kContainer) && absl::ConsumeSuffix(&id, kScope) ? id : name;
}

std::string GroupAbove(absl::string_view pause) {
  const absl::string_view above = Above(pause);
  return std::string(IsScopeOfPauseOnly(above) ? Above(above) : above);
}

}  // namespace crisp::cgroup
