// What containers, pods and image layers use: counters of the kernel are read at the moment of the
// call, as many as a short time allows; what lies on disks and what containers can make large is
// measured beforehand. Takes no operation lock and talks to no shim. Thread-safe.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "runtime/api.h"
#include "runtime/core.h"
#include "runtime/measurer.h"
#include "runtime/oldest_first.h"

namespace crisp::runtime {

class Stats final : public StatsApi {
 public:
  explicit Stats(Core& core);

  // Begins to measure, after the objects were recovered.
  absl::Status Start() { return measurer_.Start(); }
  void Stop() { measurer_.Stop(); }

  void Refresh(const std::vector<ContainerPtr>& containers,
               const std::vector<SandboxPtr>& sandboxes) override;
  ContainerUsage Container(container::Container& container) const override;
  PodUsage Pod(sandbox::Sandbox& sandbox,
               const std::vector<ContainerUsage>& containers) const override;
  absl::StatusOr<std::vector<cni::InterfaceStats>> Interfaces(
      const sandbox::Sandbox& sandbox) const override;
  absl::StatusOr<metrics::ContainerReadings> Metrics(container::Container& container,
                                                     const store::SandboxRecord& pod) override;
  absl::StatusOr<metrics::ContainerReadings> PodMetrics(sandbox::Sandbox& sandbox) override;
  metrics::MetricLabels PodLabels(const store::SandboxRecord& pod) const override;
  metrics::MetricHost Host() const override;
  snapshot::Usage Layers() const override { return core_.snapshots.LayersUsage(); }
  std::string LayersRoot() const override { return core_.snapshots.root(); }

 private:
  void MeasureHost();
  std::vector<Reading> Readings(const std::vector<ContainerPtr>& containers,
                                const std::vector<SandboxPtr>& sandboxes);
  void ReadPod(sandbox::Sandbox& sandbox) const;
  // The one that kubelet has made for the pod; empty when it is in another one.
  std::string PodGroup(const sandbox::Sandbox& sandbox) const;
  linux::OpenFiles CountOpenFiles(const container::Container& container, uint64_t most) const;

  Core& core_;
  // By the monotonic clock; 0: never.
  std::atomic<int64_t> metrics_asked_ns_{0};
  std::atomic<int64_t> left_out_ns_{0};  // a Refresh had no time for all
  absl::Mutex mu_;
  metrics::MetricFilesystem filesystem_ ABSL_GUARDED_BY(mu_);  // of the snapshots
  Measurer measurer_;
};

// Whether kubelet has made the group for this pod alone, by its name: ".../pod<uid>" or, as a
// slice, "...-pod<uid with _>.slice".
bool IsPodGroup(absl::string_view group, absl::string_view uid);

// Of several cgroups together, at least one, the numbers that have a sum, as old as the oldest.
// Pressure is a share of time and has none.
cgroup::Usage SumUsage(const std::vector<cgroup::Usage>& groups);

}  // namespace crisp::runtime
