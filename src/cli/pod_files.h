// The files of a pod on the host: volumes, /etc/hosts, sub paths, termination messages and logs.
// Used by one thread.
#pragma once

#include <functional>
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
  // What a run that has ended says of its end: its termination message or, when it has failed and
  // its terminationMessagePolicy says so, the end of its log.
  virtual std::string EndMessage(const Container& container, uint32_t attempt,
                                 bool has_failed) const = 0;
  // Renames the log of a container that runs, when it has grown too long, as kubelet does, and
  // calls `reopen`, with which the runtime goes on in a new one.
  virtual absl::Status RotateLog(const Container& container, uint32_t attempt,
                                 const std::function<absl::Status()>& reopen) = 0;
  // Everything, mounts first: nothing below a mount is removed. A removal that is cut short leaves
  // a whole pod, which can be removed again, or none.
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
  std::string EndMessage(const Container& container, uint32_t attempt,
                         bool has_failed) const override;
  absl::Status RotateLog(const Container& container, uint32_t attempt,
                         const std::function<absl::Status()>& reopen) override;
  absl::Status Remove() override;

 private:
  absl::Status MakeVolume(const Volume& volume);
  absl::Status MakeEmptyDir(const Volume& volume);
  std::string LogPath(const Container& container, uint32_t attempt) const;

  const Pod& pod_;
  const Manifest& objects_;
  const PodInstance& instance_;
  const Node& node_;
};

}  // namespace crisp::cli
