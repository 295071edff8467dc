// Where the cgroup hierarchies of this host are mounted, and where one group lives in them.
//
// A group is named by its path below every mount point, "/kubepods/burstable/pod<uid>/<64-hex id>":
// the same path in each hierarchy. Two kinds of host exist:
//   v2 only   one cgroup2 mount with all controllers; Layout::v1 is empty.
//   hybrid    v1 mounts of one or several controllers carry the limits, and a cgroup2 mount beside
//             them carries cgroup.kill and cgroup.events. Every group has a directory in all of
//             them.
// Detect refuses a v1 host without a cgroup2 mount: only cgroup2 can kill a group without races,
// and every kernel that crisp supports can mount it.
//
// Part of the library crisp_cgroup_join, which the shim can link: it does not use libcgroup.
// Sources: cgroups(7), proc_pid_mountinfo(5), Documentation/admin-guide/cgroup-v{1,2}. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cgroup {

struct Hierarchy {
  std::string mount_point;
  std::vector<std::string> controllers;  // those crisp uses, by kernel name: "cpu", "io", ...

  bool Has(absl::string_view controller) const;
};

// The absolute directories of one group. crispd passes them to the shim, because reading
// /proc/self/mountinfo takes milliseconds on a node with hundreds of pods.
struct Directories {
  std::string v2;               // never empty
  std::vector<std::string> v1;  // in the order of Layout::v1: a process enters them in turn
  std::string oom_file;         // memory.oom_control or memory.events; empty without the controller
};

struct Layout {
  // Those with a controller crisp uses, the one with `cpu` last; empty on a v2-only host.
  std::vector<Hierarchy> v1;
  Hierarchy v2;
  std::vector<std::string> hugepage_sizes;  // as in hugetlb's file names: "2MB", "1GB"

  bool v2_only() const { return v1.empty(); }
  // The hierarchy that has the controller; null when the kernel or the host does not offer it.
  const Hierarchy* Find(absl::string_view controller) const;
  Directories At(absl::string_view path) const;
};

// Reads the layout from the text of /proc/self/mountinfo and of cgroup.controllers in
// FindV2Mount()'s directory. Of several mounts of a hierarchy it takes the first, as libcgroup
// does. FailedPrecondition without a cgroup2 mount. Pure.
absl::StatusOr<Layout> ParseLayout(absl::string_view mountinfo, absl::string_view v2_controllers);
// Mount point of the first cgroup2 mount in the text of /proc/self/mountinfo, or empty.
std::string FindV2Mount(absl::string_view mountinfo);
// Whether that mount has the option nsdelegate: a process cannot change the limits of the group at
// the root of its cgroup namespace, and moves no process over that root. Pure.
bool HasNsdelegate(absl::string_view mountinfo);
// The same of the host at this moment: whoever mounts cgroup2 anew without the option ends it.
absl::StatusOr<bool> HasNsdelegateNow();
// Turns "hugepages-2048kB", a name in /sys/kernel/mm/hugepages, into "2MB", as hugetlb's files are
// named. Empty for another name.
std::string HugepageSize(absl::string_view directory_name);

// The layout of this process, read at the first call; later mounts are not seen. The result lives
// as long as the process.
absl::StatusOr<const Layout*> Detect();

// The cgroup2 directory that this process is in, and where whoever started it lets it make groups.
absl::StatusOr<std::string> OwnDirectory(const Layout& layout);

// InvalidArgument unless the path is absolute and at most 2048 bytes long and has at least one
// component. A component must not be empty, ".", "..", longer than 255 bytes or have control
// characters.
absl::Status CheckPath(absl::string_view path);

// Components below the root, outermost first: "/a/b/c" -> "/a", "/a/b", "/a/b/c".
std::vector<std::string> PathPrefixes(absl::string_view path);

}  // namespace crisp::cgroup
