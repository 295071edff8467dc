// Which namespaces a CRI configuration asks for.
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

// std::nullopt: the host's. kInvalidArgument for a mode that is neither POD nor NODE, and for
// ranges crisp (and CRI) does not allow.
absl::StatusOr<std::optional<UserNamespace>> PodUserNamespace(
    const ::runtime::v1::NamespaceOption& options);

// Modes that exist and fit together, for a sandbox and for a container of it.
absl::Status CheckNamespaces(const ::runtime::v1::NamespaceOption& sandbox);
absl::Status CheckNamespaces(const ::runtime::v1::NamespaceOption& container,
                             const ::runtime::v1::NamespaceOption& sandbox);

// One range of an idmapped mount or a user namespace.
absl::StatusOr<oci::IdMapping> IdRange(absl::string_view field,
                                       const ::runtime::v1::IDMapping& mapping);

}  // namespace crisp::spec
