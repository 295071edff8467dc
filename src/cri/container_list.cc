#include "cri/filters.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::ListContainersResponse> ListContainers(const Api& runtime,
                                                          const v1::ListContainersRequest& request,
                                                          const Call&) {
  const v1::ContainerFilter& filter = request.filter();
  v1::ListContainersResponse response;
  for (const runtime::ContainerPtr& container : runtime.objects.containers.List()) {
    if (!IdMatches(filter.id(), container->id().str()) ||
        !IdMatches(filter.pod_sandbox_id(), container->sandbox_id().str())) {
      continue;
    }
    const v1::ContainerState state = container->state();
    if (filter.has_state() && filter.state().state() != state) continue;
    container->Read([&](const store::ContainerRecord& record) {
      if (!LabelsMatch(filter.label_selector(), record.config.labels())) return;
      v1::Container* item = response.add_containers();
      item->set_id(record.id.str());
      item->set_pod_sandbox_id(record.sandbox_id.str());
      *item->mutable_metadata() = record.config.metadata();
      // As created and by id, as containerd has it: kubelets before 1.30 match image_ref with the
      // images they may collect, and crictl looks up what image says, where a tag may have moved.
      *item->mutable_image() = record.config.image();
      item->set_image_ref(record.image_id);
      item->set_image_id(record.image_id);
      item->set_state(state);
      item->set_created_at(record.created_at_ns);
      *item->mutable_labels() = record.config.labels();
      *item->mutable_annotations() = record.config.annotations();
    });
  }
  return response;
}

}  // namespace crisp::cri
