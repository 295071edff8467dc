#include "base/file.h"
#include "base/status_macros.h"
#include "cri/info.h"
#include "cri/service.h"
#include "spec/container_spec.h"

namespace crisp::cri {
namespace {

void FillLife(const container::Container& container, const store::ContainerRecord& record,
              v1::ContainerStatus& status) {
  status.set_state(container.state());
  status.set_created_at(record.created_at_ns);
  if (record.outcome.has_value()) {
    status.set_started_at(record.outcome->started_at_ns);
    status.set_finished_at(record.outcome->finished_at_ns);
    status.set_exit_code(record.outcome->exit_code);
    status.set_reason(record.outcome->reason);
    status.set_message(record.outcome->message);
  } else if (const std::optional<container::Init> init = container.init(); init.has_value()) {
    status.set_started_at(init->started_at_ns);
  }
}

v1::ContainerStatus StatusMessage(const container::Container& container,
                                  const store::ContainerRecord& record) {
  v1::ContainerStatus status;
  status.set_id(record.id);
  *status.mutable_metadata() = record.config.metadata();
  FillLife(container, record, status);
  *status.mutable_image() = record.config.image();
  status.set_image_ref(record.image_id);
  status.set_image_id(record.image_id);
  *status.mutable_labels() = record.config.labels();
  *status.mutable_annotations() = record.config.annotations();
  *status.mutable_mounts() = record.config.mounts();
  status.set_log_path(record.log_path);
  *status.mutable_resources()->mutable_linux() = record.resources;
  *status.mutable_user() = record.user;
  const absl::StatusOr<int> signal = spec::SignalNumber(record.stop_signal);
  if (signal.ok()) status.set_stop_signal(spec::CriSignal(*signal));
  return status;
}

}  // namespace

absl::StatusOr<v1::ContainerStatusResponse> Service::ContainerStatus(
    const v1::ContainerStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, containers_.Find(request.container_id()));
  const store::ContainerRecord record = container->record();
  v1::ContainerStatusResponse response;
  *response.mutable_status() = StatusMessage(*container, record);
  if (request.verbose()) {
    (*response.mutable_info())["info"] =
        ContainerInfo(record, container->init(), paths_.Bundle(record.id));
  }
  return response;
}

}  // namespace crisp::cri
