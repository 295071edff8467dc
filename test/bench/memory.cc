#include "bench/memory.h"

#include <stdexcept>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace crisp::bench {
namespace {

std::string Read(pid_t pid, const char* name) {
  absl::StatusOr<std::string> text = base::ReadFile(absl::StrCat("/proc/", pid, "/", name));
  if (!text.ok()) throw std::runtime_error(std::string(text.status().message()));
  return *std::move(text);
}

// The first word after "NAME:".
std::string Field(const std::string& text, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == name) return std::string(words[1]);
  }
  throw std::runtime_error(absl::StrCat("no field ", name));
}

int64_t Number(const std::string& text, absl::string_view name) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(Field(text, name), &value)) {
    throw std::runtime_error(absl::StrCat("field ", name, ": not a number"));
  }
  return value;
}

}  // namespace

Memory MemoryOf(pid_t pid) {
  const std::string rollup = Read(pid, "smaps_rollup");
  return {.pss = Number(rollup, "Pss"),
          .private_ = Number(rollup, "Private_Clean") + Number(rollup, "Private_Dirty"),
          .rss = Number(rollup, "Rss")};
}

pid_t ParentOf(pid_t pid) { return static_cast<pid_t>(Number(Read(pid, "status"), "PPid")); }

bool Catches(pid_t pid, int signal) {
  const std::string mask = Field(Read(pid, "status"), "SigCgt");
  return ((std::stoull(mask, nullptr, 16) >> (signal - 1)) & 1) != 0;
}

}  // namespace crisp::bench
