#include "cgroup/settings.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace crisp::cgroup {
namespace {

constexpr size_t kMaxValue = 4095;  // libcgroup's buffer
constexpr size_t kMaxKey = 128;
constexpr int64_t kNoLimit = -1;

absl::Status Invalid(absl::string_view field, absl::string_view value, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " \"", value.substr(0, 200), "\": ", why));
}

// Absent and 0 both mean "leave as it is".
template <typename T>
bool Given(const std::optional<T>& value) {
  return value.has_value() && *value != T();
}

// v2 says "max" for no limit, v1 -1.
std::string LimitText(int64_t limit, bool v2) {
  return v2 && limit == kNoLimit ? "max" : absl::StrCat(limit);
}

// A limit as a file shows it. No limit is "max", "-1", or on v1 a number close to 2^63.
int64_t ParseLimit(absl::string_view text) {
  constexpr uint64_t kV1NoLimit = 0x7fff'ffff'0000'0000;
  uint64_t value = 0;
  return absl::SimpleAtoi(text, &value) && value < kV1NoLimit ? static_cast<int64_t>(value)
                                                              : kNoLimit;
}

class Planner {
 public:
  Planner(const Layout& layout, const Resources& resources, const CurrentValue& current)
      : layout_(layout), resources_(resources), current_(current) {}

  absl::StatusOr<std::vector<Setting>> Plan() {
    CRISP_RETURN_IF_ERROR(PlanCpu());
    CRISP_RETURN_IF_ERROR(PlanCpuset());
    CRISP_RETURN_IF_ERROR(PlanMemory());
    CRISP_RETURN_IF_ERROR(PlanPids());
    CRISP_RETURN_IF_ERROR(PlanHugepages());
    CRISP_RETURN_IF_ERROR(PlanUnified());
    CRISP_RETURN_IF_ERROR(PlanDevices());
    for (const Setting& setting : settings_) {
      if (setting.value.size() > kMaxValue) {
        return Invalid(setting.file, setting.value, "must be at most 4095 bytes");
      }
    }
    return std::move(settings_);
  }

 private:
  // A key of `unified` replaces what the other fields would write to that file.
  void Add(absl::string_view controller, absl::string_view file, std::string value) {
    if (resources_.unified.count(std::string(file)) != 0) return;
    settings_.push_back({std::string(controller), std::string(file), std::move(value)});
  }

  bool OnV2(absl::string_view controller) const { return layout_.Find(controller) == &layout_.v2; }

  absl::Status PlanCpu() {
    const bool v2 = OnV2("cpu");
    if (Given(resources_.cpu_shares)) {
      const uint64_t shares = *resources_.cpu_shares;
      v2 ? Add("cpu", "cpu.weight", absl::StrCat(CpuWeight(shares)))
         : Add("cpu", "cpu.shares", absl::StrCat(shares));
    }
    if (resources_.cpu_quota_us.value_or(0) < kNoLimit) {
      return Invalid("cpu_quota", absl::StrCat(*resources_.cpu_quota_us), "must be at least -1");
    }
    if (Given(resources_.cpu_quota_us) || Given(resources_.cpu_period_us)) {
      v2 ? PlanBandwidthV2() : PlanBandwidthV1();
    }
    return absl::OkStatus();
  }

  // The kernel compares quota/period with the parent's at each write, so the value that lowers the
  // share is written first. A value that is in force already is not written: kubelet always sends
  // the default period.
  void PlanBandwidthV1() {
    constexpr absl::string_view kPeriod = "cpu.cfs_period_us";
    constexpr absl::string_view kQuota = "cpu.cfs_quota_us";
    const std::string old_period = current_("cpu", kPeriod).value_or("");
    const std::string old_quota = current_("cpu", kQuota).value_or("");
    const std::string period =
        Given(resources_.cpu_period_us) ? absl::StrCat(*resources_.cpu_period_us) : old_period;
    const std::string quota =
        Given(resources_.cpu_quota_us) ? absl::StrCat(*resources_.cpu_quota_us) : old_quota;
    uint64_t before = 0;
    const bool longer =
        absl::SimpleAtoi(old_period, &before) && resources_.cpu_period_us.value_or(0) > before;
    if (longer) Add("cpu", kPeriod, period);
    if (quota != old_quota) Add("cpu", kQuota, quota);
    if (!longer && period != old_period) Add("cpu", kPeriod, period);
  }

