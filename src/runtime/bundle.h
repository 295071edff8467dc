// A shim's bundle and its messages, as sandboxes and containers both need them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cgroup/cgroups.h"
#include "container/container.h"
#include "google/protobuf/message.h"
#include "oci/runtime_spec.h"
#include "shim/v1/shim.pb.h"

namespace crisp::runtime {

// Writes config.json and, when the spec has a seccomp profile, the compiled filter beside it.
absl::Status WriteBundle(const std::string& bundle, const oci::Spec& spec);
// The part of the spec that execs need, beside it. A pause has none.
absl::Status WriteExecSpec(const std::string& bundle, const oci::Spec& spec);

// Without the seccomp profile. kResourceExhausted when it cannot be read now, kInternal when it
// never can: clients take other codes for their own mistakes, or for a missing container.
absl::StatusOr<oci::Spec> ReadSpec(const std::string& bundle);
// linux.cgroupsPath of the bundle's spec.
absl::StatusOr<std::string> BundleCgroup(const std::string& bundle);

// A Start with the cgroup's directories filled in.
shim::v1::Start StartMessage(const cgroup::Cgroups& cgroups, absl::string_view cgroup_path);
// What a shim reported of its first process.
container::Init InitOf(const shim::v1::Started& started);

// A request as the key under which equal requests join.
std::string OperationKey(const google::protobuf::Message& request);

}  // namespace crisp::runtime
