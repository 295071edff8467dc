#include "bench/info_codec.h"

#include <stdexcept>

#include "base/json.h"

namespace crisp::bench {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
  return *std::move(value);
}

}  // namespace

Info DecodeInfo(const std::string& text) {
  return Must(base::DecodeJson("verbose info", text, [](const base::Json& json) {
    Info info;
    info.pid = json.at("pid").get<pid_t>();
    for (const base::Json& phase : json.value("phases", base::Json::array())) {
      info.phases.push_back({.name = phase.at("name").get<std::string>(),
                             .ns = phase.at("durationNs").get<int64_t>()});
    }
    return info;
  }));
}

}  // namespace crisp::bench
