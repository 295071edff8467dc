#include "cri/status_message.h"

#include "spec/container_spec.h"

namespace crisp::cri {
namespace {

namespace v1 = ::runtime::v1;

// From one copy of the record, so that state, times and exit code fit together.
void FillLife(const container::Container& container, const store::ContainerRecord& record,
              v1::ContainerStatus& status) {
  status.set_created_at(record.created_at_ns);
  if (record.outcome.has_value()) {
    status.set_state(v1::CONTAINER_EXITED);
    status.set_started_at(record.outcome->started_at_ns);
    status.set_finished_at(record.outcome->finished_at_ns);
    status.set_exit_code(record.outcome->exit_code);
    status.set_reason(record.outcome->reason);
    status.set_message(record.outcome->message);
  } else if (const std::optional<container::Init> init = container.init(); init.has_value()) {
    status.set_state(v1::CONTAINER_RUNNING);
    status.set_started_at(init->started_at_ns);
  } else {
    status.set_state(v1::CONTAINER_CREATED);
  }
}

}  // namespace

v1::ContainerStatus StatusMessage(const container::Container& container) {
  const store::ContainerRecord record = container.record();
  v1::ContainerStatus status;
  status.set_id(record.id.str());
  *status.mutable_metadata() = record.config.metadata();
  FillLife(container, record, status);
  *status.mutable_image() = record.config.image();
  if (!record.image_name.empty()) status.mutable_image()->set_image(record.image_name);
  status.set_image_ref(record.image_ref.empty() ? record.image_id : record.image_ref);
  status.set_image_id(record.image_id);
  *status.mutable_labels() = record.config.labels();
  *status.mutable_annotations() = record.config.annotations();
  *status.mutable_mounts() = record.config.mounts();
  auto volume = record.image_volumes.begin();
  for (v1::Mount& mount : *status.mutable_mounts()) {
    if (!mount.has_image() || volume == record.image_volumes.end()) continue;
    mount.mutable_image()->set_image_ref(volume->image_id);
    ++volume;
  }
  status.set_log_path(record.log_path);
  *status.mutable_resources()->mutable_linux() = record.resources;
  *status.mutable_user() = record.user;
  const absl::StatusOr<int> signal = spec::SignalNumber(record.stop_signal);
  if (signal.ok()) status.set_stop_signal(spec::CriSignal(*signal));
  return status;
}

v1::PodSandboxStatus StatusMessage(const sandbox::Sandbox& sandbox) {
  const store::SandboxRecord record = sandbox.record();
  v1::PodSandboxStatus status;
  status.set_id(record.id.str());
  *status.mutable_metadata() = record.config.metadata();
  status.set_state(sandbox.ready() ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY);
  status.set_created_at(record.created_at_ns);
  *status.mutable_labels() = record.config.labels();
  *status.mutable_annotations() = record.config.annotations();
  status.set_runtime_handler(record.runtime_handler);
  // kubelet makes a new sandbox when the options are not those it asked for.
  *status.mutable_linux()->mutable_namespaces()->mutable_options() =
      record.config.linux().security_context().namespace_options();
  status.mutable_network();
  if (!record.stopped && record.pending_cleanup.count(store::Cleanup::kNetwork) > 0) {
    status.mutable_network()->set_ip(record.ip.primary);
    for (const std::string& ip : record.ip.additional)
      status.mutable_network()->add_additional_ips()->set_ip(ip);
  }
  return status;
}

}  // namespace crisp::cri
