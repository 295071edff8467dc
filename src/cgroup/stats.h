// What the kernel counts for one group, sub-groups included. A field that the host, the kernel or
// the hierarchy does not offer is absent; a missing file is not an error. Units are nanoseconds and
// bytes. Thread-safe. Sources: Documentation/admin-guide/cgroup-v1 and cgroup-v2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cgroup/kept_files.h"
#include "cgroup/layout.h"

namespace crisp::cgroup {

using Count = std::optional<uint64_t>;

struct CpuStats {           // v1 file                 v2 file
  Count usage_ns;           // cpuacct.usage           cpu.stat usage_usec
  Count user_ns;            // cpuacct.stat user       cpu.stat user_usec
  Count system_ns;          // cpuacct.stat system     cpu.stat system_usec
  Count periods;            // cpu.stat nr_periods     same
  Count throttled_periods;  // cpu.stat nr_throttled   same
  Count throttled_ns;       // cpu.stat throttled_time cpu.stat throttled_usec
  Count burst_periods;      // cpu.stat nr_bursts      same
  Count burst_ns;           // cpu.stat burst_time     cpu.stat burst_usec
};

struct MemoryStats {          // v1 file                     v2 file
  Count usage_bytes;          // memory.usage_in_bytes       memory.current
  Count working_set_bytes;    // usage - inactive file pages, at least 0
  Count available_bytes;      // limit - working set, at least 0; absent without a limit
  Count limit_bytes;          // memory.limit_in_bytes       memory.max; absent without a limit
  Count max_usage_bytes;      // memory.max_usage_in_bytes   memory.peak (Linux 5.19)
  Count failures;             // memory.failcnt              memory.events max
  Count rss_bytes;            // memory.stat total_rss       memory.stat anon
  Count cache_bytes;          // memory.stat total_cache     memory.stat file
  Count mapped_file_bytes;    // total_mapped_file           file_mapped
  Count swap_bytes;           // total_swap                  memory.swap.current
  Count swap_limit_bytes;     // memsw.limit - limit             memory.swap.max; absent without
  Count kernel_bytes;         // memory.kmem.usage_in_bytes  memory.stat kernel (Linux 5.18)
  Count page_faults;          // total_pgfault               pgfault
  Count major_page_faults;    // total_pgmajfault            pgmajfault
  Count oom_kills;            // memory.oom_control oom_kill memory.events oom_kill
  Count active_file_bytes;    // total_active_file         active_file
  Count inactive_file_bytes;  // total_inactive_file       inactive_file
  // v2 only, of memory.events (high) and memory.stat.
  Count high_events;
  Count file_dirty_bytes;
  Count file_writeback_bytes;
  Count pages_scanned;  // pgscan
  Count pages_stolen;   // pgsteal
  Count file_refaults;  // workingset_refault_file
  Count anon_refaults;  // workingset_refault_anon
};

struct HugetlbStats {
  std::string page_size;  // "2MB"
  uint64_t usage_bytes = 0;
  Count max_usage_bytes;  // v1 only
};

// v1: blkio.throttle.io_service_bytes_recursive, io_serviced_recursive; v2: io.stat.
struct BlockDeviceStats {
  uint32_t major = 0;
  uint32_t minor = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
};

// One line of a pressure file: share of time stalled over three windows, and the total.
struct PressureLine {
  double avg10 = 0;  // percent
  double avg60 = 0;
  double avg300 = 0;
  uint64_t total_ns = 0;
};
struct Pressure {
  PressureLine some;  // at least one task was waiting
  PressureLine full;  // all were
};

struct Stats {
  CpuStats cpu;
  MemoryStats memory;
  Count pids;        // pids.current: tasks, that is threads
  Count pids_limit;  // absent without a limit
  std::vector<HugetlbStats> hugetlb;
  std::vector<BlockDeviceStats> block_devices;
  std::optional<Pressure> cpu_pressure;  // from the cgroup2 directory, on hybrid hosts too
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
};

// kUsage: CPU time, memory in use and its limit, swap, pressure: what CRI's stats have. The rest of
// Stats is absent then.
enum class Detail { kUsage, kAll };

// Reads each file once, without a lock of the group's, so it never waits for an operation on the
// group. NotFound when the group does not exist or vanishes while it is read. `kept` may be null.
absl::StatusOr<Stats> ReadStats(const Layout& layout, absl::string_view path,
                                Detail detail = Detail::kAll, KeptFiles* kept = nullptr);

}  // namespace crisp::cgroup
