#include "spec/resources.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;
using v1::LinuxContainerResources;

constexpr int64_t kUnlimited = -1;
// cgroup v1's kernel takes others for the nearest of these, and so does runc on v2.
constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;

struct Range {
  const char* field;
  int64_t value;
  int64_t low;
  int64_t high;
  bool may_be_unlimited;
};

// "0-3,8". The kernel checks the numbers; characters that could end the line are refused here.
absl::Status CheckCpuList(absl::string_view field, absl::string_view list) {
  constexpr size_t kMaxList = 4096;
  if (list.size() <= kMaxList && list.find_first_not_of("0123456789,-") == list.npos) {
    return absl::OkStatus();
  }
  return Invalid(field, list, "must be a list like 0-3,8");
}

// "2MB", "1GB".
absl::Status CheckPageSize(absl::string_view field, const std::string& page_size) {
  absl::string_view rest = page_size;
  while (!rest.empty() && absl::ascii_isdigit(static_cast<unsigned char>(rest[0]))) {
    rest.remove_prefix(1);
  }
  const bool digits = rest.size() < page_size.size() && page_size.size() - rest.size() <= 6;
  if (digits && (rest == "KB" || rest == "MB" || rest == "GB")) return absl::OkStatus();
  return Invalid(field, page_size, "must be a size like 2MB or 1GB");
}

absl::Status CheckUnified(const std::string& name, const std::string& value) {
  // Only names of limits in the container's cgroup: a path would reach other cgroups, and
  // cgroup.procs would move processes.
  const bool is_name =
      !name.empty() && name.size() <= 255 && absl::StrContains(name, '.') && name[0] != '.' &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("._-", c);
      });
  if (!is_name || absl::StartsWith(name, "cgroup.")) {
    return Invalid("unified", name, "is not the name of a cgroup limit");
  }
  constexpr size_t kMaxValue = 4096;
  if (value.size() > kMaxValue || value.find('\0') != std::string::npos) {
    return Invalid(absl::StrCat("unified[\"", name, "\"]"), value,
                   absl::StrCat("must be at most ", kMaxValue, " bytes without NUL"));
  }
  return absl::OkStatus();
}

absl::Status Check(const LinuxContainerResources& resources) {
  constexpr int64_t kMax = INT64_MAX;
  // The bounds of the kernel; it would round a memory limit below one page to 0.
  const Range ranges[] = {
      {"cpu_shares", resources.cpu_shares(), 0, kMax, false},
      {"cpu_period", resources.cpu_period(), 1000, 1000000, false},
      {"cpu_quota", resources.cpu_quota(), 1000, kMax / 1000, true},
      {"limits.memory", resources.memory_limit_in_bytes(), 4096, kMax, true},
      {"memory_swap_limit_in_bytes", resources.memory_swap_limit_in_bytes(), 4096, kMax, true},
      {"oom_score_adj", resources.oom_score_adj(), -1000, 1000, false}};
  for (const Range& range : ranges) {
    if (range.value == 0 || (range.may_be_unlimited && range.value == kUnlimited)) continue;
    if (range.value < range.low || range.value > range.high) {
      return Invalid(range.field, range.value,
                     absl::StrCat("must be between ", range.low, " and ", range.high));
    }
  }
  CRISP_RETURN_IF_ERROR(CheckCpuList("cpuset_cpus", resources.cpuset_cpus()));
  CRISP_RETURN_IF_ERROR(CheckCpuList("cpuset_mems", resources.cpuset_mems()));
  for (int i = 0; i < resources.hugepage_limits_size(); ++i) {
    CRISP_RETURN_IF_ERROR(CheckPageSize(absl::StrCat("hugepage_limits[", i, "].page_size"),
                                        resources.hugepage_limits(i).page_size()));
  }
  for (const auto& [name, value] : resources.unified()) {
    CRISP_RETURN_IF_ERROR(CheckUnified(name, value));
  }
  const int64_t memory = resources.memory_limit_in_bytes();
  const int64_t swap = resources.memory_swap_limit_in_bytes();
  if (swap > 0 && (memory > swap || memory == kUnlimited)) {
    return Invalid("memory_swap_limit_in_bytes", swap,
                   memory == kUnlimited
                       ? std::string("must be unlimited (-1) as the memory limit is")
                       : absl::StrCat("must be at least the memory limit, ", memory));
  }
  return absl::OkStatus();
}

template <typename T>
void Set(int64_t value, std::optional<T>& target) {
  if (value != 0) target = static_cast<T>(value);
}

int64_t Shares(const LinuxContainerResources& resources) {
  const int64_t shares = resources.cpu_shares();
  return shares == 0 ? 0 : std::clamp(shares, kMinShares, kMaxShares);
}

std::optional<uint32_t> Number(std::optional<int64_t> number) {
  if (!number.has_value() || *number < 0) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

}  // namespace

