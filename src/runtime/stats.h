// What containers, pods and image layers use: counters of the kernel are read at the moment of the
// call, what lies on disks and what containers can make large is measured beforehand. Takes no
// operation lock and talks to no shim. Thread-safe.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "runtime/api.h"
#include "runtime/core.h"
#include "runtime/measurer.h"

namespace crisp::runtime {

class Stats final : public StatsApi {
 public:
  explicit Stats(Core& core);

  // Begins to measure, after the objects were recovered.
  absl::Status Start() { return measurer_.Start(); }
  void Stop() { measurer_.Stop(); }

  ContainerUsage Container(container::Container& container) override;
  PodUsage Pod(sandbox::Sandbox& sandbox, bool own_parent,
               const std::vector<ContainerUsage>& containers) override;
  absl::StatusOr<std::vector<cni::InterfaceStats>> Interfaces(
      const sandbox::Sandbox& sandbox) const override;
  absl::StatusOr<metrics::ContainerReadings> Metrics(container::Container& container,
                                                     const store::SandboxRecord& pod) override;
  metrics::MetricLabels PodLabels(const store::SandboxRecord& pod) const override;
  metrics::MetricHost Host() const override;
  snapshot::Usage Layers() const override { return core_.snapshots.LayersUsage(); }
  std::string LayersRoot() const override { return core_.snapshots.root(); }

 private:
  void MeasureHost();
  linux::OpenFiles CountOpenFiles(const container::Container& container, uint64_t most) const;

  Core& core_;
  std::atomic<int64_t> metrics_asked_ns_{0};  // monotonic clock; 0: never
  absl::Mutex mu_;
  metrics::MetricFilesystem filesystem_ ABSL_GUARDED_BY(mu_);  // of the snapshots
  Measurer measurer_;
};

// Of several cgroups together, the numbers that have a sum. Pressure is a share of time and has
// none.
cgroup::Stats SumUsage(const std::vector<cgroup::Stats>& groups);

}  // namespace crisp::runtime
