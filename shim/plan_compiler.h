// oci::Spec -> LaunchPlan: words become flags, paths are cleaned, and what cannot work is refused.
// Pure: the same spec gives the same plan on every machine, which golden tests compare. Source: the
// OCI runtime specification, config.md and config-linux.md.
#pragma once

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "shim/launch_plan.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

// The plan of a container. kInvalidArgument names the member of the spec that is wrong.
absl::StatusOr<LaunchPlan> CompileLaunch(const oci::Spec& spec, const ::shim::v1::Start& start);

// The plan of an exec in the container of `spec`: the container's namespaces, all to be joined, and
// its process with other arguments. Nothing else is filled in. With a terminal TERM=xterm is added
// unless the spec has a TERM.
absl::StatusOr<LaunchPlan> CompileExec(const oci::Spec& spec, const ::shim::v1::Exec& exec);

// Parts of the two above.
absl::StatusOr<ProcessPlan> CompileProcess(const oci::Process& process);
absl::Status CompileMounts(const oci::Spec& spec, const ::shim::v1::Start& start, LaunchPlan& plan);
absl::Status CompileDevices(const oci::Spec& spec, LaunchPlan& plan);
absl::Status CompileSysctls(const oci::Spec& spec, LaunchPlan& plan);

// kInvalidArgument "<member>: <why>".
absl::Status Invalid(absl::string_view member, absl::string_view why);

// "/a//b/./c" -> "/a/b/c". kInvalidArgument, with `what` as the member, for a path that is
// relative, has a ".." or a NUL byte, or is longer than PATH_MAX.
absl::StatusOr<std::string> CleanPath(const std::string& path, absl::string_view what);

// The options of an overlay mount, with names relative to `rootfs.base`. kInvalidArgument when a
// name has a separator of the option syntax, or when the options exceed the one page that mount(2)
// takes.
absl::StatusOr<std::string> OverlayOptions(const RootfsPlan& rootfs);

}  // namespace crisp::shim
