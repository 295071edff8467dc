#include "spec/cdi.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kAnnotationPrefix[] = "cdi.k8s.io/";

// "vendor.com/class=name", as SPEC.md ("CDI JSON Specification") defines it.
absl::Status CheckQualifiedName(absl::string_view field, const std::string& name) {
  constexpr size_t kMaxName = 512;
  const size_t slash = name.find('/');
  const size_t equals = name.find('=');
  const auto is_part = [](absl::string_view part) {
    return !part.empty() && absl::ascii_isalnum(static_cast<unsigned char>(part.front())) &&
           absl::ascii_isalnum(static_cast<unsigned char>(part.back())) &&
           std::all_of(part.begin(), part.end(), [](char c) {
             return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                    absl::StrContains("._-:", c);
           });
  };
  const absl::string_view view = name;
  if (name.size() <= kMaxName && slash != name.npos && equals != name.npos && slash < equals &&
      is_part(view.substr(0, slash)) && is_part(view.substr(slash + 1, equals - slash - 1)) &&
      is_part(view.substr(equals + 1))) {
    return absl::OkStatus();
  }
  return Invalid(field, name, "must have the form vendor.com/class=name");
}

absl::StatusOr<oci::Device> MakeNode(const CdiNode& node, const oci::User& user) {
  oci::Device device;
  CRISP_ASSIGN_OR_RETURN(device.path, CleanInside("CDI deviceNodes.path", node.path));
  const std::string& host_path = node.host_path.empty() ? node.path : node.host_path;
  struct stat info = {};
  const bool complete = node.type.has_value() &&
                        (*node.type == 'p' || (node.major.has_value() && node.minor.has_value()));
  const bool found = stat(host_path.c_str(), &info) == 0;
  if (!found && !complete) {
    return absl::FailedPreconditionError(
        absl::StrCat("CDI device node ", host_path, ": ", base::ErrnoText(errno)));
  }
  if (found && !complete && !S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("CDI device node ", host_path, ": is not a device"));
  }
  device.type = node.type.value_or(S_ISBLK(info.st_mode) ? 'b' : 'c');
  device.major = node.major.value_or(major(info.st_rdev));
  device.minor = node.minor.value_or(minor(info.st_rdev));
  device.file_mode = node.file_mode;
  if (!device.file_mode.has_value() && found) device.file_mode = info.st_mode & 07777;
  // As containerd and CRI-O do: devices belong to the user of a process that is not root.
  device.uid = node.uid.has_value() || user.uid == 0 ? node.uid : std::optional(user.uid);
  device.gid = node.gid.has_value() || user.gid == 0 ? node.gid : std::optional(user.gid);
  return device;
}

// A later setting of a variable takes the place of an earlier one.
void SetVariable(const std::string& entry, std::vector<std::string>& env) {
  const absl::string_view name = absl::string_view(entry).substr(0, entry.find('=') + 1);
  const auto same = std::find_if(env.begin(), env.end(), [&](const std::string& other) {
    return absl::StartsWith(other, name);
  });
  if (same == env.end()) {
    env.push_back(entry);
  } else {
    *same = entry;
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CdiNames(const v1::ContainerConfig& config) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& field, const std::string& name) -> absl::Status {
    CRISP_RETURN_IF_ERROR(CheckQualifiedName(field, name));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return absl::OkStatus();
  };
  for (int i = 0; i < config.cdi_devices_size(); ++i) {
    CRISP_RETURN_IF_ERROR(
        add(absl::StrCat("CDI_devices[", i, "].name"), config.cdi_devices(i).name()));
  }
  const std::map<std::string, std::string> annotations(config.annotations().begin(),
                                                       config.annotations().end());
  for (const auto& [key, value] : annotations) {
    if (!absl::StartsWith(key, kAnnotationPrefix)) continue;
    for (absl::string_view name : absl::StrSplit(value, ','))
      CRISP_RETURN_IF_ERROR(add(absl::StrCat("annotations[\"", key, "\"]"), std::string(name)));
  }
  return names;
}

absl::Status ApplyCdi(const CdiEdits& edits, bool privileged, oci::Spec& spec) {
  for (const std::string& entry : edits.env) SetVariable(entry, spec.process.env);
  for (const CdiNode& node : edits.nodes) {
    CRISP_ASSIGN_OR_RETURN(oci::Device device, MakeNode(node, spec.process.user));
    if (device.type != 'p' && !privileged) {
      spec.linux_.resources->devices.push_back({.allow = true,
                                                .type = device.type,
                                                .major = device.major,
                                                .minor = device.minor,
                                                .access = node.permissions});
    }
    std::vector<oci::Device>& devices = spec.linux_.devices;
    devices.erase(std::remove_if(devices.begin(), devices.end(),
                                 [&](const oci::Device& d) { return d.path == device.path; }),
                  devices.end());
    devices.push_back(std::move(device));
  }
  for (oci::Mount mount : edits.mounts) {
    CRISP_ASSIGN_OR_RETURN(mount.destination,
                           CleanInside("CDI mounts.containerPath", mount.destination));
    const auto is_bind = [](const std::string& o) { return o == "bind" || o == "rbind"; };
    if (mount.type == "bind" && std::none_of(mount.options.begin(), mount.options.end(), is_bind)) {
      mount.options.insert(mount.options.begin(), "rbind");
    }
    // Before mounts below it, which it would hide otherwise.
    const auto below =
        std::find_if(spec.mounts.begin(), spec.mounts.end(), [&](const oci::Mount& other) {
          return absl::StartsWith(other.destination, absl::StrCat(mount.destination, "/"));
        });
    spec.mounts.insert(below, std::move(mount));
  }
  for (const uint32_t gid : edits.additional_gids) {
    std::vector<uint32_t>& gids = spec.process.user.additional_gids;
    if (gid != 0 && std::find(gids.begin(), gids.end(), gid) == gids.end()) gids.push_back(gid);
  }
  return absl::OkStatus();
}

}  // namespace crisp::spec
