#include "ipc/step.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>

#include "ipc/step_status.h"

namespace crisp::ipc {
namespace {

// Whose mistake a failure is.
enum class Blame : uint8_t {
  kHost,              // of crisp or of the machine
  kClient,            // of the request, or of the image that it names
  kClientIfUnusable,  // of the request when the kernel says that a value or a path in it cannot be
                      // used, otherwise of the machine
};

struct StepInfo {
  Step step;
  const char* name;
  Blame blame;
};

constexpr StepInfo kSteps[] = {
    {Step::kNone, "", Blame::kHost},
    {Step::kStart, "start", Blame::kHost},
    {Step::kContainer, "container", Blame::kHost},
    {Step::kRequest, "request", Blame::kHost},
    {Step::kLog, "log", Blame::kClientIfUnusable},
    {Step::kStdio, "stdio", Blame::kHost},
    {Step::kFork, "fork", Blame::kHost},
    {Step::kRecord, "record", Blame::kHost},
    {Step::kLaunch, "launch", Blame::kHost},
    {Step::kAttach, "attach", Blame::kHost},
    {Step::kResize, "resize", Blame::kHost},
    {Step::kBundle, "bundle", Blame::kHost},
    {Step::kSpec, "spec", Blame::kClient},
    {Step::kNamespaces, "namespaces", Blame::kHost},
    {Step::kMountSources, "mount sources", Blame::kClientIfUnusable},
    {Step::kMountNamespace, "mount namespace", Blame::kHost},
    {Step::kRootfs, "rootfs", Blame::kHost},
    {Step::kImageMounts, "image mounts", Blame::kClientIfUnusable},
    {Step::kProcess, "process", Blame::kHost},
    {Step::kJoinNamespaces, "join namespaces", Blame::kHost},
    {Step::kClone, "clone", Blame::kHost},
    {Step::kBarrier, "barrier", Blame::kHost},
    {Step::kCgroup, "cgroup", Blame::kHost},
    {Step::kCgroupNamespace, "cgroup namespace", Blame::kHost},
    {Step::kSession, "session", Blame::kHost},
    {Step::kUserNamespace, "user namespace", Blame::kHost},
    {Step::kMounts, "mounts", Blame::kClientIfUnusable},
    {Step::kDevices, "devices", Blame::kClientIfUnusable},
    {Step::kConsole, "console", Blame::kClientIfUnusable},
    {Step::kPivotRoot, "pivot root", Blame::kHost},
    {Step::kHostname, "hostname", Blame::kHost},
    {Step::kSysctls, "sysctls", Blame::kClientIfUnusable},
    {Step::kWorkdir, "working directory", Blame::kClient},
    {Step::kPathRestrictions, "masked and read-only paths", Blame::kClientIfUnusable},
    {Step::kReadonlyRootfs, "read-only rootfs", Blame::kHost},
    {Step::kRlimits, "rlimits", Blame::kClientIfUnusable},
    {Step::kAppArmor, "apparmor", Blame::kHost},
    {Step::kDescriptors, "descriptors", Blame::kHost},
    {Step::kSeccomp, "seccomp", Blame::kHost},
    {Step::kBoundingSet, "bounding set", Blame::kHost},
    {Step::kUser, "user", Blame::kHost},
    {Step::kCapabilities, "capabilities", Blame::kHost},
    {Step::kNoNewPrivileges, "no new privileges", Blame::kHost},
    {Step::kExec, "exec", Blame::kClient},
    {Step::kInherited, "inherited attributes", Blame::kHost},
    {Step::kAwaitCgroup, "wait for cgroup", Blame::kHost},
};

constexpr bool IsIndexedByStep() {
  for (size_t i = 0; i < std::size(kSteps); ++i) {
    if (static_cast<size_t>(kSteps[i].step) != i) return false;
  }
  return std::size(kSteps) == kLastStep + 1;
}
static_assert(IsIndexedByStep());

// Not EPERM: a right that crisp lacks.
constexpr int kUnusable[] = {EINVAL, ERANGE, EACCES, ENOENT,       ENOTDIR, EISDIR,
                             EEXIST, ELOOP,  EXDEV,  ENAMETOOLONG, ENODEV,  ENXIO};

bool IsUnusable(int error) {
  return std::find(std::begin(kUnusable), std::end(kUnusable), error) != std::end(kUnusable);
}

const StepInfo& InfoOf(Step step) { return kSteps[static_cast<size_t>(step)]; }

}  // namespace

const char* StepName(Step step) { return InfoOf(step).name; }

Step StepOf(uint32_t number, std::string_view name) {
  if (number > kLastStep) return Step::kNone;
  if (number != 0) return static_cast<Step>(number);
  for (const StepInfo& info : kSteps) {
    if (info.name == name) return info.step;
  }
  return Step::kNone;
}

absl::StatusCode StepStatusCode(Step step, int error) {
  if (error == ENOSPC || error == EDQUOT || error == ENOMEM || error == EAGAIN)
    return absl::StatusCode::kResourceExhausted;
  const Blame blame = InfoOf(step).blame;
  const bool client =
      blame == Blame::kClient || (blame == Blame::kClientIfUnusable && IsUnusable(error));
  return client ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kInternal;
}

}  // namespace crisp::ipc
