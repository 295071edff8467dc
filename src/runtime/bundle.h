// What the sandbox and the container RPCs share in preparing a shim's work.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cgroup/cgroups.h"
#include "google/protobuf/message.h"
#include "oci/runtime_spec.h"
#include "shim/v1/shim.pb.h"

namespace crisp::cri {

// Files of a sandbox that its containers mount, in Paths::SandboxDir.
inline constexpr char kResolvConf[] = "resolv.conf";
inline constexpr char kHostname[] = "hostname";
inline constexpr char kHosts[] = "hosts";

// Time for undoing, independent of the client's patience.
inline constexpr absl::Duration kTeardownTime = absl::Seconds(30);
// From SIGKILL to giving up on a process (uninterruptible sleep).
inline constexpr absl::Duration kKillTime = absl::Seconds(10);

// Writes config.json and, when the spec has a seccomp profile, the compiled filter beside it.
absl::Status WriteBundle(const std::string& bundle, const oci::Spec& spec);

// kResourceExhausted when it cannot be read now, kInternal when it never can: clients take other
// codes for their own mistakes, or for a missing container.
absl::StatusOr<oci::Spec> ReadSpec(const std::string& bundle);
// linux.cgroupsPath of the bundle's spec.
absl::StatusOr<std::string> BundleCgroup(const std::string& bundle);

// A Start with the group's directories filled in.
shim::v1::Start StartMessage(const cgroup::Cgroups& cgroups, absl::string_view cgroup_path);

// base::MonotonicNanos at `deadline`.
int64_t MonotonicDeadline(absl::Time deadline);

// "" and "crisp" are the native handler; kInvalidArgument names any other.
absl::Status CheckHandler(absl::string_view runtime_handler);

// A request as the key under which equal requests join.
std::string OperationKey(const google::protobuf::Message& request);

}  // namespace crisp::cri
