#include "base/json.h"
#include "base/paths.h"
#include "ipc/facts.h"

namespace crisp::ipc {

std::string EncodeInit(const InitRecord& record) {
  base::Json json = {{"pid", record.pid()},
                     {"start_ticks", record.start_ticks()},
                     {"started_at_ns", record.started_at_ns()},
                     {"shim_pid", record.shim_pid()},
                     {"shim_start_ticks", record.shim_start_ticks()},
                     {"phases", base::Json::array()}};
  for (const ::shim::v1::Phase& phase : record.phases()) {
    json["phases"].push_back({{"name", phase.name()}, {"duration_ns", phase.duration_ns()}});
  }
  return base::DumpJson(json) + "\n";
}

absl::StatusOr<InitRecord> DecodeInit(absl::string_view text) {
  return base::DecodeJson(base::kInitFile, text, [](const base::Json& json) {
    InitRecord record;
    record.set_pid(json.at("pid"));
    record.set_start_ticks(json.at("start_ticks"));
    record.set_started_at_ns(json.at("started_at_ns"));
    record.set_shim_pid(json.at("shim_pid"));
    record.set_shim_start_ticks(json.at("shim_start_ticks"));
    for (const base::Json& entry : json.at("phases")) {
      ::shim::v1::Phase* phase = record.add_phases();
      phase->set_name(entry.at("name"));
      phase->set_duration_ns(entry.at("duration_ns"));
    }
    return record;
  });
}

std::string EncodeExit(const ExitRecord& record) {
  const base::Json json = {{"exit_code", record.exit_code},
                           {"oom_killed", record.oom_killed},
                           {"finished_at_ns", record.finished_at_ns}};
  return base::DumpJson(json) + "\n";
}

absl::StatusOr<ExitRecord> DecodeExit(absl::string_view text) {
  return base::DecodeJson(base::kExitFile, text, [](const base::Json& json) {
    return ExitRecord{.exit_code = json.at("exit_code"),
                      .oom_killed = json.at("oom_killed"),
                      .finished_at_ns = json.at("finished_at_ns")};
  });
}

}  // namespace crisp::ipc
