#include "base/json.h"
#include "cli/play_records.h"

namespace crisp::cli {
namespace {

using base::Json;

Phase PhaseOf(const std::string& name) {
  for (const Phase phase : {Phase::kRunning, Phase::kSucceeded, Phase::kFailed}) {
    if (PhaseName(phase) == name) return phase;
  }
  return Phase::kPending;
}

}  // namespace

std::string EncodePodRecord(const PodRecord& record) {
  Json out = {{"namespace", record.namespace_}, {"name", record.name}, {"uid", record.uid}};
  if (record.users.has_value()) out["users"] = *record.users;
  return base::DumpJson(out) + "\n";
}

absl::StatusOr<PodRecord> DecodePodRecord(absl::string_view text) {
  return base::DecodeJson("pod.json", text, [](const Json& value) {
    PodRecord record;
    value.at("namespace").get_to(record.namespace_);
    value.at("name").get_to(record.name);
    value.at("uid").get_to(record.uid);
    if (value.contains("users")) record.users = value.at("users").get<uint32_t>();
    return record;
  });
}

std::string EncodePodReport(const PodReport& report) {
  Json containers = Json::array();
  for (const ContainerReport& one : report.containers) {
    containers.push_back({{"name", one.name},
                          {"state", one.state},
                          {"attempt", one.attempt},
                          {"exitCode", one.exit_code},
                          {"message", one.message},
                          {"isReady", one.is_ready}});
  }
  const Json out = {{"phase", std::string(PhaseName(report.phase))},
                    {"isOver", report.is_over},
                    {"isReady", report.is_ready},
                    {"message", report.message},
                    {"containers", std::move(containers)}};
  return base::DumpJson(out) + "\n";
}

absl::StatusOr<PodReport> DecodePodReport(absl::string_view text) {
  return base::DecodeJson("status.json", text, [](const Json& value) {
    PodReport report;
    report.phase = PhaseOf(value.at("phase").get<std::string>());
    value.at("isOver").get_to(report.is_over);
    value.at("isReady").get_to(report.is_ready);
    value.at("message").get_to(report.message);
    for (const Json& item : value.at("containers")) {
      ContainerReport& one = report.containers.emplace_back();
      item.at("name").get_to(one.name);
      item.at("state").get_to(one.state);
      item.at("attempt").get_to(one.attempt);
      item.at("exitCode").get_to(one.exit_code);
      item.at("message").get_to(one.message);
      item.at("isReady").get_to(one.is_ready);
    }
    return report;
  });
}

}  // namespace crisp::cli
