#include "cri/stats_message.h"

#include <catch2/catch.hpp>

namespace crisp::cri {

namespace v1 = ::runtime::v1;

TEST_CASE("parts the kernel does not give stay unset") {
  v1::MemoryUsage memory;
  cgroup::Usage none;
  none.taken_at_ns = 5;
  FillMemory(none, memory);
  CHECK(memory.timestamp() == 5);
  CHECK_FALSE(memory.has_working_set_bytes());
  CHECK_FALSE(memory.has_psi());
  v1::CpuUsage cpu;
  FillCpu(none, cpu);
  CHECK_FALSE(cpu.has_usage_core_nano_seconds());
  CHECK_FALSE(cpu.has_usage_nano_cores());
}

TEST_CASE("pressure and swap") {
  cgroup::Usage usage;
  usage.nano_cores = 9;
  usage.stats.cpu_pressure = cgroup::Pressure{.some = {1.5, 2, 3, 77}, .full = {0, 0, 0, 5}};
  usage.stats.memory.swap_bytes = 30;
  usage.stats.memory.swap_limit_bytes = 100;
  v1::CpuUsage cpu;
  FillCpu(usage, cpu);
  CHECK(cpu.usage_nano_cores().value() == 9);
  CHECK(cpu.psi().some().total() == 77);
  CHECK(cpu.psi().some().avg10() == 1.5);
  CHECK(cpu.psi().full().total() == 5);
  v1::SwapUsage swap;
  FillSwap(usage, swap);
  CHECK(swap.swap_usage_bytes().value() == 30);
  CHECK(swap.swap_available_bytes().value() == 70);
}

TEST_CASE("eth0 is the default interface, lo is none") {
  const auto make = [](const char* name, uint64_t rx) {
    cni::InterfaceStats stats;
    stats.name = name;
    stats.rx_bytes = rx;
    return stats;
  };
  v1::NetworkUsage network;
  REQUIRE(FillNetwork({make("lo", 1), make("net1", 2), make("eth0", 3)}, 5, network));
  CHECK(network.default_interface().name() == "eth0");
  CHECK(network.default_interface().rx_bytes().value() == 3);
  REQUIRE(network.interfaces_size() == 1);
  CHECK(network.interfaces(0).name() == "net1");
  v1::NetworkUsage other;
  REQUIRE(FillNetwork({make("lo", 1), make("net1", 2)}, 5, other));
  CHECK(other.default_interface().name() == "net1");
  v1::NetworkUsage none;
  CHECK_FALSE(FillNetwork({make("lo", 1)}, 5, none));
  CHECK_FALSE(none.has_default_interface());
}

}  // namespace crisp::cri
