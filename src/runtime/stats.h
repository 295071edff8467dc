// What containers, pods and image layers use, read from the kernel and the snapshots at the moment
// of the call. Takes no operation lock and talks to no shim. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "runtime/api.h"
#include "runtime/core.h"

namespace crisp::runtime {

class Stats final : public StatsApi {
 public:
  explicit Stats(Core& core) : core_(core) {}

  ContainerUsage Container(container::Container& container) override;
  PodUsage Pod(sandbox::Sandbox& sandbox, bool own_parent) override;
  absl::StatusOr<std::vector<cni::InterfaceStats>> Interfaces(
      const store::SandboxRecord& pod) const override;
  absl::StatusOr<metrics::ContainerReadings> Metrics(
      const container::Container& container, const store::SandboxRecord& pod) const override;
  metrics::MetricLabels PodLabels(const store::SandboxRecord& pod) const override;
  metrics::MetricHost Host() const override;
  snapshot::Usage Layers() const override { return core_.snapshots.LayersUsage(); }
  std::string LayersRoot() const override { return core_.snapshots.root(); }

 private:
  Core& core_;
};

// Of several cgroups together, the numbers that have a sum. Pressure is a share of time and has
// none.
cgroup::Stats SumUsage(const std::vector<cgroup::Stats>& groups);

}  // namespace crisp::runtime
