#include "bench/report.h"

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

template <typename Of>
std::vector<int64_t> Each(const std::vector<PodTimes>& pods, Of of) {
  std::vector<int64_t> values;
  for (const PodTimes& pod : pods) values.push_back(of(pod));
  return values;
}

template <typename Of>
int64_t MedianOf(const Network& network, Of of) {
  return Percentile(Each(network.pods, of), 50);
}

void PrintRow(const std::string& name, const std::vector<int64_t>& values, int64_t runc,
              int64_t floor) {
  const int64_t median = Percentile(values, 50);
  absl::PrintF("%-34s %10.2f %10.2f %10.2f %10.1f\n", name, Millis(median),
               Millis(Percentile(values, 95)), Ratio(median, runc), Ratio(median, floor));
}

void PrintNetwork(const Network& network, int64_t floor) {
  const int64_t runc = Percentile(network.runc, 50);
  absl::PrintF("%s\n", network.name);
  PrintRow("  runc run true", network.runc, runc, floor);
  const auto row = [&](const char* name, auto of) {
    PrintRow(name, Each(network.pods, of), runc, floor);
  };
  row("  RunPodSandbox", [](const PodTimes& t) { return t.run_pod; });
  row("  CreateContainer", [](const PodTimes& t) { return t.create; });
  row("  StartContainer", [](const PodTimes& t) { return t.start; });
  row("  = pod up", [](const PodTimes& t) { return t.Up(); });
  row("  ExecSync true", [](const PodTimes& t) { return t.exec; });
  row("  StopContainer", [](const PodTimes& t) { return t.stop; });
  row("  RemoveContainer", [](const PodTimes& t) { return t.remove; });
  row("  StopPodSandbox", [](const PodTimes& t) { return t.stop_pod; });
  row("  RemovePodSandbox", [](const PodTimes& t) { return t.remove_pod; });
  row("  = pod down", [](const PodTimes& t) { return t.Down(); });
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

void Expect(const std::string& what, double limit, double measured) {
  absl::PrintF("  %-52s <= %6.2f: %7.2f  %s\n", what, limit, measured,
               measured <= limit ? "reached" : "NOT REACHED");
}

int64_t MedianPodPss(const MemoryUse& use) {
  std::vector<int64_t> values;
  for (const PodMemory& pod : use.pods) values.push_back(pod.pss);
  return Percentile(values, 50);
}

}  // namespace

int64_t Percentile(std::vector<int64_t> values, int p) {
  std::sort(values.begin(), values.end());
  const size_t rank = (values.size() * p + 99) / 100;
  return values[std::max<size_t>(rank, 1) - 1];
}

void PrintTimes(const Rounds& rounds) {
  const int64_t floor = Percentile(rounds.floor, 50);
  absl::PrintF("\n%-34s %10s %10s %10s %10s\n", "", "median ms", "p95 ms", "/ runc run", "/ floor");
  absl::PrintF("%-34s %10.2f %10.2f\n", "kernel floor", Millis(floor),
               Millis(Percentile(rounds.floor, 95)));
  PrintNetwork(rounds.host, floor);
  PrintNetwork(rounds.bridge, floor);
}

void PrintTimeline(const Network& network) {
  const int64_t median_up = MedianOf(network, [](const PodTimes& t) { return t.Up(); });
  const auto median_pod = std::find_if(network.pods.begin(), network.pods.end(),
                                       [&](const PodTimes& t) { return t.Up() == median_up; });
  std::vector<std::vector<Phase>> all;
  for (const PodTimes& pod : network.pods) all.push_back(Timeline(pod));
  absl::PrintF("\n%-46s %12s %12s\n", absl::StrCat("median pod up, ", network.name, " (ms)"),
               "that pod", "all, median");
  const std::vector<Phase> entries = Timeline(*median_pod);
  int small = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    std::vector<int64_t> same;  // by position: a step may appear twice
    for (const std::vector<Phase>& timeline : all) {
      if (i < timeline.size() && timeline[i].name == entries[i].name) {
        same.push_back(timeline[i].ns);
      }
    }
    const int64_t median = Percentile(same, 50);
    if (std::max(entries[i].ns, median) < kShownNs) {
      ++small;
      continue;
    }
    absl::PrintF("%-46s %12.3f %12.3f\n", entries[i].name, Millis(entries[i].ns), Millis(median));
  }
  absl::PrintF("  (%d phases below %.2f ms are not shown)\n", small, Millis(kShownNs));
  PrintCostliest(*median_pod);
}

void PrintMemory(const MemoryUse& use) {
  std::vector<int64_t> own;
  for (const PodMemory& pod : use.pods) own.push_back(pod.private_);
  absl::PrintF("\nmemory, %2d pods of one container running (KiB)    median      max\n",
               use.pods.size());
  const auto row = [](const char* name, const std::vector<int64_t>& values) {
    absl::PrintF("%-46s %8d %8d\n", name, Percentile(values, 50), Percentile(values, 100));
  };
  std::vector<int64_t> pss;
  for (const PodMemory& pod : use.pods) pss.push_back(pod.pss);
  row("  per pod (pause + shim): PSS", pss);
  row("  per pod (pause + shim): private", own);
  row("  idle shim: private", use.shims);
  absl::PrintF("%-46s %8d\n", "  crispd: RSS", use.crispd_rss);
}

void PrintExpectations(const Rounds& rounds, const MemoryUse* use) {
  const auto up = [](const PodTimes& t) { return t.Up(); };
  const auto exec = [](const PodTimes& t) { return t.exec; };
  const auto start = [](const PodTimes& t) { return t.start; };
  absl::PrintF("\nexpected (printed, not judged)\n");
  for (const Network* network : {&rounds.host, &rounds.bridge}) {
    const int64_t runc = Percentile(network->runc, 50);
    Expect(network->name + ": ExecSync / runc run", 0.2, Ratio(MedianOf(*network, exec), runc));
    if (network == &rounds.host) {
      Expect(network->name + ": pod up / runc run", 0.5, Ratio(MedianOf(*network, up), runc));
    }
    Expect(network->name + ": StartContainer / kernel floor", 3,
           Ratio(MedianOf(*network, start), Percentile(rounds.floor, 50)));
  }
  if (use == nullptr) return;
  Expect("PSS of pause and shim per pod, KiB", 140, static_cast<double>(MedianPodPss(*use)));
}

}  // namespace crisp::bench
