// Namespaces that a CRI configuration requests. Pure, thread-safe. kInvalidArgument names the
// field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The pod's user namespace: one range of users and one of groups, of equal length, from id 0 on.
struct UserNamespace {
  oci::IdMapping uids;
  oci::IdMapping gids;
};

// std::nullopt: the host's user namespace. kInvalidArgument for a mode other than POD and NODE, and
// for anything but one range of each kind.
absl::StatusOr<std::optional<UserNamespace>> PodUserNamespace(
    const ::runtime::v1::NamespaceOption& options);

// Whether the modes are valid and possible together, for a sandbox and for a container in it.
absl::Status CheckNamespaces(const ::runtime::v1::NamespaceOption& sandbox);
absl::Status CheckNamespaces(const ::runtime::v1::NamespaceOption& container,
                             const ::runtime::v1::NamespaceOption& sandbox);

// One range of an idmapped mount or a user namespace. `field` is for messages.
absl::StatusOr<oci::IdMapping> IdRange(absl::string_view field,
                                       const ::runtime::v1::IDMapping& mapping);

}  // namespace crisp::spec
