#include "cgroup/stats.h"

#include <unistd.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"

namespace crisp::cgroup {
namespace {

// Reads the files of one group in one hierarchy, each into the same buffer.
class Files {
 public:
  Files(const Hierarchy* hierarchy, absl::string_view path, KeptFiles* kept)
      : directory_(hierarchy == nullptr ? "" : absl::StrCat(hierarchy->mount_point, path, "/")),
        kept_(kept) {}

  // Empty when the file is missing or cannot be read; at most 16 KiB, cut after a whole line. The
  // result is valid until the next call.
  absl::string_view Read(absl::string_view name) {
    if (directory_.empty()) return "";
    const std::string file = absl::StrCat(directory_, name);
    const absl::Span<char> buffer(buffer_.data(), buffer_.size());
    const absl::string_view text =
        kept_ == nullptr ? ReadOnce(file, buffer) : kept_->Read(file, buffer);
    return text.substr(0, text.rfind('\n'));
  }

  // The only number in a file; absent for "max".
  Count Number(absl::string_view name) {
    uint64_t value = 0;
    return absl::SimpleAtoi(Read(name), &value) ? Count(value) : std::nullopt;
  }

 private:
  const std::string directory_;
  KeptFiles* const kept_;
  std::array<char, 16384> buffer_;
};

// One reading of one group.
struct Reading {
  const Layout& layout;
  absl::string_view path;
  Detail detail;
  KeptFiles* kept;

