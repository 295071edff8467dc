// What probes and lifecycle hooks do: a command in the container, an HTTP request, a TCP
// connection, the health service of gRPC, or a pause. Thread-safe.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cli/manifest/manifest.h"
#include "cli/runtime.h"

namespace crisp::cli {

struct HandlerTarget {
  const Container* container = nullptr;
  std::string container_id;
  std::string ip;  // of the pod
};

// What the answer is for. A hook's HTTP request has only to be answered, with whatever status; a
// probe's must succeed.
enum class Purpose { kProbe, kHook };

// What the supervisor and the probes need of them; tests have a fake.
class Handlers {
 public:
  virtual ~Handlers() = default;
  // OK for success. Errors say what was answered, or that nothing was within `timeout`. kAborted
  // when the runtime could not run the command: that says nothing of the container.
  virtual absl::Status Run(const Handler& handler, const HandlerTarget& target, Purpose purpose,
                           absl::Duration timeout) = 0;
};

// How long the answer to a request may take. A postStart hook may wait for ever with kubelet; a pod
// that is to be taken down cannot wait for a request that nothing interrupts.
absl::Duration RequestTime(absl::Duration timeout);

class HostHandlers final : public Handlers {
 public:
  explicit HostHandlers(Runtime& runtime) : runtime_(runtime) {}
  absl::Status Run(const Handler& handler, const HandlerTarget& target, Purpose purpose,
                   absl::Duration timeout) override;

  // From now on no pause without a timeout is made; one that is being made fails with kCancelled.
  void Interrupt();

 private:
  absl::Status Sleep(absl::Duration span, absl::Duration timeout);

  Runtime& runtime_;
  absl::Mutex mu_;
  bool is_interrupted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace crisp::cli
