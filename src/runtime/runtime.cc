#include "runtime/runtime.h"

#include "base/status_macros.h"

namespace crisp::runtime {

Runtime::Runtime(const Parts& parts)
    : core_(parts, [this](const std::string& id) { exits_.OnShimGone(id); }),
      exits_(core_),
      containers_(core_),
      sandboxes_(core_, containers_),
      execs_(core_),
      images_(core_),
      stats_(core_),
      recovery_(core_, exits_, containers_, sandboxes_) {}

Runtime::~Runtime() { Stop(); }

absl::Status Runtime::Start() {
  CRISP_RETURN_IF_ERROR(core_.monitor.Start());
  core_.background.Start();
  CRISP_RETURN_IF_ERROR(recovery_.Run());
  return execs_.StartStreaming();
}

void Runtime::BeginStop() { execs_.BeginStopStreaming(); }

void Runtime::Stop() {
  execs_.StopStreaming();
  core_.monitor.Stop();
  core_.background.Stop();
}

Api Runtime::api() {
  return {.config = core_.config,
          .paths = core_.paths,
          .handlers = core_.handlers,
          .objects = core_.objects,
          .network = core_.network,
          .sandboxes = sandboxes_,
          .containers = containers_,
          .exec = execs_,
          .images = images_,
          .stats = stats_};
}

}  // namespace crisp::runtime
