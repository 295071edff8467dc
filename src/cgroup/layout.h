// Where the cgroup hierarchies of this host are mounted, and where one group lives in them.
//
// A group is named by its path below every mount point, "/kubepods/burstable/pod<uid>/<64-hex id>":
// the same path in each hierarchy. Two kinds of host exist:
//   v2 only   one cgroup2 mount with all controllers; Layout::v1 is empty.
//   hybrid    v1 mounts of one or several controllers carry the limits, and a cgroup2 mount beside
//             them carries cgroup.kill and cgroup.events. Every group has a directory in all of
//             them.
// A v1 host without any cgroup2 mount is refused by Detect: nothing else kills a tree without
// races, and every kernel crisp supports can mount cgroup2.
//
// Part of crisp_cgroup_join, so that the shim can use it; no libcgroup. Sources: cgroups(7),
// proc_pid_mountinfo(5), Documentation/admin-guide/cgroup-v{1,2}. Thread-safe: no shared state
// except Detect's once-only result.
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

// The absolute directories of one group. Small enough to hand to a shim on its command line:
// reading /proc/self/mountinfo costs milliseconds on a node with hundreds of pods.
struct Directories {
  std::string v2;               // always
  std::vector<std::string> v1;  // in the order of Layout::v1
  std::string oom_file;         // memory.oom_control or memory.events; empty without the controller
};

struct Layout {
  std::vector<Hierarchy> v1;  // those with a controller crisp uses; empty on a v2-only host
  Hierarchy v2;
  std::vector<std::string> hugepage_sizes;  // as in hugetlb's file names: "2MB", "1GB"

  bool v2_only() const { return v1.empty(); }
  // The hierarchy a controller is attached to, null when the kernel or the host does not offer it.
  const Hierarchy* Find(absl::string_view controller) const;
  Directories At(absl::string_view path) const;
};

// Pure: from the text of /proc/self/mountinfo and of cgroup.controllers in FindV2Mount()'s
// directory. Of several mounts of one hierarchy the first counts, as in libcgroup.
// FailedPrecondition without a cgroup2 mount.
absl::StatusOr<Layout> ParseLayout(absl::string_view mountinfo, absl::string_view v2_controllers);
// Mount point of the first cgroup2 mount in the text of /proc/self/mountinfo; empty when there is
// none.
std::string FindV2Mount(absl::string_view mountinfo);
// "hugepages-2048kB", a name in /sys/kernel/mm/hugepages, as hugetlb's files spell it: "2MB". Empty
// for another name.
std::string HugepageSize(absl::string_view directory_name);

// This process's layout, read once; later mounts are not seen. The pointer lives as long as the
// process.
absl::StatusOr<const Layout*> Detect();

// A path that is absolute, has at least one component, and none that is empty, ".", "..", longer
// than 255 bytes or holds control characters; at most 2048 bytes. InvalidArgument otherwise.
absl::Status CheckPath(absl::string_view path);

// Components below the root, outermost first: "/a/b/c" -> "/a", "/a/b", "/a/b/c".
std::vector<std::string> PathPrefixes(absl::string_view path);

}  // namespace crisp::cgroup
