// What the parts of the runtime share: the modules below it, the objects, and the threads that
// watch and retry. Made by Runtime; outlives the parts, which borrow it. Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/deadline.h"
#include "base/paths.h"
#include "cgroup/cgroups.h"
#include "cni/network.h"
#include "config/config.h"
#include "image/image_store.h"
#include "image/puller.h"
#include "layers/layer_use.h"
#include "runtime/background.h"
#include "runtime/handler.h"
#include "runtime/listener.h"
#include "runtime/objects.h"
#include "runtime/pause_root.h"
#include "shim_client/launcher.h"
#include "shim_client/monitor.h"
#include "snapshot/snapshot_store.h"
#include "store/record_store.h"

namespace crisp::runtime {

// Time for cleaning up, independent of how long the client waits.
inline constexpr absl::Duration kTeardownTime = absl::Seconds(30);
// From SIGKILL to giving up on a process (uninterruptible sleep).
inline constexpr absl::Duration kKillTime = absl::Seconds(10);

// What the runtime works with; made by main, outlives it.
struct Parts {
  const config::Config& config;
  const base::Paths& paths;
  cgroup::Cgroups& cgroups;
  snapshot::SnapshotStore& snapshots;
  image::ImageStore& images;
  image::Puller& puller;
  const image::PullOptions& pull_options;  // the puller's
  layers::LayerUse& layer_use;
  cni::Network& network;
  const shim_client::Launcher& shims;
  Objects& objects;
  Listener& listener;
  PauseRoot& pause_root;
  std::string own_group;  // cgroup2 directory of crispd, where it may make groups
};

struct Core : Parts {
  Core(const Parts& parts, shim_client::Monitor::GoneCallback on_shim_gone);

  // Every change of an object that clients may know goes through here: one log line, and the
  // listener is told.
  void Announce(Change change, const container::Container& container) const;
  void Announce(Change change, const sandbox::Sandbox& sandbox) const;

  // Where CNI plugins run for a sandbox; see cni::PodNetworkRequest.
  std::string PluginGroup(const base::SandboxId& id) const {
    return absl::StrCat(own_group, "/cni-", id.str());
  }
  // Makes known how a container ended, after it was written down. If that fails (a full disk) it is
  // made known all the same, and the record is written again and again until it can be. Waits for
  // the disk.
  void MarkExited(const ContainerPtr& container, const store::Outcome& outcome);
  // The same for an end that the shim has written down in the bundle: made known at once, written
  // to the record in the background. Does not wait.
  void AnnounceExit(const ContainerPtr& container, const store::Outcome& outcome);

  // Where the processes of a container or pause without a record are: as its bundle says or, when
  // that is damaged too, in the group with its name. kResourceExhausted when that cannot be told
  // now.
  absl::StatusOr<std::string> FindCgroup(const std::string& id) const;
  // Empty when it is not known: the container outlived its sandbox's record and has no bundle.
  std::string CgroupPath(const container::Container& container) const;
  // Of pause.
  std::string CgroupPath(const sandbox::Sandbox& sandbox) const;
  bool HasCgroup(const sandbox::Sandbox& sandbox) const;

  // Writes the container's record in the background.
  void WriteLater(const ContainerPtr& container, absl::Duration delay);

  const store::RecordDirectory sandbox_records;
  const store::RecordDirectory container_records;
  const Handlers handlers;
  Background background;
  shim_client::Monitor monitor;
};

}  // namespace crisp::runtime
