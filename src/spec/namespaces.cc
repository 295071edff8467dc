#include "spec/namespaces.h"

#include <google/protobuf/util/message_differencer.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kUserns[] = "namespace_options.userns_options";
constexpr char kCgroupns[] = "namespace_options.cgroupns_options";

using Ranges = google::protobuf::RepeatedPtrField<v1::IDMapping>;

absl::StatusOr<oci::IdMapping> OnlyRange(absl::string_view name, const Ranges& ranges) {
  const std::string field = absl::StrCat(kUserns, ".", name);
  if (ranges.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": must be exactly one range, not ", ranges.size()));
  }
  CRISP_ASSIGN_OR_RETURN(const oci::IdMapping range, IdRange(field, ranges[0]));
  if (range.container_id != 0) {
    return Invalid(absl::StrCat(field, ".container_id"), range.container_id,
                   "must be 0, so that root of the container is mapped");
  }
  return range;
}

absl::Status CheckMode(absl::string_view field, v1::NamespaceMode mode, bool target_allowed) {
  if (!v1::NamespaceMode_IsValid(mode)) {
    return Invalid(field, mode, "is not a namespace mode");
  }
  if (mode == v1::TARGET && !target_allowed) {
    return Invalid(field, "TARGET", "is only possible for the pid namespace of a container");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<oci::IdMapping> IdRange(absl::string_view field, const v1::IDMapping& mapping) {
  // The kernel uses the highest 32-bit number as "no id".
  constexpr uint64_t kIds = std::numeric_limits<uint32_t>::max();
  if (mapping.length() == 0) return Invalid(absl::StrCat(field, ".length"), 0, "must not be 0");
  const auto fits = [&](uint64_t first) { return first + mapping.length() <= kIds; };
  if (!fits(mapping.container_id()) || !fits(mapping.host_id())) {
    return Invalid(absl::StrCat(field, ".length"), mapping.length(), "maps ids beyond 4294967294");
  }
  return oci::IdMapping{.container_id = mapping.container_id(),
                        .host_id = mapping.host_id(),
                        .size = mapping.length()};
}

absl::StatusOr<std::optional<UserNamespace>> PodUserNamespace(const v1::NamespaceOption& options) {
  if (!options.has_userns_options()) return std::nullopt;
  const v1::UserNamespace& userns = options.userns_options();
  if (userns.mode() == v1::NODE) {
    if (userns.uids().empty() && userns.gids().empty()) return std::nullopt;
    return Invalid(absl::StrCat(kUserns, ".mode"), "NODE", "must not have mappings");
  }
  if (userns.mode() != v1::POD) {
    return Invalid(absl::StrCat(kUserns, ".mode"), userns.mode(), "must be POD or NODE");
  }
  UserNamespace result;
  CRISP_ASSIGN_OR_RETURN(result.uids, OnlyRange("uids", userns.uids()));
  CRISP_ASSIGN_OR_RETURN(result.gids, OnlyRange("gids", userns.gids()));
  if (result.uids.size != result.gids.size) {
    return Invalid(absl::StrCat(kUserns, ".gids.length"), result.gids.size,
                   absl::StrCat("must be the length of uids, ", result.uids.size));
  }
  return result;
}

absl::Status CheckNamespaces(const v1::NamespaceOption& sandbox) {
  if (sandbox.has_cgroupns_options()) {
    return Invalid(kCgroupns, sandbox.cgroupns_options().ShortDebugString(),
                   "is only possible for a container");
  }
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.network", sandbox.network(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.ipc", sandbox.ipc(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.pid", sandbox.pid(), false));
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> userns, PodUserNamespace(sandbox));
  // A user namespace can mount /proc and mqueue only for pid and ipc namespaces that it owns.
  if (userns.has_value() && (sandbox.pid() == v1::NODE || sandbox.ipc() == v1::NODE)) {
    return Invalid(absl::StrCat(kUserns, ".mode"), "POD",
                   "is not possible with the host's pid or ipc namespace");
  }
  return absl::OkStatus();
}

absl::Status CheckNamespaces(const v1::NamespaceOption& container,
                             const v1::NamespaceOption& sandbox) {
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.network", container.network(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.ipc", container.ipc(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.pid", container.pid(), true));
  if (container.pid() == v1::TARGET && container.target_id().empty()) {
    return Invalid("targetContainerName", "", "must name a container for pid TARGET");
  }
  // A container always has the sandbox's network and ipc namespaces, whatever its own modes are, as
  // with containerd. The host's pid namespace needs a sandbox that has it.
  if (container.pid() == v1::NODE && sandbox.pid() != v1::NODE) {
    return Invalid("namespace_options.pid", "NODE",
                   "needs a sandbox with the host's pid namespace");
  }
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> own, PodUserNamespace(container));
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> pods, PodUserNamespace(sandbox));
  using google::protobuf::util::MessageDifferencer;
  if (own.has_value() != pods.has_value() ||
      (own.has_value() &&
       !MessageDifferencer::Equals(container.userns_options(), sandbox.userns_options()))) {
    return Invalid(kUserns, container.userns_options().ShortDebugString(),
                   absl::StrCat("differs from the sandbox's \"",
                                sandbox.userns_options().ShortDebugString(), "\""));
  }
  return absl::OkStatus();
}

}  // namespace crisp::spec
