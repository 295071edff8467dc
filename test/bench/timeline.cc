#include "bench/timeline.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace crisp::bench {
namespace {

constexpr int64_t kShownNs = 20'000;

double Millis(int64_t ns) { return static_cast<double>(ns) / 1e6; }

double Ratio(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

int64_t Median(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

// A phase "a: b" is part of another phase, which has its own entry.
bool IsPart(const Phase& phase) { return absl::StrContains(phase.name, ": "); }

// The start of a pod: the calls, their phases, and the rest of a call that no phase covers.
std::vector<Phase> Timeline(const PodTimes& pod) {
  std::vector<Phase> entries;
  const auto add = [&](const std::string& call, int64_t total, const std::vector<Phase>& phases) {
    entries.push_back({.name = call, .ns = total});
    for (const Phase& phase : phases) {
      const char* indent = IsPart(phase) ? "      " : "    ";
      entries.push_back({.name = absl::StrCat(indent, phase.name), .ns = phase.ns});
      if (!IsPart(phase)) total -= phase.ns;
    }
    entries.push_back({.name = "    outside the phases", .ns = total});
  };
  add("  RunPodSandbox", pod.run_pod, pod.pod_phases);
  entries.push_back({.name = "  CreateContainer", .ns = pod.create});
  add("  StartContainer", pod.start, pod.container_phases);
  return entries;
}

void PrintCostliest(const PodTimes& pod) {
  std::vector<Phase> costs = {{.name = "CreateContainer", .ns = pod.create}};
  const auto add = [&](const std::string& call, int64_t total, const std::vector<Phase>& phases) {
    for (const Phase& phase : phases) {
      if (IsPart(phase)) continue;
      costs.push_back({.name = absl::StrCat(call, ": ", phase.name), .ns = phase.ns});
      total -= phase.ns;
    }
    costs.push_back({.name = call + ": outside the phases", .ns = total});
  };
  add("RunPodSandbox", pod.run_pod, pod.pod_phases);
  add("StartContainer", pod.start, pod.container_phases);
  std::sort(costs.begin(), costs.end(), [](const Phase& a, const Phase& b) { return a.ns > b.ns; });
  for (size_t i = 0; i < 3; ++i) {
    absl::PrintF("  costliest %d: %s, %.2f ms (%.0f%% of pod up)\n", i + 1, costs[i].name,
                 Millis(costs[i].ns), 100 * Ratio(costs[i].ns, pod.Up()));
  }
}

}  // namespace

void PrintTimeline(const std::string& name, const std::vector<PodTimes>& pods) {
  std::vector<int64_t> ups;
  for (const PodTimes& pod : pods) ups.push_back(pod.Up());
  const int64_t median_up = Median(ups);
  const auto median_pod = std::find_if(pods.begin(), pods.end(),
                                       [&](const PodTimes& pod) { return pod.Up() == median_up; });
  std::vector<std::vector<Phase>> all;
  for (const PodTimes& pod : pods) all.push_back(Timeline(pod));
  absl::PrintF("\n%-46s %12s %12s\n", absl::StrCat("median pod up, ", name, " (ms)"), "that pod",
               "all, median");
  const std::vector<Phase> entries = Timeline(*median_pod);
  int small = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    std::vector<int64_t> same;  // by position: a step may appear twice
    for (const std::vector<Phase>& timeline : all) {
      if (i < timeline.size() && timeline[i].name == entries[i].name) {
        same.push_back(timeline[i].ns);
      }
    }
    const int64_t median = Median(same);
    if (std::max(entries[i].ns, median) < kShownNs) {
      ++small;
      continue;
    }
    absl::PrintF("%-46s %12.3f %12.3f\n", entries[i].name, Millis(entries[i].ns), Millis(median));
  }
  absl::PrintF("  (%d phases below %.2f ms are not shown)\n", small, Millis(kShownNs));
  PrintCostliest(*median_pod);
}

}  // namespace crisp::bench
