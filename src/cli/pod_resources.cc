#include "cli/pod_resources.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace crisp::cli {
namespace {

using Amounts = std::map<std::string, Quantity>;
using LinuxResources = ::runtime::v1::LinuxContainerResources;

constexpr int64_t kPeriodMicros = 100'000;

Quantity AmountOf(const Amounts& amounts, const std::string& name) {
  const auto found = amounts.find(name);
  return found == amounts.end() ? Quantity() : found->second;
}

int64_t SharesFor(int64_t milli_cpus) {
  constexpr int64_t kMin = 2, kMax = 262144;
  // More than kMax thousandths are more than kMax shares: cut first, so that nothing overflows.
  return std::clamp(std::min(milli_cpus, kMax) * 1024 / 1000, kMin, kMax);
}

// 0 without a limit.
int64_t QuotaFor(int64_t milli_cpus) {
  constexpr int64_t kMinMicros = 1000;
  constexpr int64_t kMost = INT64_MAX / kPeriodMicros;
  if (milli_cpus == 0) return 0;
  return std::max(std::min(milli_cpus, kMost) * kPeriodMicros / 1000, kMinMicros);
}

// The most that ever runs at once: all containers with the sidecars, or an init container with the
// sidecars that were started before it.
Quantity Largest(const PodSpec& spec, const std::string& name, Amounts Resources::*amounts) {
  Quantity together, sidecars, largest;
  for (const Container& container : spec.containers)
    together = together + AmountOf(container.resources.*amounts, name);
  for (const Container& init : spec.init_containers) {
    const Quantity own = AmountOf(init.resources.*amounts, name);
    const Quantity now = sidecars + own;
    if (init.is_sidecar) sidecars = now;
    if (largest < now) largest = now;
  }
  together = together + sidecars;
  return largest < together ? together : largest;
}

// Whether any container has the amount. A request of zero counts.
bool AnyHas(const PodSpec& spec, const std::string& name, Amounts Resources::*amounts) {
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list) {
      if ((container.resources.*amounts).count(name) > 0) return true;
    }
  }
  return false;
}

LinuxResources CpuAndMemory(bool has_cpu_request, const Quantity& cpu_request,
                            const Quantity& cpu_limit, const Quantity& memory_limit,
                            const Node& node) {
  LinuxResources out;
  out.set_cpu_shares(SharesFor((has_cpu_request ? cpu_request : cpu_limit).MilliValue()));
  out.set_cpu_quota(QuotaFor(cpu_limit.MilliValue()));
  out.set_cpu_period(kPeriodMicros);
  out.set_memory_limit_in_bytes(memory_limit.Value());
  // One process out of memory ends the container, not a part of it.
  if (node.has_cgroup2) (*out.mutable_unified())["memory.oom.group"] = "1";
  return out;
}

int64_t OomScore(int64_t request, const Node& node) {
  const int64_t memory = std::max<int64_t>(node.memory_bytes, 1);
  return 1000 - 1000 * std::min(request, memory) / memory;
}

// Guaranteed pods are killed last, BestEffort first, others by how much they asked for. A sidecar
// is not killed before the containers that it serves.
int64_t OomScoreAdjust(const PodSpec& spec, const Container& container, const Node& node) {
  constexpr int64_t kGuaranteed = -997, kBestEffort = 1000, kLowestBurstable = 1000 + kGuaranteed;
  const QosClass qos = QosOf(spec);
  if (qos == QosClass::kGuaranteed) return kGuaranteed;
  if (qos == QosClass::kBestEffort) return kBestEffort;
  int64_t score = OomScore(AmountOf(container.resources.requests, "memory").Value(), node);
  if (container.is_sidecar && !spec.containers.empty()) {
    int64_t smallest = INT64_MAX;
    for (const Container& served : spec.containers)
      smallest = std::min(smallest, AmountOf(served.resources.requests, "memory").Value());
    score = std::min(score, OomScore(smallest, node));
  }
  return std::clamp(score, kLowestBurstable, kBestEffort - 1);
}

