// The names and places of the groups of a pod. Node agents read a container's id from the path of
// its group, so the names are those that agents know from containerd (test/unit/agents).
//
//   cgroupfs driver   <cgroup_parent>/<sandbox id>                              pause
//                     <cgroup_parent>/<container id>
//   systemd driver    <slice>/crisp-pod-<32 digits of the sandbox id>.scope/    pod_scope.h
//                       holder/, <sandbox id>/                                  pause
//                     <slice>/cri-containerd-<container id>.scope
//   crisp 0.1         <slice>/crisp-<sandbox id>.scope/                         pods run on
//                       holder/, <sandbox id>/, <container id>/
//
// Agents take 64 digits before ".scope" for a container, so the name of the pod's scope has fewer,
// and containers are not below it. systemd does not know the groups beside the scope and writes
// nothing to them; the controllers stay enabled in the slice as long as the delegated scope lives.
// Pure and thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace crisp::cgroup {

// "/a.slice/a-b.slice/crisp-pod-<...>.scope" for a valid slice.
std::string PodScopePath(absl::string_view slice, absl::string_view sandbox_id);
// Whether `path` is the scope of this sandbox, also one of crisp 0.1.
bool IsPodScope(absl::string_view path, absl::string_view sandbox_id);

// The group of pause or of a container. `parent`: a PodScopePath or a path of the cgroupfs driver,
// absolute or not; "/" is the root.
std::string GroupPath(absl::string_view parent, absl::string_view id);
// What GroupPath has named this group after; the name itself for any other one.
absl::string_view IdOfGroup(absl::string_view name);
// The group that holds all groups of the pod, and maybe of others, from the path of pause's. Empty
// for the root.
std::string GroupAbove(absl::string_view pause);

}  // namespace crisp::cgroup
