#include "linux/sysctl.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace crisp::linux {
namespace {

constexpr absl::string_view kIpc[] = {"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                      "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                      "kernel/shmmni", "kernel/shm_rmid_forced"};

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_-.:@", c);
}

bool IsName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), IsNameCharacter);
}

}  // namespace

std::optional<std::string> SysctlPath(absl::string_view key) {
  const size_t first = key.find_first_of("./");
  if (first == absl::string_view::npos) return std::nullopt;
  const std::string path =
      key[first] == '.' ? absl::StrReplaceAll(key, {{".", "/"}, {"/", "."}}) : std::string(key);
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    if (!IsName(name)) return std::nullopt;
  }
  return path;
}

SysctlScope ScopeOfSysctl(absl::string_view path) {
  if (absl::StartsWith(path, "net/")) return SysctlScope::kNetwork;
  if (absl::StartsWith(path, "fs/mqueue/")) return SysctlScope::kIpc;
  if (std::find(std::begin(kIpc), std::end(kIpc), path) != std::end(kIpc)) return SysctlScope::kIpc;
  return path == "kernel/domainname" ? SysctlScope::kUts : SysctlScope::kHost;
}

}  // namespace crisp::linux
