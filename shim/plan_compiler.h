// oci::Spec -> LaunchPlan: all words become flags, all paths are cleaned, everything that cannot
// work is refused. Pure: the same spec gives the same plan on every machine, so plans are
// golden-tested.
#pragma once

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "shim/launch_plan.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

// kInvalidArgument naming the member of the spec that is wrong.
absl::StatusOr<LaunchPlan> CompileLaunch(const oci::Spec& spec, const ::shim::v1::Start& start);

// The plan of a process that joins the container of `spec`: its namespaces (all to be joined) and
// its process with other arguments; nothing else is filled in. With a tty TERM=xterm is added
// unless the spec has a TERM.
absl::StatusOr<LaunchPlan> CompileExec(const oci::Spec& spec, const ::shim::v1::Exec& exec);

// Steps of the two above, apart because of their size.
absl::StatusOr<ProcessPlan> CompileProcess(const oci::Process& process);
absl::Status CompileMounts(const oci::Spec& spec, const ::shim::v1::Start& start, LaunchPlan& plan);
absl::Status CompileDevices(const oci::Spec& spec, LaunchPlan& plan);
absl::Status CompileSysctls(const oci::Spec& spec, LaunchPlan& plan);

// kInvalidArgument "<member>: <why>".
absl::Status Invalid(absl::string_view member, absl::string_view why);

// "/a//b/./c" -> "/a/b/c". kInvalidArgument for a path that is relative, has a ".." or a NUL, or is
// longer than PATH_MAX: `what` names the member.
absl::StatusOr<std::string> CleanPath(const std::string& path, absl::string_view what);

// The options of an overlay mount with names relative to `rootfs.base`. kInvalidArgument when a
// name holds a separator of the option syntax or when they are more than the page mount(2) takes.
absl::StatusOr<std::string> OverlayOptions(const RootfsPlan& rootfs);

}  // namespace crisp::shim
