// What was measured, by figure and runtime: as a table, as JSON and as a chart. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace crisp::bench {

// In the order in which they are printed.
enum class Figure {
  kBridgeRun,
  kBridgeUp,
  kBridgeDown,
  kHostRun,
  kHostUp,
  kHostDown,
  kCreate,
  kStart,
  kStartToFloor,
  kExec,
  kStop,
  kRemove,
  kStopPod,
  kRemovePod,
  kCpuPerExec,
  kExecGrowth,
  kWorkers,
  kBurst,
  kUpBesideFew,
  kUpBesideMany,
  kUpManyToOne,
  kFloorBesideMany,
  kPodMemory,
  kDaemonMemory,
  kListPods,
  kListContainers,
  kPodStats,
  kContainerStats,
  kRestart,
  kPullLayers,
  kPullLayer,
  kDisk,
  kCount,
};

struct FigureInfo {
  const char* name;
  const char* unit;
  // What is to be reached and what is tried for: of a figure that is compared, how many times as
  // good as the peer; of one that is not, the value. 0: nothing is.
  double gate = 0;
  double goal = 0;
  bool compared = true;
  bool more_is_better = false;
};
const FigureInfo& InfoOf(Figure figure);

class Results {
 public:
  // The names of the runtimes, crisp first.
  explicit Results(std::vector<std::string> runtimes) : runtimes_(std::move(runtimes)) {}

  // `runtime`: its place in the list. Each figure may get any number of values.
  void Add(Figure figure, size_t runtime, double value) {
    values_[figure][runtime].push_back(value);
  }
  // The kernel alone: clone3(2) with all namespaces, an overlay and execve(2), in milliseconds.
  void AddFloor(double value) { floor_.push_back(value); }

  const std::vector<std::string>& runtimes() const { return runtimes_; }
  const std::vector<double>& floor() const { return floor_; }
  // Empty when it was not measured.
  const std::vector<double>& Values(Figure figure, size_t runtime) const;
  // How many times as good crisp is; 0 without values of both.
  double Ratio(Figure figure) const;

  void Print() const;
  std::string Json() const;   // results_codec.cc
  std::string Chart() const;  // SVG, chart.cc

 private:
  const std::vector<std::string> runtimes_;
  std::map<Figure, std::map<size_t, std::vector<double>>> values_;
  std::vector<double> floor_;
};

// The p-th percentile (nearest rank) of values that are not empty; 50 is the median.
double Percentile(std::vector<double> values, int p);

}  // namespace crisp::bench
