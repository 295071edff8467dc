// The daemon's side of cgroups: it owns the whole life of every sandbox's and container's group, so
// that limits, stats, kill and removal work when a shim is dead. Groups are created and limited
// through libcgroup, on v1 and v2.
//
// Default layout: a pod is not a group of ours. The sandbox's pause process and every container
// live in siblings
//   <cgroup_parent>/<sandbox id>   <cgroup_parent>/<container id>
// where kubelet made <cgroup_parent> (the pod's group, with the pod's limits); without one the
// parent is Options::default_parent. cAdvisor and kubelet find containers by the 64-hex name of the
// leaf.
//
// Parents that exist are left as they are (on v2, controllers crisp needs are enabled in them);
// missing ones are created, marked by the extended attribute trusted.crisp, and removed with the
// last leaf below them. Only marked directories are ever removed, so this holds across restarts of
// the daemon. The default parent stays as long as the daemon serves, for the next pod to find it.
//
// With the systemd driver a sandbox's PodParent is a scope (pod_scope.h), made by CreatePod and
// removed by RemovePod; everything in it is as with cgroupfs.
//
// Thread-safe: operations on different paths run in parallel except for the moments parents are
// made or removed; operations on one path are serialized by the caller (the container's operation
// lock). Kill, WaitEmpty and ReadStats may run beside anything.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "cgroup/layout.h"
#include "cgroup/pod_scope.h"
#include "cgroup/resources.h"
#include "cgroup/stats.h"

namespace crisp::cgroup {

// Who owns the hierarchy's inner directories and how a cgroup_parent is written: a path, or a
// slice.
enum class Driver { kCgroupfs, kSystemd };

class Cgroups {
 public:
  struct Options {
    Driver driver = Driver::kCgroupfs;
    std::string default_parent = "/crisp";  // crisp.slice with the systemd driver
    std::string holder_program;             // systemd driver: see pod_scope.h
  };

  // Detects the layout and initializes libcgroup; once per process. FailedPrecondition naming what
  // to mount when the host has no usable hierarchy, and for the systemd driver on a host whose PID
  // 1 is another or whose controllers are on cgroup v1.
  static absl::StatusOr<std::unique_ptr<Cgroups>> Open(Options options);

  const Layout& layout() const { return layout_; }

  // The parent of all groups of a pod, to be kept in the sandbox's record. `cgroup_parent` is
  // CRI's, may be empty or relative. InvalidArgument for "..", control characters and, with the
  // cgroupfs driver, a bare systemd name ("x.slice"); with the systemd driver for all but slices.
  absl::StatusOr<std::string> PodParent(absl::string_view cgroup_parent,
                                        absl::string_view sandbox_id) const;
  // Before the first Create and after the last Remove below a PodParent; both do nothing for one of
  // the cgroupfs driver. RemovePod kills what is left, and may be repeated after any failure.
  absl::Status CreatePod(const std::string& pod_parent, absl::string_view sandbox_id,
                         base::Deadline deadline);
  absl::Status RemovePod(const std::string& pod_parent, absl::string_view sandbox_id,
                         base::Deadline deadline);

  // The path of a leaf. `parent` is a PodParent; InvalidArgument as there.
  absl::StatusOr<std::string> Path(absl::string_view parent, absl::string_view id) const;

  // The `cgroup_parent` that gives this path: the inverse of Path.
  std::string ParentOf(absl::string_view path) const;

  // Makes the group in every hierarchy and sets its limits. On failure nothing is left behind, and
  // the error names the file and the value. AlreadyExists when the group is there (a leftover:
  // Remove it first); InvalidArgument for values the kernel or the host refuses.
  absl::Status Create(absl::string_view path, const Resources& resources);

  // Changes the limits given, all or none: what was written before a failure is written back, and
  // the error names the file and value. Devices cannot be updated (InvalidArgument).
  absl::Status Update(absl::string_view path, const Resources& resources);

  // SIGKILL to everything in the group, exec groups included, in one step no fork can escape.
  // Returns at once. OK when the group does not exist.
  absl::Status Kill(absl::string_view path);

  // Waits for the kernel's notice that no process is left in the group. DeadlineExceeded when one
  // stays (a process in uninterruptible sleep). OK when the group does not exist.
  absl::Status WaitEmpty(absl::string_view path, absl::Duration timeout);

  // WaitEmpty, then removes the group with all below it in every hierarchy, and parents of ours
  // that became empty. Kills nothing and moves no process elsewhere. OK when it does not exist; may
  // be repeated after any failure.
  absl::Status Remove(absl::string_view path, absl::Duration timeout);

  // For a daemon that stops: the default parent goes if it is ours and nothing is in it, nor about
  // to be by another daemon.
  void RemoveDefaultParent();

  absl::StatusOr<Stats> ReadStats(absl::string_view path) const {
    return cgroup::ReadStats(layout_, path);
  }

 private:
  Cgroups(const Layout& layout, Options options)
      : layout_(layout), options_(std::move(options)), scopes_(layout, options_.holder_program) {}

  absl::Status MakeParents(absl::string_view path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(parents_mutex_);
  absl::Status MakeGroup(const std::string& path);
  absl::Status FillCpuset(const std::string& path);
  absl::Status EnableControllers(const std::string& parent);
  absl::Status Apply(const std::string& path, const Resources& resources, bool is_new);
  absl::Status RemoveDirectories(absl::string_view path);
  void RemoveParents(absl::string_view path, absl::string_view keep)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parents_mutex_);

  const Layout& layout_;
  const Options options_;
  PodScopes scopes_;
  // Held while parents are made together with the leaf below them, and while parents are removed:
  // no leaf loses the parent it is about to be made in.
  absl::Mutex parents_mutex_;
};

}  // namespace crisp::cgroup