// "2Mi" of hugepages-2Mi as CRI writes it: "2MB".
std::string HugePageName(absl::string_view size) {
  return absl::StrReplaceAll(size, {{"Ki", "KB"}, {"Mi", "MB"}, {"Gi", "GB"}});
}

// A limit for every size that the machine has: 0 where the container asks for none.
void AddHugePages(const Container& container, const Node& node, LinuxResources& out) {
  constexpr absl::string_view kPrefix = "hugepages-";
  for (const std::string& size : node.huge_page_sizes) {
    auto* limit = out.add_hugepage_limits();
    limit->set_page_size(size);
    for (const auto& [name, amount] : container.resources.limits) {
      if (absl::StartsWith(name, kPrefix) && HugePageName(name.substr(kPrefix.size())) == size)
        limit->set_limit(static_cast<uint64_t>(amount.Value()));
    }
  }
}

void ForbidSwap(const Node& node, LinuxResources& out) {
  if (!node.has_swap_accounting) return;
  if (node.has_cgroup2) {
    (*out.mutable_unified())["memory.swap.max"] = "0";
  } else {
    out.set_memory_swap_limit_in_bytes(out.memory_limit_in_bytes());
  }
}

}  // namespace

QosClass QosOf(const PodSpec& spec) {
  bool has_any = false, is_guaranteed = true;
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list) {
      for (const char* name : {"cpu", "memory"}) {
        const Quantity request = AmountOf(container.resources.requests, name);
        const Quantity limit = AmountOf(container.resources.limits, name);
        has_any = has_any || !request.IsZero() || !limit.IsZero();
        is_guaranteed = is_guaranteed && !limit.IsZero() && request == limit;
      }
    }
  }
  if (!has_any) return QosClass::kBestEffort;
  return is_guaranteed ? QosClass::kGuaranteed : QosClass::kBurstable;
}

std::string CgroupParent(const Pod& pod, const std::string& uid, const Node& node) {
  const QosClass qos = QosOf(pod.spec);
  const std::string level = qos == QosClass::kBurstable    ? "burstable"
                            : qos == QosClass::kBestEffort ? "besteffort"
                                                           : "";
  if (!node.has_systemd_cgroups)
    return absl::StrCat("/kubepods/", level, level.empty() ? "" : "/", "pod", uid);
  // A '-' in the name of a slice makes a level.
  const std::string escaped = absl::StrReplaceAll(uid, {{"-", "_"}});
  if (level.empty()) return absl::StrCat("/kubepods.slice/kubepods-pod", escaped, ".slice");
  return absl::StrCat("/kubepods.slice/kubepods-", level, ".slice/kubepods-", level, "-pod",
                      escaped, ".slice");
}

LinuxResources SandboxResources(const PodSpec& spec, const Node& node) {
  return CpuAndMemory(
      AnyHas(spec, "cpu", &Resources::requests), Largest(spec, "cpu", &Resources::requests),
      Largest(spec, "cpu", &Resources::limits), Largest(spec, "memory", &Resources::limits), node);
}

LinuxResources ContainerResources(const PodSpec& spec, const Container& container,
                                  const Node& node) {
  const Resources& asked = container.resources;
  LinuxResources out =
      CpuAndMemory(asked.requests.count("cpu") > 0, AmountOf(asked.requests, "cpu"),
                   AmountOf(asked.limits, "cpu"), AmountOf(asked.limits, "memory"), node);
  out.set_oom_score_adj(OomScoreAdjust(spec, container, node));
  AddHugePages(container, node, out);
  ForbidSwap(node, out);
  return out;
}

int64_t PodMemoryLimit(const PodSpec& spec) {
  for (const Container& container : spec.containers) {
    if (AmountOf(container.resources.limits, "memory").IsZero()) return 0;
  }
  return Largest(spec, "memory", &Resources::limits).Value();
}

}  // namespace crisp::cli
