// What crispd writes down about a sandbox or a container before it acts: what was asked, the
// cleanup that is pending, and the outcome once it is known. What happened in the kernel is written
// by the shim (base/paths.h) and read beside it. Plain values; the owner (sandbox::Sandbox,
// container::Container) guards them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/id.h"
#include "oci/chain_id.h"
#include "oci/digest.h"
#include "runtime/v1/api.pb.h"

namespace crisp::store {

// What a sandbox may hold outside its own directories. The record lists all it may have acquired
// *before* the first is acquired. Each step may be repeated, and is struck off the record only when
// what it gives back is gone for certain.
enum class Cleanup {
  kNetwork,    // CNI DEL
  kNetns,      // pin in /run/netns
  kProcesses,  // pause and everything in its cgroup
  kCgroup,     // cgroup leaf
};

struct PodIp {
  std::string primary;
  std::vector<std::string> additional;
};

struct SandboxRecord {
  base::SandboxId id;
  int64_t created_at_ns = 0;
  std::string runtime_handler;
  ::runtime::v1::PodSandboxConfig config;
  std::string cgroup_parent;  // effective, cgroupfs form
  std::string netns_path;     // empty: the host's
  std::string plugin_group;   // cgroup2 directory for CNI plugins, see cni::PodNetworkRequest
  PodIp ip;
  std::set<Cleanup> pending_cleanup;
  bool ready = false;    // RunPodSandbox was acknowledged
  bool stopped = false;  // StopPodSandbox was asked: never comes back, whatever runs
};

// How a container ended. Reasons are the CRI's words: Completed, Error, OOMKilled, StartError,
// ShimDied.
struct Outcome {
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
  int32_t exit_code = 0;
  std::string reason;
  std::string message;
};

// An image mounted into a container.
struct ImageVolume {
  std::string container_path;
  std::string image_id;
  std::vector<oci::ChainId> chain_ids;  // bottom first: kept while the container exists
  std::string sub_path;                 // a directory inside the image; empty: all of it
  bool noexec = false;
};

struct ContainerRecord {
  base::ContainerId id;
  base::SandboxId sandbox_id;
  int64_t created_at_ns = 0;
  ::runtime::v1::ContainerConfig config;
  std::string image_id;  // sha256:<config digest>
  // The image's names when the container was made: a tag where it had one, and the digest.
  // Empty in records of a crispd that did not write them.
  std::string image_name;
  std::string image_ref;
  std::vector<oci::ChainId> chain_ids;  // its layers, bottom first: kept while the container exists
  std::vector<ImageVolume> image_volumes;            // in the order of the configuration's mounts
  std::string log_path;                              // absolute; empty: no log
  std::string stop_signal;                           // resolved: "SIGTERM"
  ::runtime::v1::ContainerUser user;                 // resolved, for ContainerStatus
  ::runtime::v1::LinuxContainerResources resources;  // as asked, then as updated
  std::optional<Outcome> outcome;
};

// A security profile that was pulled.
struct ProfileRecord {
  oci::Digest digest;              // of its manifest, as in the references
  std::vector<std::string> names;  // the references that it was pulled by, as given; newest last
  std::string document;
};

}  // namespace crisp::store
