#include "cgroup/stats.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "cgroup/meter.h"
#include "cgroup/processes.h"

using namespace crisp;

namespace {

// A directory in place of a mount point, with one group "/g".
struct FakeMount {
  std::string path;
  FakeMount() {
    char name[] = "/tmp/crisp-cgroup-test-XXXXXX";
    path = mkdtemp(name);
    REQUIRE(base::MakeDirs(path + "/g", 0700).ok());
  }
  ~FakeMount() { (void)base::RemoveTree(path); }
  void Put(const std::string& file, const std::string& text) {
    std::ofstream(path + "/g/" + file) << text;
  }
};

}  // namespace

TEST_CASE("stats are read from the files of a v2 group") {
  FakeMount mount;
  mount.Put("cpu.stat",
            "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnice_usec 0\nnr_periods 7\n"
            "nr_throttled 3\nthrottled_usec 9\nnr_bursts 2\nburst_usec 6\n");
  mount.Put("memory.current", "10000\n");
  mount.Put("memory.max", "16384\n");
  mount.Put("memory.peak", "12000\n");
  mount.Put("memory.swap.current", "4096\n");
  mount.Put("memory.stat",
            "anon 5000\nfile 4000\nkernel 300\nfile_mapped 200\ninactive_anon 1\n"
            "inactive_file 2500\nactive_file 1500\nfile_dirty 31\nfile_writeback 32\n"
            "workingset_refault_anon 33\nworkingset_refault_file 34\npgscan 35\npgsteal 36\n"
            "pgfault 11\npgmajfault 2\n");
  mount.Put("memory.events", "low 0\nhigh 4\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n");
  mount.Put("pids.current", "4\n");
  mount.Put("pids.max", "max\n");
  mount.Put("hugetlb.2MB.current", "2097152\n");
  mount.Put("io.stat",
            "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n7:1\n"
            "254:16 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n");
  mount.Put("cpu.pressure",
            "some avg10=1.50 avg60=0.00 avg300=0.25 total=12\n"
            "full avg10=0.50 avg60=0.00 avg300=0.00 total=5\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"cpu", "memory", "pids", "io", "hugetlb"}};
  layout.hugepage_sizes = {"2MB", "1GB"};

  const auto stats = cgroup::ReadStats(layout, "/g");
  REQUIRE(stats.ok());
  CHECK(stats->cpu.usage_ns == 1'500'000);
  CHECK(stats->cpu.user_ns == 1'000'000);
  CHECK(stats->cpu.system_ns == 500'000);
  CHECK(stats->cpu.periods == 7);
  CHECK(stats->cpu.throttled_periods == 3);
  CHECK(stats->cpu.throttled_ns == 9000);
  CHECK(stats->cpu.burst_periods == 2);
  CHECK(stats->cpu.burst_ns == 6000);
  CHECK(stats->memory.usage_bytes == 10000);
  CHECK(stats->memory.working_set_bytes == 7500);
  CHECK(stats->memory.available_bytes == 16384 - 7500);
  CHECK(stats->memory.max_usage_bytes == 12000);
  CHECK(stats->memory.failures == 5);
  CHECK(stats->memory.rss_bytes == 5000);
  CHECK(stats->memory.cache_bytes == 4000);
  CHECK(stats->memory.mapped_file_bytes == 200);
  CHECK(stats->memory.swap_bytes == 4096);
  CHECK(stats->memory.kernel_bytes == 300);
  CHECK(stats->memory.page_faults == 11);
  CHECK(stats->memory.major_page_faults == 2);
  CHECK(stats->memory.oom_kills == 1);
  CHECK(stats->memory.active_file_bytes == 1500);
  CHECK(stats->memory.inactive_file_bytes == 2500);
  CHECK(stats->memory.high_events == 4);
  CHECK(stats->memory.file_dirty_bytes == 31);
  CHECK(stats->memory.file_writeback_bytes == 32);
  CHECK(stats->memory.anon_refaults == 33);
  CHECK(stats->memory.file_refaults == 34);
  CHECK(stats->memory.pages_scanned == 35);
  CHECK(stats->memory.pages_stolen == 36);
  CHECK(stats->pids == 4);
  CHECK_FALSE(stats->pids_limit.has_value());
  REQUIRE(stats->hugetlb.size() == 1);
  CHECK(stats->hugetlb[0].usage_bytes == 2097152);
  REQUIRE(stats->block_devices.size() == 2);
  CHECK(stats->block_devices[0].write_bytes == 200);
  CHECK(stats->block_devices[0].writes == 2);
  CHECK(stats->block_devices[1].major == 254);
  CHECK(stats->block_devices[1].minor == 16);
  REQUIRE(stats->cpu_pressure.has_value());
  CHECK(stats->cpu_pressure->some.avg10 == 1.5);
  CHECK(stats->cpu_pressure->some.total_ns == 12000);
  CHECK(stats->cpu_pressure->full.avg10 == 0.5);
  CHECK_FALSE(stats->io_pressure.has_value());
}

TEST_CASE("stats are read from the files of a v1 group beside cgroup2") {
  FakeMount v1, v2;
  v1.Put("cpuacct.usage", "123456\n");
  v1.Put("cpuacct.stat", "user 2\nsystem 1\n");
  v1.Put("cpu.stat",
         "nr_periods 7\nnr_throttled 3\nthrottled_time 900\nnr_bursts 1\nburst_time 20\n");
  v1.Put("memory.usage_in_bytes", "1000\n");
  v1.Put("memory.limit_in_bytes", "9223372036854771712\n");
  v1.Put("memory.stat",
         "cache 1\nrss 2\ninactive_file 3\ntotal_cache 10\ntotal_rss 20\ntotal_mapped_file 5\n"
         "total_swap 6\ntotal_pgfault 7\ntotal_pgmajfault 8\ntotal_inactive_file 3000\n"
         "total_active_file 9\n");
  v1.Put("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  v1.Put("pids.max", "100\n");
  v1.Put("blkio.throttle.io_service_bytes_recursive",
         "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Total 12288\nTotal 12288\n");
  v1.Put("blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Write 2\nTotal 3\n");
  cgroup::Layout layout;
  layout.v1 = {{v1.path, {"cpu", "cpuacct", "memory", "pids", "blkio"}}};
  layout.v2 = {v2.path, {}};

  const auto stats = cgroup::ReadStats(layout, "/g");
  REQUIRE(stats.ok());
  CHECK(stats->cpu.usage_ns == 123456);
  CHECK(stats->cpu.user_ns == 20'000'000);  // USER_HZ is 100 everywhere
  CHECK(stats->cpu.throttled_ns == 900);
  CHECK(stats->cpu.burst_periods == 1);
  CHECK(stats->cpu.burst_ns == 20);
  CHECK(stats->memory.working_set_bytes == 0);  // never less than 0
  CHECK_FALSE(stats->memory.limit_bytes.has_value());
  CHECK_FALSE(stats->memory.available_bytes.has_value());
  CHECK(stats->memory.rss_bytes == 20);
  CHECK(stats->memory.cache_bytes == 10);
  CHECK(stats->memory.oom_kills == 2);
  CHECK(stats->memory.active_file_bytes == 9);
  CHECK(stats->memory.inactive_file_bytes == 3000);
  CHECK_FALSE(stats->memory.high_events.has_value());
  CHECK_FALSE(stats->memory.kernel_bytes.has_value());
  CHECK(stats->pids_limit == 100);
  REQUIRE(stats->block_devices.size() == 1);
  CHECK(stats->block_devices[0].read_bytes == 4096);
  CHECK(stats->block_devices[0].write_bytes == 8192);
  CHECK(stats->block_devices[0].writes == 2);
}

TEST_CASE("an empty group has no values, a missing group is NotFound") {
  FakeMount mount;
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"cpu", "memory", "pids", "io"}};
  const auto stats = cgroup::ReadStats(layout, "/g");
  REQUIRE(stats.ok());
  CHECK_FALSE(stats->cpu.usage_ns.has_value());
  CHECK_FALSE(stats->memory.working_set_bytes.has_value());
  CHECK(stats->block_devices.empty());
  CHECK(absl::IsNotFound(cgroup::ReadStats(layout, "/gone").status()));
}

TEST_CASE("a file that cannot be parsed gives no value") {
  FakeMount mount;
  mount.Put("memory.current", "-5\n");
  mount.Put("memory.stat", "anon\nfile x\n\n \npgfault 99999999999999999999999\n");
  mount.Put("io.stat", "x:y rbytes=1\n8:0:1 rbytes=1\n 8:0 rbytes=1\n8:0 rbytes\n");
  mount.Put("cpu.pressure", "some\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"cpu", "memory", "pids", "io"}};
  const auto stats = cgroup::ReadStats(layout, "/g");
  REQUIRE(stats.ok());
  CHECK_FALSE(stats->memory.usage_bytes.has_value());
  CHECK_FALSE(stats->memory.rss_bytes.has_value());
  CHECK_FALSE(stats->memory.page_faults.has_value());
  REQUIRE(stats->block_devices.size() == 1);
  CHECK(stats->block_devices[0].read_bytes == 0);
}

TEST_CASE("usage needs only the files it is made of, and they are opened once") {
  FakeMount mount;
  mount.Put("cpu.stat", "usage_usec 1500\n");
  mount.Put("memory.current", "10000\n");
  mount.Put("memory.peak", "12000\n");
  mount.Put("pids.current", "4\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"cpu", "memory", "pids", "io"}};
  cgroup::KeptFiles kept;
  const auto read = [&] { return cgroup::ReadStats(layout, "/g", cgroup::Detail::kUsage, &kept); };
  REQUIRE(read().ok());
  CHECK(read()->memory.usage_bytes == 10000);
  CHECK_FALSE(read()->memory.max_usage_bytes.has_value());
  CHECK_FALSE(read()->pids.has_value());
  mount.Put("memory.current", "20000\n");  // the same file
  CHECK(read()->memory.usage_bytes == 20000);
  REQUIRE(unlink((mount.path + "/g/memory.current").c_str()) == 0);
  CHECK(read()->memory.usage_bytes == 20000);  // still open
  mount.Put("memory.current", "30000\n");
  kept.Close();
  CHECK(read()->memory.usage_bytes == 30000);
}

TEST_CASE("a group that is removed and made anew is not read from its old files") {
  FakeMount mount;
  mount.Put("memory.current", "10000\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"memory"}};
  cgroup::KeptFiles kept;
  const auto read = [&] { return cgroup::ReadStats(layout, "/g", cgroup::Detail::kUsage, &kept); };
  CHECK(read()->memory.usage_bytes == 10000);
  // A file of a removed group cannot be read (ENODEV); an empty one cannot either.
  REQUIRE(truncate((mount.path + "/g/memory.current").c_str(), 0) == 0);
  REQUIRE(unlink((mount.path + "/g/memory.current").c_str()) == 0);
  CHECK_FALSE(read()->memory.usage_bytes.has_value());
  mount.Put("memory.current", "5\n");
  CHECK(read()->memory.usage_bytes == 5);
}

TEST_CASE("processes are counted in a group and below it") {
  FakeMount mount;
  mount.Put("cgroup.procs", "1\n2\n3\n");
  mount.Put("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {}};
  CHECK(cgroup::CountProcesses(layout, "/g", nullptr) == 3);
  REQUIRE(base::MakeDirs(mount.path + "/g/exec", 0700).ok());
  mount.Put("exec/cgroup.procs", "4\n");
  mount.Put("cgroup.stat", "nr_descendants 1\nnr_dying_descendants 0\n");
  CHECK(cgroup::CountProcesses(layout, "/g", nullptr) == 4);
}

TEST_CASE("a meter keeps what it read last, of one group, until that is gone") {
  FakeMount mount;
  mount.Put("cpu.stat", "usage_usec 1500\n");
  mount.Put("cgroup.procs", "1\n2\n");
  mount.Put("cgroup.stat", "nr_descendants 0\n");
  cgroup::Layout layout;
  layout.v2 = {mount.path, {"cpu"}};
  cgroup::Meter meter;
  CHECK(meter.read_at_ns() == 0);
  CHECK_FALSE(meter.last("/g").has_value());
  meter.Read(layout, "/g", cgroup::Meter::Processes::kCount);
  CHECK(meter.read_at_ns() > 0);
  mount.Put("cpu.stat", "usage_usec 2500\n");
  REQUIRE(meter.last("/g").has_value());
  CHECK(meter.last("/g")->stats.cpu.usage_ns == 1'500'000u);
  CHECK(meter.last("/g")->processes == 2);
  CHECK(meter.last("/g")->taken_at_ns > 0);
  CHECK_FALSE(meter.last("/other").has_value());
  meter.Read(layout, "/other", cgroup::Meter::Processes::kCount);
  CHECK(meter.read_at_ns() == 0);  // to be tried again at once
  CHECK_FALSE(meter.last("/g").has_value());
  CHECK_FALSE(meter.last("/other").has_value());
}