  void PlanBandwidthV2() {
    const std::string old = current_("cpu", "cpu.max").value_or("max 100000");
    const std::vector<std::string> parts = absl::StrSplit(old, ' ');
    std::string quota = parts[0];
    std::string period = parts.size() > 1 ? parts[1] : "100000";
    if (Given(resources_.cpu_quota_us)) quota = LimitText(*resources_.cpu_quota_us, /*v2=*/true);
    if (Given(resources_.cpu_period_us)) period = absl::StrCat(*resources_.cpu_period_us);
    // A burst above the new quota would make the kernel refuse it.
    int64_t burst = 0;
    if (const auto text = current_("cpu", "cpu.max.burst"); text && quota != "max") {
      int64_t new_quota = 0;
      if (absl::SimpleAtoi(*text, &burst) && absl::SimpleAtoi(quota, &new_quota) &&
          burst > new_quota) {
        Add("cpu", "cpu.max.burst", "0");
      }
    }
    Add("cpu", "cpu.max", absl::StrCat(quota, " ", period));
  }

  absl::Status PlanCpuset() {
    const std::pair<const std::optional<std::string>&, absl::string_view> fields[] = {
        {resources_.cpuset_cpus, "cpuset.cpus"}, {resources_.cpuset_mems, "cpuset.mems"}};
    for (const auto& [value, file] : fields) {
      if (!Given(value)) continue;
      if (layout_.Find("cpuset") == nullptr) return Missing(file, *value, "cpuset");
      if (value->find_first_not_of("0123456789-,") != std::string::npos) {
        return Invalid(file, *value, "must be a list of numbers and ranges");
      }
      Add("cpuset", file, *value);
    }
    return absl::OkStatus();
  }

  absl::Status PlanMemory() {
    const int64_t memory = resources_.memory_limit_bytes.value_or(0);
    const int64_t total = resources_.memory_swap_limit_bytes.value_or(0);
    if (memory < kNoLimit)
      return Invalid("memory_limit", absl::StrCat(memory), "must be at least -1");
    if (total < kNoLimit)
      return Invalid("memory_swap_limit", absl::StrCat(total), "must be at least -1");
    if (memory == 0 && total == 0) return absl::OkStatus();
    const bool v2 = OnV2("memory");
    const absl::string_view file = v2 ? "memory.max" : "memory.limit_in_bytes";
    const int64_t old_memory = memory == 0 || (!v2 && total == 0)
                                   ? ParseLimit(current_("memory", file).value_or("max"))
                                   : kNoLimit;
    const int64_t new_memory = memory != 0 ? memory : old_memory;
    if (total > 0 && (new_memory == kNoLimit || total < new_memory)) {
      return Invalid("memory_swap_limit", absl::StrCat(total),
                     absl::StrCat("below the memory limit of ", LimitText(new_memory, true)));
    }
    return v2 ? PlanMemoryV2(memory, total, new_memory)
              : PlanMemoryV1(memory, total, old_memory, new_memory);
  }

  absl::Status PlanMemoryV2(int64_t memory, int64_t total, int64_t new_memory) {
    if (memory != 0) Add("memory", "memory.max", LimitText(memory, true));
    if (total == 0) return absl::OkStatus();
    const int64_t swap = total == kNoLimit ? kNoLimit : total - new_memory;
    return AddSwap("memory.swap.max", LimitText(swap, true), total, new_memory);
  }

  absl::Status PlanMemoryV1(int64_t memory, int64_t total, int64_t old_memory, int64_t new_memory) {
    constexpr absl::string_view kLimit = "memory.limit_in_bytes";
    constexpr absl::string_view kTotal = "memory.memsw.limit_in_bytes";
    const int64_t old_total = ParseLimit(current_("memory", kTotal).value_or("-1"));
    if (total == 0 && old_total != kNoLimit) {
      // Only memory changes. The amount of swap stays the same, as on v2, where swap has its own
      // file.
      total = memory == kNoLimit ? kNoLimit : memory + (old_total - old_memory);
    }
    const auto add_memory = [&] {
      if (memory != 0) Add("memory", kLimit, absl::StrCat(memory));
    };
    // The kernel refuses a total below the memory limit, so the total is written first when it goes
    // up and last when it goes down.
    const bool raise = total == kNoLimit || (old_total != kNoLimit && total > old_total);
    if (!raise) add_memory();
    if (total != 0) {
      CRISP_RETURN_IF_ERROR(AddSwap(kTotal, absl::StrCat(total), total, new_memory));
    }
    if (raise) add_memory();
    return absl::OkStatus();
  }

