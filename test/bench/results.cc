#include "bench/results.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace crisp::bench {
namespace {

constexpr FigureInfo kFigures[] = {
    {"bridge: RunPodSandbox", "ms"},
    {"bridge: pod up", "ms", 12, 20},
    {"bridge: pod down", "ms", 12, 20},
    {"host network: RunPodSandbox", "ms"},
    {"host network: pod up", "ms", 15, 20},
    {"host network: pod down", "ms", 18, 25},
    {"CreateContainer", "ms"},
    {"StartContainer", "ms"},
    {"StartContainer / kernel floor", "times", 3, 2, /*compared=*/false},
    {"ExecSync", "ms", 15, 25},
    {"StopContainer", "ms"},
    {"RemoveContainer", "ms"},
    {"StopPodSandbox", "ms"},
    {"RemovePodSandbox", "ms"},
    {"CPU per exec", "ms", 12, 20},
    {"growth of the daemon by many execs", "KiB", 0, 0, /*compared=*/false},
    {"pods by several workers", "pods/s", 10, 15, /*compared=*/true, /*more_is_better=*/true},
    {"many pods at once, each", "ms"},
    {"pod up beside some pods", "ms"},
    {"pod up beside many pods", "ms"},
    {"pod up beside many pods / alone", "times", 1.3, 1.15, /*compared=*/false},
    {"kernel floor beside many pods", "ms", 0, 0, /*compared=*/false},
    {"memory per pod", "KiB", 140, 100, /*compared=*/false},
    {"memory of the daemon", "KiB"},
    {"ListPodSandbox, many pods", "ms"},
    {"ListContainers, many pods", "ms"},
    {"ListPodSandboxStats, many pods", "ms", 10, 3, /*compared=*/false},
    {"ListContainerStats, many pods", "ms"},
    {"daemon back with many pods", "ms", 500, 200, /*compared=*/false},
    {"pull of 10 layers", "ms", 4, 0},
    {"pull of one layer", "ms", 3.5, 0},
    {"disk of these images", "MiB"},
};
static_assert(std::size(kFigures) == static_cast<size_t>(Figure::kCount));

std::string Judged(const FigureInfo& info, double reached) {
  if (info.gate == 0 || reached == 0) return "";
  const auto holds = [&](double limit) {
    return info.compared ? reached >= limit : reached <= limit;
  };
  const char* word = holds(info.gate) ? "reached" : "MISSED";
  if (info.goal != 0 && holds(info.goal)) word = "goal";
  return absl::StrFormat("%s%g %s", info.compared ? "x" : "<=", info.gate, word);
}

std::string Shown(const std::vector<double>& values) {
  if (values.empty()) return absl::StrFormat("%10s %10s", "-", "-");
  return absl::StrFormat("%10.2f %10.2f", Percentile(values, 50), Percentile(values, 99));
}

}  // namespace

const FigureInfo& InfoOf(Figure figure) { return kFigures[static_cast<size_t>(figure)]; }

double Percentile(std::vector<double> values, int p) {
  std::sort(values.begin(), values.end());
  const size_t rank = (values.size() * static_cast<size_t>(p) + 99) / 100;
  return values[std::max<size_t>(rank, 1) - 1];
}

const std::vector<double>& Results::Values(Figure figure, size_t runtime) const {
  static const std::vector<double> none;
  const auto of_figure = values_.find(figure);
  if (of_figure == values_.end()) return none;
  const auto values = of_figure->second.find(runtime);
  return values == of_figure->second.end() ? none : values->second;
}

double Results::Ratio(Figure figure) const {
  const std::vector<double>& crisp = Values(figure, 0);
  const std::vector<double>& peer = Values(figure, 1);
  if (crisp.empty() || peer.empty()) return 0;
  const double a = Percentile(crisp, 50);
  const double b = Percentile(peer, 50);
  if (a <= 0 || b <= 0) return 0;
  return InfoOf(figure).more_is_better ? a / b : b / a;
}

void Results::Print() const {
  absl::PrintF("\n%-36s %-6s", "median, p99", "");
  for (const std::string& runtime : runtimes_) absl::PrintF(" %21s", runtime);
  absl::PrintF("   ratio\n");
  for (size_t i = 0; i < std::size(kFigures); ++i) {
    const auto figure = static_cast<Figure>(i);
    const FigureInfo& info = kFigures[i];
    if (values_.count(figure) == 0) continue;
    absl::PrintF("%-36s %-6s", info.name, info.unit);
    for (size_t runtime = 0; runtime < runtimes_.size(); ++runtime)
      absl::PrintF(" %s", Shown(Values(figure, runtime)));
    const double ratio = Ratio(figure);
    absl::PrintF(" %7s", ratio == 0 ? "" : absl::StrFormat("x%.1f", ratio));
    const std::vector<double>& own = Values(figure, 0);
    const double reached = info.compared || own.empty() ? ratio : Percentile(own, 50);
    absl::PrintF("  %s\n", Judged(info, reached));
  }
  if (!floor_.empty()) absl::PrintF("%-36s %-6s %s\n", "kernel floor", "ms", Shown(floor_));
}

}  // namespace crisp::bench
