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

using Ranges = google::protobuf::RepeatedPtrField<v1::IDMapping>;

absl::StatusOr<oci::IdMapping> OnlyRange(absl::string_view name, const Ranges& ranges) {
  const std::string field = absl::StrCat(kUserns, ".", name);
  if (ranges.size() != 1) {
    return Invalid(absl::StrCat("number of ", field), ranges.size(), "is not 1");
  }
  CRISP_ASSIGN_OR_RETURN(const oci::IdMapping range, IdRange(field, ranges[0]));
  if (range.container_id != 0) {
    return Invalid(absl::StrCat(field, ".container_id"), range.container_id,
                   "leaves id 0 of the container unmapped");
  }
  return range;
}

absl::Status CheckMode(absl::string_view field, v1::NamespaceMode mode, bool target_allowed) {
  if (!v1::NamespaceMode_IsValid(mode)) return Invalid(field, mode, "is no namespace mode");
  if (mode == v1::TARGET && !target_allowed) return Invalid(field, "TARGET", "is not possible");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<oci::IdMapping> IdRange(absl::string_view field, const v1::IDMapping& mapping) {
  // The highest 32-bit number means "no id".
  constexpr uint64_t kIds = std::numeric_limits<uint32_t>::max();
  if (mapping.length() == 0) return Invalid(absl::StrCat(field, ".length"), 0, "maps nothing");
  const auto fits = [&](uint64_t first) { return first + mapping.length() <= kIds; };
  if (!fits(mapping.container_id()) || !fits(mapping.host_id())) {
    return Invalid(absl::StrCat(field, ".length"), mapping.length(), "goes beyond the last id");
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
    return Invalid(absl::StrCat(kUserns, ".mode"), "NODE", "has no mappings");
  }
  if (userns.mode() != v1::POD) {
    return Invalid(absl::StrCat(kUserns, ".mode"), userns.mode(), "is neither POD nor NODE");
  }
  UserNamespace result;
  CRISP_ASSIGN_OR_RETURN(result.uids, OnlyRange("uids", userns.uids()));
  CRISP_ASSIGN_OR_RETURN(result.gids, OnlyRange("gids", userns.gids()));
  if (result.uids.size != result.gids.size) {
    return Invalid(absl::StrCat(kUserns, ".gids.length"), result.gids.size,
                   absl::StrCat("differs from the users' ", result.uids.size));
  }
  return result;
}

absl::Status CheckNamespaces(const v1::NamespaceOption& sandbox) {
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.network", sandbox.network(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.ipc", sandbox.ipc(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.pid", sandbox.pid(), false));
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> userns, PodUserNamespace(sandbox));
  // The kernel lets a user namespace mount /proc and mqueue only of namespaces it owns.
  if (userns.has_value() && (sandbox.pid() == v1::NODE || sandbox.ipc() == v1::NODE)) {
    return Invalid(absl::StrCat(kUserns, ".mode"), "POD",
                   "does not go together with the host's pid or ipc namespace");
  }
  return absl::OkStatus();
}

absl::Status CheckNamespaces(const v1::NamespaceOption& container,
                             const v1::NamespaceOption& sandbox) {
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.network", container.network(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.ipc", container.ipc(), false));
  CRISP_RETURN_IF_ERROR(CheckMode("namespace_options.pid", container.pid(), true));
  if (container.pid() == v1::TARGET && container.target_id().empty()) {
    return Invalid("namespace_options.target_id", "", "is needed with pid TARGET");
  }
  // Network and ipc are the sandbox's whatever the container says, as kubelet and other runtimes
  // have it; the host's pids are only for pods that asked for them.
  if (container.pid() == v1::NODE && sandbox.pid() != v1::NODE) {
    return Invalid("namespace_options.pid", "NODE", "is not what the sandbox was run with");
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
