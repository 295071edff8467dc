// What the runtime does, as its front ends call it: the CRI handlers today, a command line's
// service next. One interface for each noun, so that the handlers are tested against fakes without
// a kernel. All calls are thread-safe and may block; `call` bounds how long they wait for what the
// caller can do without. Errors keep their code up to the client (rpc/status_codes.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/paths.h"
#include "cgroup/meter.h"
#include "cni/netns.h"
#include "cni/network.h"
#include "config/config.h"
#include "image/credentials.h"
#include "image/image_store.h"
#include "metrics/families.h"
#include "oci/reference.h"
#include "runtime/handler.h"
#include "runtime/objects.h"
#include "snapshot/snapshot_store.h"
#include "streaming/request.h"

namespace crisp::runtime {

namespace v1 = ::runtime::v1;

class SandboxApi {
 public:
  virtual ~SandboxApi() = default;
  // Equal requests that run at the same time join; a sandbox that is there already, ready and with
  // the same configuration, is the answer. `config` is valid (spec/validate.h).
  virtual absl::StatusOr<base::SandboxId> Run(const v1::PodSandboxConfig& config,
                                              const std::string& handler,
                                              const base::Call& call) = 0;
  // Ends everything that runs in it and gives back what it holds. May be repeated.
  virtual absl::Status Stop(const SandboxPtr& sandbox, const base::Call& call) = 0;
  // Stops it, then removes its containers and the sandbox.
  virtual absl::Status Remove(const SandboxPtr& sandbox, const base::Call& call) = 0;
};

class ContainerApi {
 public:
  virtual ~ContainerApi() = default;
  // Joins like SandboxApi::Run; a container that is there already, created and with the same
  // configuration, is the answer. `pod`: see spec/pod_as_asked.h.
  virtual absl::StatusOr<base::ContainerId> Create(const SandboxPtr& sandbox,
                                                   const v1::PodSandboxConfig& pod,
                                                   const v1::ContainerConfig& config,
                                                   const base::Call& call) = 0;
  virtual absl::Status Start(const ContainerPtr& container, const base::Call& call) = 0;
  // Stop signal, `grace`, SIGKILL. OK when it does not run.
  virtual absl::Status Stop(const ContainerPtr& container, absl::Duration grace,
                            const base::Call& call) = 0;
  virtual absl::Status Remove(const ContainerPtr& container, const base::Call& call) = 0;
  // All of `update` is in force afterwards, or nothing of it.
  virtual absl::Status Update(const ContainerPtr& container,
                              const v1::LinuxContainerResources& update) = 0;
  virtual absl::Status ReopenLog(const ContainerPtr& container, const base::Call& call) = 0;
};

struct ExecOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

class ExecApi {
 public:
  virtual ~ExecApi() = default;
  // kDeadlineExceeded after `timeout` or the caller's deadline; nothing of the command runs then.
  virtual absl::StatusOr<ExecOutput> Sync(const ContainerPtr& container,
                                          const std::vector<std::string>& command,
                                          absl::Duration timeout, const base::Call& call) = 0;
  // A one-time URL at the streaming server.
  virtual absl::StatusOr<std::string> Url(const streaming::Request& request) = 0;
};

class ImageApi {
 public:
  virtual ~ImageApi() = default;
  virtual std::vector<image::ImagePtr> List() const = 0;
  // By id, prefix of an id, or any of its names.
  virtual absl::StatusOr<image::ImagePtr> Find(const std::string& name) const = 0;
  virtual absl::StatusOr<image::ImagePtr> Pull(const oci::Reference& reference,
                                               const image::Credentials& credentials,
                                               const base::Call& call) = 0;
  // With all its names; layers that nothing else needs go too. OK when it is gone already.
  virtual absl::Status Remove(const image::ImagePtr& image) = 0;
};

// A pulled security profile.
struct ProfileInfo {
  std::string digest;
  std::vector<std::string> names;  // the references that it was pulled by, as given: up to 1,000
  uint64_t bytes = 0;              // on disk
};

class ProfileApi {
 public:
  virtual ~ProfileApi() = default;
  // Of seccomp. True when it was there already: then no registry is asked. What will not change is
  // kInvalidArgument with a message that begins with "SecurityProfileInvalid: ", which kubelet
  // looks for: do not prefix it. Other errors are those of ImageApi::Pull.
  virtual absl::StatusOr<bool> Pull(const std::string& name, const image::Credentials& credentials,
                                    const base::Call& call) = 0;
  virtual std::vector<ProfileInfo> List() const = 0;
  // Containers that were made with it keep it. OK when it is gone already.
  virtual absl::Status Remove(const std::string& digest) = 0;
};

// What a container used when it was read and measured last; each part may be missing by itself, as
// when it ends meanwhile.
struct ContainerUsage {
  std::optional<cgroup::Usage> cgroup;
  std::optional<snapshot::MeasuredUsage> writable_layer;
};

struct PodUsage {
  std::optional<cgroup::Usage> cgroup;
  std::vector<cni::InterfaceStats> interfaces;  // none on the host's network
};

// Reads counters of the kernel and what was measured before: waits for no disk, no shim, and no
// tree that a container owns.
class StatsApi {
 public:
  virtual ~StatsApi() = default;
  // Reads the counters of these, beginning with the values that are oldest, until 4 ms are over;
  // those that have no value yet in any case. What was left out is read in the background.
  virtual void Refresh(const std::vector<container::ContainerPtr>& containers,
                       const std::vector<sandbox::SandboxPtr>& sandboxes) = 0;
  virtual ContainerUsage Container(container::Container& container) const = 0;
  // `containers`: of those that have not ended.
  virtual PodUsage Pod(sandbox::Sandbox& sandbox,
                       const std::vector<ContainerUsage>& containers) const = 0;
  virtual absl::StatusOr<std::vector<cni::InterfaceStats>> Interfaces(
      const sandbox::Sandbox& sandbox) const = 0;
  // kNotFound for a container that ends at this moment.
  virtual absl::StatusOr<metrics::ContainerReadings> Metrics(container::Container& container,
                                                             const store::SandboxRecord& pod) = 0;
  // Of the group that kubelet has made for the pod; kNotFound for a pod in another one.
  virtual absl::StatusOr<metrics::ContainerReadings> PodMetrics(sandbox::Sandbox& sandbox) = 0;
  virtual metrics::MetricLabels PodLabels(const store::SandboxRecord& pod) const = 0;
  virtual metrics::MetricHost Host() const = 0;
  // Of all image layers, and the directory they are in.
  virtual snapshot::Usage Layers() const = 0;
  virtual std::string LayersRoot() const = 0;
};

// All of it, borrowed; made by Runtime (runtime.h) or by a test.
struct Api {
  const config::Config& config;
  const base::Paths& paths;
  const Handlers& handlers;
  const Objects& objects;
  cni::Network& network;
  SandboxApi& sandboxes;
  ContainerApi& containers;
  ExecApi& exec;
  ImageApi& images;
  ProfileApi& profiles;
  StatsApi& stats;
};

}  // namespace crisp::runtime
