// The steps of starting a container or an exec, and the operations of a running container that can
// fail. A shim reports which step failed; crispd decides by the step what kind of error that is
// (ipc/step_status.h). Used between clone3(2) and execve(2): no Abseil, no allocation.
//
// The values are on the wire (shim.v1.Failed.step_number) and shims outlive the crispd that started
// them: values are never changed or reused, new ones go at the end.
#pragma once

#include <cstdint>
#include <string_view>

namespace crisp::ipc {

enum class Step : uint8_t {
  kNone = 0,  // not known: a step of a newer shim
  // Requests to a shim, and what the shim itself does for them.
  kStart = 1,
  kContainer = 2,
  kRequest = 3,
  kLog = 4,
  kStdio = 5,
  kFork = 6,
  kRecord = 7,
  kLaunch = 8,
  kAttach = 9,
  kResize = 10,
  // The builder.
  kBundle = 11,
  kSpec = 12,
  kNamespaces = 13,
  kMountSources = 14,
  kMountNamespace = 15,
  kRootfs = 16,
  kImageMounts = 17,
  kProcess = 18,
  kJoinNamespaces = 19,
  kClone = 20,
  // The child.
  kBarrier = 21,
  kCgroup = 22,
  kCgroupNamespace = 23,
  kSession = 24,
  kUserNamespace = 25,
  kMounts = 26,
  kDevices = 27,
  kConsole = 28,
  kPivotRoot = 29,
  kHostname = 30,
  kSysctls = 31,
  kWorkdir = 32,
  kPathRestrictions = 33,
  kReadonlyRootfs = 34,
  kRlimits = 35,
  kAppArmor = 36,
  kDescriptors = 37,
  kSeccomp = 38,
  kBoundingSet = 39,
  kUser = 40,
  kCapabilities = 41,
  kNoNewPrivileges = 42,
  kExec = 43,
  kInherited = 44,
  // The builder again.
  kAwaitCgroup = 45,
};
inline constexpr uint32_t kLastStep = static_cast<uint32_t>(Step::kAwaitCgroup);

// What users read ("working directory"); empty for kNone. A literal.
const char* StepName(Step step);

// The step of a Failed message: by number, or by name when a shim of an older crispd sends none
// (number 0). kNone when this crispd does not know it.
Step StepOf(uint32_t number, std::string_view name);

}  // namespace crisp::ipc