  // Kernels without swap accounting do not have this file. A limit that allows no swap is then met
  // without it.
  absl::Status AddSwap(absl::string_view file, std::string value, int64_t total, int64_t memory) {
    if (current_("memory", file)) {
      Add("memory", file, std::move(value));
      return absl::OkStatus();
    }
    if (total == kNoLimit || total == memory) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("memory_swap_limit \"", total, "\": this kernel does not account swap"));
  }

  absl::Status PlanPids() {
    if (!Given(resources_.pids_limit)) return absl::OkStatus();
    const int64_t limit = *resources_.pids_limit;
    if (limit < kNoLimit) return Invalid("pids_limit", absl::StrCat(limit), "must be at least -1");
    Add("pids", "pids.max", LimitText(limit, /*v2=*/true));  // v1 says "max" here too
    return absl::OkStatus();
  }

  absl::Status PlanHugepages() {
    for (const HugepageLimit& limit : resources_.hugepage_limits) {
      const std::string& size = limit.page_size;
      if (size.empty() || size.size() > 16 ||
          !std::all_of(size.begin(), size.end(), absl::ascii_isalnum)) {
        return Invalid("hugepage page_size", size, "must be like \"2MB\"");
      }
      const absl::string_view suffix = OnV2("hugetlb") ? "max" : "limit_in_bytes";
      const std::string value = absl::StrCat(limit.limit_bytes);
      const std::string usage = absl::StrCat("hugetlb.", size, ".", suffix);
      const std::string reserved = absl::StrCat("hugetlb.", size, ".rsvd.", suffix);
      // kubelet sends 0 for every size, even for sizes that the host cannot limit.
      if (!current_("hugetlb", usage)) {
        if (limit.limit_bytes == 0) continue;
        return Missing(usage, value, "hugetlb");
      }
      Add("hugetlb", usage, value);
      // Since Linux 5.7 reservations have a limit too. With both, mmap fails instead of a SIGBUS at
      // the first access.
      if (current_("hugetlb", reserved)) Add("hugetlb", reserved, value);
    }
    return absl::OkStatus();
  }

  absl::Status PlanUnified() {
    for (const auto& [key, value] : resources_.unified) {
      if (!layout_.v2_only()) return Invalid("unified key", key, "this host uses cgroup v1");
      const std::string controller = key.substr(0, key.find('.'));
      const bool plain = std::all_of(key.begin(), key.end(), [](char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '_';
      });
      if (!plain || key.size() > kMaxKey || key == controller) {
        return Invalid("unified key", key, "must be like \"memory.high\"");
      }
      if (!layout_.v2.Has(controller)) return Invalid("unified key", key, "no such controller");
      if (value.empty() || value.find('\0') != std::string::npos) {
        return Invalid(absl::StrCat("unified ", key), value, "must be non-empty text");
      }
      settings_.push_back({controller, key, value});
    }
    return absl::OkStatus();
  }

  absl::Status PlanDevices() {
    const bool has_files = layout_.Find("devices") != nullptr;  // otherwise: device_program.h
    for (const DeviceRule& rule : resources_.devices) {
      const bool valid_type = rule.type == 'a' || rule.type == 'b' || rule.type == 'c';
      if (!valid_type || rule.access.empty() || rule.access.size() > 3 ||
          rule.access.find_first_not_of("rwm") != std::string::npos) {
        return Invalid("device rule", DeviceLine(rule), "must be like \"c 1:3 rwm\"");
      }
      if (!has_files) continue;
      const absl::string_view file = rule.allow ? "devices.allow" : "devices.deny";
      const std::string line = DeviceLine(rule);
      // Consecutive rules become one setting: libcgroup then opens the file once for all their
      // lines.
      if (!settings_.empty() && settings_.back().file == file &&
          settings_.back().value.size() + line.size() < kMaxValue) {
        absl::StrAppend(&settings_.back().value, "\n", line);
      } else {
        Add("devices", file, line);
      }
    }
    return absl::OkStatus();
  }

  static absl::Status Missing(absl::string_view file, absl::string_view value,
                              absl::string_view controller) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, " \"", value, "\": controller ", controller, " is not available on this host"));
  }

  const Layout& layout_;
  const Resources& resources_;
  const CurrentValue& current_;
  std::vector<Setting> settings_;
};

}  // namespace

uint64_t CpuWeight(uint64_t shares) {
  constexpr uint64_t kMinShares = 2;
  constexpr uint64_t kMaxShares = 262144;
  if (shares <= kMinShares) return 1;
  if (shares >= kMaxShares) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  return static_cast<uint64_t>(std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

std::string DeviceLine(const DeviceRule& rule) {
  const auto number = [](const std::optional<uint32_t>& n) {
    return n ? absl::StrCat(*n) : std::string("*");
  };
  return absl::StrCat(std::string(1, rule.type), " ", number(rule.major), ":", number(rule.minor),
                      " ", rule.access);
}

absl::StatusOr<std::vector<Setting>> PlanSettings(const Layout& layout, const Resources& resources,
                                                  const CurrentValue& current) {
  return Planner(layout, resources, current).Plan();
}

}  // namespace crisp::cgroup
