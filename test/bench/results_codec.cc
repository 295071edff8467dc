#include "base/json.h"
#include "bench/results.h"

namespace crisp::bench {

std::string Results::Json() const {
  const auto summary = [](const std::vector<double>& values) -> base::Json {
    if (values.empty()) return nullptr;
    return {{"median", Percentile(values, 50)},
            {"p99", Percentile(values, 99)},
            {"values", values.size()}};
  };
  base::Json figures = base::Json::array();
  for (const auto& [figure, by_runtime] : values_) {
    const FigureInfo& info = InfoOf(figure);
    base::Json entry = {{"name", info.name}, {"unit", info.unit}};
    for (const auto& [runtime, values] : by_runtime) entry[runtimes_[runtime]] = summary(values);
    if (const double ratio = Ratio(figure); ratio != 0) entry["ratio"] = ratio;
    if (info.gate != 0) entry["gate"] = info.gate;
    if (info.goal != 0) entry["goal"] = info.goal;
    figures.push_back(std::move(entry));
  }
  return base::DumpJson(
      {{"runtimes", runtimes_}, {"kernel_floor_ms", summary(floor_)}, {"figures", figures}}, 2);
}

}  // namespace crisp::bench
