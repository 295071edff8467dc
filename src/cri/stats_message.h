// CRI's usage messages from what the kernel counts. Parts that are absent stay unset.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cgroup/meter.h"
#include "cni/netns.h"
#include "runtime/api.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cri {

void FillCpu(const cgroup::Usage& usage, ::runtime::v1::CpuUsage& cpu);
void FillMemory(const cgroup::Usage& usage, ::runtime::v1::MemoryUsage& memory);
void FillSwap(const cgroup::Usage& usage, ::runtime::v1::SwapUsage& swap);
void FillIo(const cgroup::Usage& usage, ::runtime::v1::IoUsage& io);
// The pod's first interface but `lo` is the default one: eth0 with any CNI configuration kubelet
// works with. False, and nothing filled, without one: kubelet dereferences default_interface.
// `taken_at_ns`: wall clock.
bool FillNetwork(const std::vector<cni::InterfaceStats>& interfaces, int64_t taken_at_ns,
                 ::runtime::v1::NetworkUsage& network);

// A container's statistics. Parts that vanished meanwhile stay unset; that fails no list.
// `layers_root`: the directory the writable layers are in.
::runtime::v1::ContainerStats StatsMessage(const container::Container& container,
                                           const runtime::ContainerUsage& usage,
                                           const std::string& layers_root);
// Of the pod itself; its containers are not filled in.
void FillPod(const runtime::PodUsage& usage, ::runtime::v1::LinuxPodSandboxStats& pod);

}  // namespace crisp::cri