  bool all() const { return detail == Detail::kAll; }
  Files Of(const Hierarchy* hierarchy) const { return {hierarchy, path, kept}; }
  Files Of(absl::string_view controller) const { return Of(layout.Find(controller)); }
};

// Calls `visit(key, number)` for every line "key number".
template <typename Visit>
void ForEachField(absl::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t blank = line.find(' ');
    uint64_t value = 0;
    if (blank != absl::string_view::npos && absl::SimpleAtoi(line.substr(blank + 1), &value)) {
      visit(line.substr(0, blank), value);
    }
  }
}

// Where to store the value of a key, multiplied by `scale`.
struct Field {
  absl::string_view key;
  Count* target;
  uint64_t scale = 1;
};

void ReadFields(absl::string_view text, std::initializer_list<Field> fields) {
  ForEachField(text, [&](absl::string_view key, uint64_t value) {
    for (const Field& field : fields) {
      if (field.key == key) *field.target = value * field.scale;
    }
  });
}

CpuStats ReadCpuV1(const Reading& reading) {
  CpuStats cpu;
  static const uint64_t ns_per_tick = 1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  Files accounting = reading.Of("cpuacct");
  cpu.usage_ns = accounting.Number("cpuacct.usage");
  if (!reading.all()) return cpu;
  ReadFields(accounting.Read("cpuacct.stat"),
             {{"user", &cpu.user_ns, ns_per_tick}, {"system", &cpu.system_ns, ns_per_tick}});
  Files bandwidth = reading.Of("cpu");
  ReadFields(bandwidth.Read("cpu.stat"), {{"nr_periods", &cpu.periods},
                                          {"nr_throttled", &cpu.throttled_periods},
                                          {"throttled_time", &cpu.throttled_ns},
                                          {"nr_bursts", &cpu.burst_periods},
                                          {"burst_time", &cpu.burst_ns}});
  return cpu;
}

CpuStats ReadCpuV2(const Reading& reading) {
  CpuStats cpu;
  Files files = reading.Of(&reading.layout.v2);
  ReadFields(files.Read("cpu.stat"), {{"usage_usec", &cpu.usage_ns, 1000},
                                      {"user_usec", &cpu.user_ns, 1000},
                                      {"system_usec", &cpu.system_ns, 1000},
                                      {"nr_periods", &cpu.periods},
                                      {"nr_throttled", &cpu.throttled_periods},
                                      {"throttled_usec", &cpu.throttled_ns, 1000},
                                      {"nr_bursts", &cpu.burst_periods},
                                      {"burst_usec", &cpu.burst_ns, 1000}});
  return cpu;
}

MemoryStats ReadMemoryV1(Files& files, bool all) {
  constexpr uint64_t kUnlimitedBytes =
      0x7fff'ffff'0000'0000;  // and above: the page counter's maximum
  MemoryStats memory;
  memory.usage_bytes = files.Number("memory.usage_in_bytes");
  memory.limit_bytes = files.Number("memory.limit_in_bytes");
  if (memory.limit_bytes.value_or(0) >= kUnlimitedBytes) memory.limit_bytes.reset();
  const Count total = files.Number("memory.memsw.limit_in_bytes");
  if (memory.limit_bytes && total && *total < kUnlimitedBytes) {
    memory.swap_limit_bytes = *total - std::min(*total, *memory.limit_bytes);
  }
  ReadFields(files.Read("memory.stat"), {{"total_rss", &memory.rss_bytes},
                                         {"total_cache", &memory.cache_bytes},
                                         {"total_mapped_file", &memory.mapped_file_bytes},
                                         {"total_swap", &memory.swap_bytes},
                                         {"total_pgfault", &memory.page_faults},
                                         {"total_pgmajfault", &memory.major_page_faults},
                                         {"total_active_file", &memory.active_file_bytes},
                                         {"total_inactive_file", &memory.inactive_file_bytes}});
  if (!all) return memory;
  memory.max_usage_bytes = files.Number("memory.max_usage_in_bytes");
  memory.failures = files.Number("memory.failcnt");
  memory.kernel_bytes = files.Number("memory.kmem.usage_in_bytes");
  ReadFields(files.Read("memory.oom_control"), {{"oom_kill", &memory.oom_kills}});
  return memory;
}

MemoryStats ReadMemoryV2(Files& files, bool all) {
  MemoryStats memory;
  memory.usage_bytes = files.Number("memory.current");
  memory.limit_bytes = files.Number("memory.max");
  memory.swap_bytes = files.Number("memory.swap.current");
  memory.swap_limit_bytes = files.Number("memory.swap.max");
  ReadFields(files.Read("memory.stat"), {{"anon", &memory.rss_bytes},
                                         {"file", &memory.cache_bytes},
                                         {"kernel", &memory.kernel_bytes},
                                         {"file_mapped", &memory.mapped_file_bytes},
                                         {"pgfault", &memory.page_faults},
                                         {"pgmajfault", &memory.major_page_faults},
                                         {"active_file", &memory.active_file_bytes},
                                         {"inactive_file", &memory.inactive_file_bytes},
                                         {"file_dirty", &memory.file_dirty_bytes},
                                         {"file_writeback", &memory.file_writeback_bytes},
                                         {"pgscan", &memory.pages_scanned},
                                         {"pgsteal", &memory.pages_stolen},
                                         {"workingset_refault_file", &memory.file_refaults},
                                         {"workingset_refault_anon", &memory.anon_refaults}});
  if (!all) return memory;
  memory.max_usage_bytes = files.Number("memory.peak");
  ReadFields(
      files.Read("memory.events"),
      {{"high", &memory.high_events}, {"max", &memory.failures}, {"oom_kill", &memory.oom_kills}});
  return memory;
}

MemoryStats ReadMemory(const Reading& reading) {
  const Hierarchy* hierarchy = reading.layout.Find("memory");
  Files files = reading.Of(hierarchy);
  MemoryStats memory = hierarchy == &reading.layout.v2 ? ReadMemoryV2(files, reading.all())
                                                       : ReadMemoryV1(files, reading.all());
  if (memory.usage_bytes) {
    const uint64_t usage = *memory.usage_bytes;
    memory.working_set_bytes = usage - std::min(usage, memory.inactive_file_bytes.value_or(0));
    if (memory.limit_bytes) {
      memory.available_bytes =
          *memory.limit_bytes - std::min(*memory.limit_bytes, *memory.working_set_bytes);
    }
  }
  return memory;
}

std::vector<HugetlbStats> ReadHugetlb(const Reading& reading) {
  std::vector<HugetlbStats> all;
  const Hierarchy* hierarchy = reading.layout.Find("hugetlb");
  const bool v2 = hierarchy == &reading.layout.v2;
  Files files = reading.Of(hierarchy);
  for (const std::string& size : reading.layout.hugepage_sizes) {
    const std::string prefix = absl::StrCat("hugetlb.", size, ".");
    const Count usage = files.Number(absl::StrCat(prefix, v2 ? "current" : "usage_in_bytes"));
    if (!usage) continue;
    HugetlbStats stats{size, *usage, {}};
    if (!v2) stats.max_usage_bytes = files.Number(absl::StrCat(prefix, "max_usage_in_bytes"));
    all.push_back(std::move(stats));
  }
  return all;
}

// Finds or adds the entry of a device like "8:0". Null for text that is not a device.
BlockDeviceStats* DeviceOf(absl::string_view text, std::vector<BlockDeviceStats>& devices) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  BlockDeviceStats found;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &found.major) ||
      !absl::SimpleAtoi(parts[1], &found.minor)) {
    return nullptr;
  }
  for (BlockDeviceStats& device : devices) {
    if (device.major == found.major && device.minor == found.minor) return &device;
  }
  devices.push_back(found);
  return &devices.back();
}