absl::StatusOr<oci::Resources> OciResources(const LinuxContainerResources& resources) {
  CRISP_RETURN_IF_ERROR(Check(resources));
  oci::Resources result;
  const int64_t memory = resources.memory_limit_in_bytes();
  int64_t swap = resources.memory_swap_limit_in_bytes();
  if (swap > 0 && memory == 0) {
    return Invalid("memory_swap_limit_in_bytes", swap, "needs memory_limit_in_bytes");
  }
  if (swap == 0) swap = memory;
  Set(Shares(resources), result.cpu_shares);
  Set(resources.cpu_quota(), result.cpu_quota);
  Set(resources.cpu_period(), result.cpu_period);
  Set(memory, result.memory_limit);
  Set(swap, result.memory_swap);
  result.cpuset_cpus = resources.cpuset_cpus();
  result.cpuset_mems = resources.cpuset_mems();
  for (const v1::HugepageLimit& limit : resources.hugepage_limits()) {
    result.hugepage_limits.push_back({limit.page_size(), limit.limit()});
  }
  result.unified = {resources.unified().begin(), resources.unified().end()};
  return result;
}

absl::StatusOr<cgroup::Resources> CgroupUpdate(const LinuxContainerResources& update) {
  CRISP_RETURN_IF_ERROR(Check(update));
  cgroup::Resources result;
  Set(Shares(update), result.cpu_shares);
  Set(update.cpu_quota(), result.cpu_quota_us);
  Set(update.cpu_period(), result.cpu_period_us);
  Set(update.memory_limit_in_bytes(), result.memory_limit_bytes);
  Set(update.memory_swap_limit_in_bytes(), result.memory_swap_limit_bytes);
  if (!update.cpuset_cpus().empty()) result.cpuset_cpus = update.cpuset_cpus();
  if (!update.cpuset_mems().empty()) result.cpuset_mems = update.cpuset_mems();
  for (const v1::HugepageLimit& limit : update.hugepage_limits()) {
    result.hugepage_limits.push_back({limit.page_size(), limit.limit()});
  }
  result.unified = {update.unified().begin(), update.unified().end()};
  return result;
}

absl::StatusOr<cgroup::Resources> CgroupResources(const LinuxContainerResources& resources,
                                                  const oci::Linux& linux_) {
  CRISP_ASSIGN_OR_RETURN(const oci::Resources checked, OciResources(resources));
  CRISP_ASSIGN_OR_RETURN(cgroup::Resources result, CgroupUpdate(resources));
  result.memory_swap_limit_bytes = checked.memory_swap;
  if (!linux_.resources.has_value()) return result;
  result.pids_limit = linux_.resources->pids_limit;
  for (const oci::DeviceRule& rule : linux_.resources->devices) {
    result.devices.push_back({.allow = rule.allow,
                              .type = rule.type,
                              .major = Number(rule.major),
                              .minor = Number(rule.minor),
                              .access = rule.access});
  }
  return result;
}

LinuxContainerResources Merge(const LinuxContainerResources& current,
                              const LinuxContainerResources& update) {
  LinuxContainerResources result = current;
  // An update of the memory limit alone keeps the amount of swap: the limit on the sum of both
  // changes by the same amount.
  const int64_t memory = update.memory_limit_in_bytes();
  if (memory > 0 && current.memory_limit_in_bytes() > 0 &&
      current.memory_swap_limit_in_bytes() > 0) {
    result.set_memory_swap_limit_in_bytes(memory + current.memory_swap_limit_in_bytes() -
                                          current.memory_limit_in_bytes());
  }
  // Without a memory limit there cannot be a limit on memory and swap together.
  if (memory == kUnlimited && current.memory_swap_limit_in_bytes() > 0)
    result.set_memory_swap_limit_in_bytes(kUnlimited);
  if (memory != 0) result.set_memory_limit_in_bytes(memory);
  if (update.memory_swap_limit_in_bytes() != 0) {
    result.set_memory_swap_limit_in_bytes(update.memory_swap_limit_in_bytes());
  }
  if (update.cpu_period() != 0) result.set_cpu_period(update.cpu_period());
  if (update.cpu_quota() != 0) result.set_cpu_quota(update.cpu_quota());
  if (update.cpu_shares() != 0) result.set_cpu_shares(update.cpu_shares());
  if (!update.cpuset_cpus().empty()) result.set_cpuset_cpus(update.cpuset_cpus());
  if (!update.cpuset_mems().empty()) result.set_cpuset_mems(update.cpuset_mems());
  for (const v1::HugepageLimit& limit : update.hugepage_limits()) {
    auto* limits = result.mutable_hugepage_limits();
    const auto same = std::find_if(limits->begin(), limits->end(), [&](const auto& other) {
      return other.page_size() == limit.page_size();
    });
    if (same == limits->end()) {
      *limits->Add() = limit;
    } else {
      *same = limit;
    }
  }
  for (const auto& [name, value] : update.unified()) (*result.mutable_unified())[name] = value;
  return result;
}

}  // namespace crisp::spec
