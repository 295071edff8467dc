// crispd's side of cgroups. crispd makes, limits, measures, kills and removes the group of every
// sandbox and container itself, so that all of this works when a shim is dead. Parents are made and
// groups limited through libcgroup, on v1 and v2.
//
// With the cgroupfs driver a pod has no group of its own here. Pause and every container live in
// siblings
//   <cgroup_parent>/<sandbox id>   <cgroup_parent>/<container id>
// where kubelet made <cgroup_parent>, the pod's group with the pod's limits. Without a
// cgroup_parent it is Options::default_parent.
//
// Parents that exist are left as they are, except that on v2 the controllers crisp needs are
// enabled in them. Missing parents are made, marked with the extended attribute trusted.crisp, and
// removed with the last leaf below them. Only marked directories are ever removed, so a restarted
// crispd knows which ones. The default parent stays while crispd serves, because the next pod needs
// it.
//
// With the systemd driver a sandbox's PodParent is a scope (pod_scope.h), made by CreatePod and
// removed by RemovePod; the groups in it and beside it are the same as with cgroupfs. group_path.h
// has the names of all of them.
//
// Thread-safe: operations on different paths run in parallel, except while parents are made or
// removed. The caller serializes operations on one path (the container's operation lock). Kill,
// WaitEmpty and ReadStats may run at any time. Sources: cgroups(7), cgroup-v1 and cgroup-v2 in
// Documentation/admin-guide.
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

// What makes the parents of groups, and so what a cgroup_parent is: a path (cgroupfs) or a slice
// (systemd).
enum class Driver { kCgroupfs, kSystemd };

class Cgroups {
 public:
  struct Options {
    Driver driver = Driver::kCgroupfs;
    std::string default_parent = "/crisp";  // crisp.slice with the systemd driver
    std::string holder_program;             // only for the systemd driver: see pod_scope.h
  };

  // Detects the layout and initializes libcgroup; once per process. FailedPrecondition when the
  // host has no usable hierarchy (the message says what to mount), and for the systemd driver when
  // PID 1 is not systemd or the controllers are on cgroup v1.
  static absl::StatusOr<std::unique_ptr<Cgroups>> Open(Options options);

  const Layout& layout() const { return layout_; }

  // Where the groups of a pod are, which the sandbox's record keeps. `cgroup_parent` is CRI's
  // and may be empty or relative. InvalidArgument for "..", for control characters, for a slice
  // ("x.slice") with the cgroupfs driver, and for anything but a slice with the systemd driver.
  absl::StatusOr<std::string> PodParent(absl::string_view cgroup_parent,
                                        absl::string_view sandbox_id) const;
  // To be called before the first Create and after the last Remove below a PodParent. With the
  // cgroupfs driver both do nothing. RemovePod kills what is left; it may be repeated after a
  // failure.
  absl::Status CreatePod(const std::string& pod_parent, absl::string_view sandbox_id,
                         base::Deadline deadline);
  absl::Status RemovePod(const std::string& pod_parent, absl::string_view sandbox_id,
                         base::Deadline deadline);

  // The path of a leaf. `parent` is a PodParent; InvalidArgument as there.
  absl::StatusOr<std::string> Path(absl::string_view parent, absl::string_view id) const;

  // The `cgroup_parent` of pause's path: the inverse of Path.
  std::string ParentOf(absl::string_view path) const;

  // Makes the group in every hierarchy and sets its limits. On failure nothing is left behind, and
  // the error names the file and the value. AlreadyExists when the group exists (the caller removes
  // it first); InvalidArgument for values that the kernel refuses.
  absl::Status Create(absl::string_view path, const Resources& resources);

  // The path of the group that is named after `id`, wherever it is; kNotFound. For an object of
  // which nothing else is known. Groups that containers made in their own do not count.
  absl::StatusOr<std::string> Find(absl::string_view id) const;

  // Changes the given limits, all or none: after a failure the old values are written back, and the
  // error names the file and the value. Devices cannot be updated (InvalidArgument).
  absl::Status Update(absl::string_view path, const Resources& resources);

  // Sends SIGKILL to all processes of the group and of exec groups below it, in one step that no
  // fork can escape. Does not wait for them to die. OK when the group does not exist.
  absl::Status Kill(absl::string_view path);

  // Waits until the group has no process. DeadlineExceeded when one stays, such as a process in
  // uninterruptible sleep. OK when the group does not exist.
  absl::Status WaitEmpty(absl::string_view path, absl::Duration timeout);

  // WaitEmpty, then removes the group and all below it in every hierarchy, and marked parents that
  // became empty. Kills nothing and moves no process. OK when the group does not exist. After
  // DeadlineExceeded, as when a container has made very many groups below its own, the next call
  // goes on; so it does after other errors.
  absl::Status Remove(absl::string_view path, absl::Duration timeout);

  // To be called when crispd stops: removes the default parent if it is marked and empty, unless
  // another crispd is making a group.
  void RemoveDefaultParent();

  absl::StatusOr<Stats> ReadStats(absl::string_view path, Detail detail = Detail::kAll,
                                  KeptFiles* kept = nullptr) const {
    return cgroup::ReadStats(layout_, path, detail, kept);
  }

 private:
  Cgroups(const Layout& layout, Options options)
      : layout_(layout), options_(std::move(options)), scopes_(layout, options_.holder_program) {}

  absl::Status MakeParents(absl::string_view path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(parents_mutex_);
  absl::Status MakeGroup(const std::string& path);
  absl::Status MakeLeaf(const std::string& path);
  absl::Status FillCpuset(const std::string& path);
  absl::Status EnableControllers(const std::string& parent);
  absl::Status Apply(const std::string& path, const Resources& resources, bool is_new);
  absl::Status RemoveDirectories(absl::string_view path, base::Deadline deadline);
  void RemoveParents(absl::string_view path, absl::string_view keep)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parents_mutex_);

  const Layout& layout_;
  const Options options_;
  PodScopes scopes_;
  // Held while parents and the leaf below them are made, and while parents are removed, so that a
  // parent is not removed just before its leaf is made.
  absl::Mutex parents_mutex_;
};

}  // namespace crisp::cgroup
