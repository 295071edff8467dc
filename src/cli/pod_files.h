// The files of a pod on the host: volumes, /etc/hosts, sub paths, termination messages and logs.
// Used by one thread.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"

namespace crisp::cli {

// What the supervisor needs of them; tests have a fake.
class PodFiles {
 public:
  virtual ~PodFiles() = default;
  // Before the sandbox. May be called again: what is there stays.
  virtual absl::Status MakeVolumes() = 0;
  // Before each start of a container; `ips` are the sandbox's.
  virtual absl::Status MakeForContainer(const Container& container, uint32_t attempt,
                                        const PodInstance& instance) = 0;
  // After a container was removed.
  virtual void Forget(const Container& container, uint32_t attempt) = 0;
  // Everything, mounts first: nothing below a mount is removed.
  virtual absl::Status Remove() = 0;
};

// Borrows all; they must outlive it.
class HostPodFiles final : public PodFiles {
 public:
  HostPodFiles(const Pod& pod, const Manifest& objects, const PodInstance& instance,
               const Node& node)
      : pod_(pod), objects_(objects), instance_(instance), node_(node) {}

  absl::Status MakeVolumes() override;
  absl::Status MakeForContainer(const Container& container, uint32_t attempt,
                                const PodInstance& instance) override;
  void Forget(const Container& container, uint32_t attempt) override;
  absl::Status Remove() override;

 private:
  absl::Status MakeVolume(const Volume& volume);
  absl::Status MakeEmptyDir(const Volume& volume);

  const Pod& pod_;
  const Manifest& objects_;
  const PodInstance& instance_;
  const Node& node_;
};

}  // namespace crisp::cli
