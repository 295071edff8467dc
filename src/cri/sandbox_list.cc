#include "cri/filters.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::ListPodSandboxResponse> ListPodSandbox(const Api& runtime,
                                                          const v1::ListPodSandboxRequest& request,
                                                          const Call&) {
  const v1::PodSandboxFilter& filter = request.filter();
  v1::ListPodSandboxResponse response;
  for (const runtime::SandboxPtr& sandbox : runtime.objects.sandboxes.List()) {
    if (!sandbox->visible() || !IdMatches(filter.id(), sandbox->id().str())) continue;
    const v1::PodSandboxState state = sandbox->ready() ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY;
    if (filter.has_state() && filter.state().state() != state) continue;
    sandbox->Read([&](const store::SandboxRecord& record) {
      if (!LabelsMatch(filter.label_selector(), record.config.labels())) return;
      v1::PodSandbox* item = response.add_items();
      item->set_id(record.id.str());
      *item->mutable_metadata() = record.config.metadata();
      item->set_state(state);
      item->set_created_at(record.created_at_ns);
      *item->mutable_labels() = record.config.labels();
      *item->mutable_annotations() = record.config.annotations();
      item->set_runtime_handler(record.runtime_handler);
    });
  }
  return response;
}

}  // namespace crisp::cri