// v1: "8:0 Read 4096", and a line "Total 4096" at the end.
void ParseBlkio(absl::string_view text, uint64_t BlockDeviceStats::*read,
                uint64_t BlockDeviceStats::*write, std::vector<BlockDeviceStats>& devices) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
    uint64_t value = 0;
    if (parts.size() != 3 || !absl::SimpleAtoi(parts[2], &value)) continue;
    if (parts[1] != "Read" && parts[1] != "Write") continue;
    BlockDeviceStats* device = DeviceOf(parts[0], devices);
    if (device != nullptr) device->*(parts[1] == "Read" ? read : write) = value;
  }
}

// v2: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
void ParseIoStat(absl::string_view text, std::vector<BlockDeviceStats>& devices) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
    // The line of a device without traffic may have only the device.
    if (parts.size() < 2) continue;
    BlockDeviceStats* device = DeviceOf(parts[0], devices);
    if (device == nullptr) continue;
    for (absl::string_view part : parts) {
      const size_t equals = part.find('=');
      uint64_t value = 0;
      if (equals == absl::string_view::npos || !absl::SimpleAtoi(part.substr(equals + 1), &value)) {
        continue;
      }
      const absl::string_view key = part.substr(0, equals);
      if (key == "rbytes") device->read_bytes = value;
      if (key == "wbytes") device->write_bytes = value;
      if (key == "rios") device->reads = value;
      if (key == "wios") device->writes = value;
    }
  }
}

std::vector<BlockDeviceStats> ReadBlockDevices(const Reading& reading) {
  std::vector<BlockDeviceStats> devices;
  if (reading.layout.v2_only()) {
    ParseIoStat(reading.Of(&reading.layout.v2).Read("io.stat"), devices);
    return devices;
  }
  Files files = reading.Of("blkio");
  ParseBlkio(files.Read("blkio.throttle.io_service_bytes_recursive"), &BlockDeviceStats::read_bytes,
             &BlockDeviceStats::write_bytes, devices);
  ParseBlkio(files.Read("blkio.throttle.io_serviced_recursive"), &BlockDeviceStats::reads,
             &BlockDeviceStats::writes, devices);
  return devices;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same for "full".
std::optional<Pressure> ParsePressure(absl::string_view text) {
  if (text.empty()) return std::nullopt;  // no PSI in this kernel, or switched off (EOPNOTSUPP)
  Pressure pressure;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
    PressureLine& target = parts[0] == "full" ? pressure.full : pressure.some;
    for (absl::string_view part : parts) {
      const size_t equals = part.find('=');
      if (equals == absl::string_view::npos) continue;
      const absl::string_view key = part.substr(0, equals);
      const absl::string_view value = part.substr(equals + 1);
      uint64_t total_usec = 0;
      if (key == "avg10") (void)absl::SimpleAtod(value, &target.avg10);
      if (key == "avg60") (void)absl::SimpleAtod(value, &target.avg60);
      if (key == "avg300") (void)absl::SimpleAtod(value, &target.avg300);
      if (key == "total" && absl::SimpleAtoi(value, &total_usec)) {
        target.total_ns = total_usec * 1000;
      }
    }
  }
  return pressure;
}

}  // namespace

absl::StatusOr<Stats> ReadStats(const Layout& layout, absl::string_view path, Detail detail,
                                KeptFiles* kept) {
  const Reading reading = {.layout = layout, .path = path, .detail = detail, .kept = kept};
  Stats stats;
  stats.cpu = layout.v2_only() ? ReadCpuV2(reading) : ReadCpuV1(reading);
  stats.memory = ReadMemory(reading);
  if (!stats.cpu.usage_ns.has_value() && !stats.memory.usage_bytes.has_value()) {
    const std::string directory = absl::StrCat(layout.v2.mount_point, path);
    if (access(directory.c_str(), F_OK) != 0) return base::Errno("read stats of cgroup", path);
  }
  Files v2 = reading.Of(&layout.v2);
  stats.cpu_pressure = ParsePressure(v2.Read("cpu.pressure"));
  stats.memory_pressure = ParsePressure(v2.Read("memory.pressure"));
  stats.io_pressure = ParsePressure(v2.Read("io.pressure"));
  if (!reading.all()) return stats;
  Files pids = reading.Of("pids");
  stats.pids = pids.Number("pids.current");
  stats.pids_limit = pids.Number("pids.max");
  stats.hugetlb = ReadHugetlb(reading);
  stats.block_devices = ReadBlockDevices(reading);
  return stats;
}

}  // namespace crisp::cgroup
