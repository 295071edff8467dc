#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "shim_client/facts.h"

namespace crisp::shim_client {

absl::StatusOr<shim::v1::Started> ReadInit(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kInitFile)));
  return base::DecodeJson(base::kInitFile, text, [](const base::Json& json) {
    shim::v1::Started started;
    started.set_pid(json.at("pid"));
    started.set_start_ticks(json.at("start_ticks"));
    started.set_started_at_ns(json.at("started_at_ns"));
    started.set_shim_pid(json.at("shim_pid"));
    started.set_shim_start_ticks(json.at("shim_start_ticks"));
    for (const base::Json& entry : json.at("phases")) {
      shim::v1::Phase* phase = started.add_phases();
      phase->set_name(entry.at("name"));
      phase->set_duration_ns(entry.at("duration_ns"));
    }
    return started;
  });
}

absl::StatusOr<ExitFact> ReadExit(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kExitFile)));
  return base::DecodeJson(base::kExitFile, text, [](const base::Json& json) {
    return ExitFact{.exit_code = json.at("exit_code"),
                    .oom_killed = json.at("oom_killed"),
                    .finished_at_ns = json.at("finished_at_ns")};
  });
}

}  // namespace crisp::shim_client
