#include "cri/stats_message.h"

#include <algorithm>

namespace crisp::cri {
namespace {

namespace v1 = ::runtime::v1;

template <typename Message>
void Set(const cgroup::Count& from, v1::UInt64Value* (Message::*to)(), Message& message) {
  if (from.has_value()) (message.*to)()->set_value(*from);
}

void FillPressureLine(const cgroup::PressureLine& line, v1::PsiData& data) {
  data.set_total(line.total_ns);
  data.set_avg10(line.avg10);
  data.set_avg60(line.avg60);
  data.set_avg300(line.avg300);
}

template <typename Message>
void FillPressure(const std::optional<cgroup::Pressure>& pressure, Message& message) {
  if (!pressure.has_value()) return;
  FillPressureLine(pressure->some, *message.mutable_psi()->mutable_some());
  FillPressureLine(pressure->full, *message.mutable_psi()->mutable_full());
}

void FillInterface(const cni::InterfaceStats& from, v1::NetworkInterfaceUsage& to) {
  to.set_name(from.name);
  to.mutable_rx_bytes()->set_value(from.rx_bytes);
  to.mutable_rx_errors()->set_value(from.rx_errors);
  to.mutable_tx_bytes()->set_value(from.tx_bytes);
  to.mutable_tx_errors()->set_value(from.tx_errors);
}

}  // namespace

void FillCpu(const cgroup::Usage& usage, v1::CpuUsage& cpu) {
  cpu.set_timestamp(usage.taken_at_ns);
  Set(usage.stats.cpu.usage_ns, &v1::CpuUsage::mutable_usage_core_nano_seconds, cpu);
  Set(usage.nano_cores, &v1::CpuUsage::mutable_usage_nano_cores, cpu);
  FillPressure(usage.stats.cpu_pressure, cpu);
}

void FillMemory(const cgroup::Usage& usage, v1::MemoryUsage& memory) {
  const cgroup::MemoryStats& stats = usage.stats.memory;
  memory.set_timestamp(usage.taken_at_ns);
  Set(stats.working_set_bytes, &v1::MemoryUsage::mutable_working_set_bytes, memory);
  Set(stats.available_bytes, &v1::MemoryUsage::mutable_available_bytes, memory);
  Set(stats.usage_bytes, &v1::MemoryUsage::mutable_usage_bytes, memory);
  Set(stats.rss_bytes, &v1::MemoryUsage::mutable_rss_bytes, memory);
  Set(stats.page_faults, &v1::MemoryUsage::mutable_page_faults, memory);
  Set(stats.major_page_faults, &v1::MemoryUsage::mutable_major_page_faults, memory);
  FillPressure(usage.stats.memory_pressure, memory);
}

void FillSwap(const cgroup::Usage& usage, v1::SwapUsage& swap) {
  const cgroup::MemoryStats& stats = usage.stats.memory;
  swap.set_timestamp(usage.taken_at_ns);
  Set(stats.swap_bytes, &v1::SwapUsage::mutable_swap_usage_bytes, swap);
  if (stats.swap_bytes.has_value() && stats.swap_limit_bytes.has_value()) {
    const uint64_t limit = *stats.swap_limit_bytes;
    swap.mutable_swap_available_bytes()->set_value(limit - std::min(limit, *stats.swap_bytes));
  }
}

void FillIo(const cgroup::Usage& usage, v1::IoUsage& io) {
  io.set_timestamp(usage.taken_at_ns);
  FillPressure(usage.stats.io_pressure, io);
}

bool FillNetwork(const std::vector<cni::InterfaceStats>& interfaces, int64_t taken_at_ns,
                 v1::NetworkUsage& network) {
  const auto is_lo = [](const cni::InterfaceStats& interface) { return interface.name == "lo"; };
  auto first = std::find_if(interfaces.begin(), interfaces.end(),
                            [](const cni::InterfaceStats& i) { return i.name == "eth0"; });
  if (first == interfaces.end())
    first = std::find_if_not(interfaces.begin(), interfaces.end(), is_lo);
  if (first == interfaces.end()) return false;
  network.set_timestamp(taken_at_ns);
  FillInterface(*first, *network.mutable_default_interface());
  for (auto it = interfaces.begin(); it != interfaces.end(); ++it) {
    if (it != first && !is_lo(*it)) FillInterface(*it, *network.add_interfaces());
  }
  return true;
}

v1::ContainerStats StatsMessage(const container::Container& container,
                                const runtime::ContainerUsage& usage,
                                const std::string& layers_root) {
  v1::ContainerStats message;
  container.Read([&](const store::ContainerRecord& record) {
    v1::ContainerAttributes& attributes = *message.mutable_attributes();
    attributes.set_id(record.id.str());
    *attributes.mutable_metadata() = record.config.metadata();
    *attributes.mutable_labels() = record.config.labels();
    *attributes.mutable_annotations() = record.config.annotations();
  });
  if (usage.cgroup.has_value()) {
    FillCpu(*usage.cgroup, *message.mutable_cpu());
    FillMemory(*usage.cgroup, *message.mutable_memory());
    if (usage.cgroup->stats.memory.swap_bytes.has_value())
      FillSwap(*usage.cgroup, *message.mutable_swap());
    if (usage.cgroup->stats.io_pressure.has_value()) FillIo(*usage.cgroup, *message.mutable_io());
  }
  if (usage.writable_layer.has_value()) {
    v1::FilesystemUsage& layer = *message.mutable_writable_layer();
    layer.set_timestamp(usage.writable_layer->taken_at_ns);
    layer.mutable_fs_id()->set_mountpoint(layers_root);
    layer.mutable_used_bytes()->set_value(usage.writable_layer->usage.bytes);
    layer.mutable_inodes_used()->set_value(usage.writable_layer->usage.inodes);
  }
  return message;
}

void FillPod(const runtime::PodUsage& usage, v1::LinuxPodSandboxStats& pod) {
  if (!usage.cgroup.has_value()) return;
  FillCpu(*usage.cgroup, *pod.mutable_cpu());
  FillMemory(*usage.cgroup, *pod.mutable_memory());
  if (usage.cgroup->stats.io_pressure.has_value()) FillIo(*usage.cgroup, *pod.mutable_io());
  const int64_t taken_at_ns = usage.cgroup->taken_at_ns;
  pod.mutable_process()->set_timestamp(taken_at_ns);
  pod.mutable_process()->mutable_process_count()->set_value(usage.cgroup->processes);
  v1::NetworkUsage network;
  if (FillNetwork(usage.interfaces, taken_at_ns, network))
    *pod.mutable_network() = std::move(network);
}

}  // namespace crisp::cri
