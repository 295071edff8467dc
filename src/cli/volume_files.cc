#include "cli/volume_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/environment.h"

namespace crisp::cli {
namespace {

using Files = std::map<std::string, VolumeFile>;

constexpr char kData[] = "..data";
constexpr mode_t kDirectoryMode = 0755;

// "./a//b/" is the same file as "a/b".
std::string Clean(absl::string_view path) {
  std::vector<absl::string_view> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  parts.erase(std::remove(parts.begin(), parts.end(), "."), parts.end());
  return absl::StrJoin(parts, "/");
}

void AddObject(const ObjectFiles& source, const DataObjects& objects, const Pod& pod, mode_t mode,
               Files& out) {
  const auto object = objects.find({pod.metadata.namespace_, source.ref.name});
  if (object == objects.end()) return;  // optional, otherwise it was refused
  std::map<std::string, std::string> data = object->second.data;
  data.insert(object->second.binary_data.begin(), object->second.binary_data.end());
  for (const KeyToPath& item : source.items) {
    const auto value = data.find(item.key);
    if (value == data.end()) continue;
    out[Clean(item.path)] = {.bytes = value->second,
                             .mode = static_cast<mode_t>(item.mode.value_or(mode))};
  }
  if (!source.items.empty()) return;
  for (const auto& [key, value] : data) out[key] = {.bytes = value, .mode = mode};
}

std::string DownwardText(const DownwardFile& file, const Pod& pod, const PodInstance& instance,
                         const Node& node) {
  if (file.field_ref.has_value()) return FieldValue(*file.field_ref, pod, instance, node);
  const ResourceFieldRef& ref = *file.resource_field_ref;
  for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
    for (const Container& container : *list) {
      if (container.name == ref.container_name) return ResourceValue(ref, container, node);
    }
  }
  return "";
}

absl::Status Own(const std::string& path, mode_t mode, mode_t group_mode,
                 const VolumeOwner& owner) {
  const mode_t bits = owner.group.has_value() ? mode | group_mode : mode;
  if (owner.group.has_value() &&
      lchown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*owner.group)) != 0)
    return base::Errno("chown", path);
  // After chown, which takes the set-group-ID bit away.
  if (chmod(path.c_str(), bits) != 0) return base::Errno("chmod", path);
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path, const VolumeOwner& owner) {
  constexpr mode_t kGroup = S_ISGID | 0550;
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path, kDirectoryMode));
  return Own(path, kDirectoryMode, kGroup, owner);
}

absl::Status WriteOne(const std::string& root, const std::string& path, const VolumeFile& file,
                      const VolumeOwner& owner) {
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
    CRISP_RETURN_IF_ERROR(MakeDirectory(base::JoinPath(root, path.substr(0, slash)), owner));
  const std::string full = base::JoinPath(root, path);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                         base::Open(full, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  CRISP_RETURN_IF_ERROR(base::WriteAll(fd.get(), file.bytes));
  return Own(full, file.mode, 0440, owner);
}

absl::Status Link(const std::string& target, const std::string& path) {
  if (symlink(target.c_str(), path.c_str()) == 0 || errno == EEXIST) return absl::OkStatus();
  return base::Errno("symlink", path);
}

}  // namespace

Files VolumeFiles(const Volume& volume, const Pod& pod, const Manifest& objects,
                  const PodInstance& instance, const Node& node) {
  Files out;
  const mode_t mode = static_cast<mode_t>(volume.default_mode);
  for (const FilesSource& source : volume.files) {
    if (source.config_map.has_value())
      AddObject(*source.config_map, objects.config_maps, pod, mode, out);
    if (source.secret.has_value()) AddObject(*source.secret, objects.secrets, pod, mode, out);
    if (!source.downward_api.has_value()) continue;
    for (const DownwardFile& file : *source.downward_api) {
      out[Clean(file.path)] = {.bytes = DownwardText(file, pod, instance, node),
                               .mode = static_cast<mode_t>(file.mode.value_or(mode))};
    }
  }
  return out;
}

absl::Status WriteVolumeFiles(const Files& files, const VolumeOwner& owner,
                              const std::string& directory) {
  const std::string data = base::JoinPath(directory, kData);
  struct stat found;
  if (lstat(data.c_str(), &found) != 0) {
    // One that was cut short: nobody has seen it, because containers start afterwards.
    CRISP_RETURN_IF_ERROR(base::RemoveTree(directory));
    CRISP_RETURN_IF_ERROR(MakeDirectory(directory, owner));
    const std::string version = absl::StrCat(
        "..", absl::FormatTime("%Y_%m_%d_%H_%M_%E9S", absl::Now(), absl::UTCTimeZone()));
    const std::string root = base::JoinPath(directory, version);
    CRISP_RETURN_IF_ERROR(MakeDirectory(root, owner));
    for (const auto& [path, file] : files) CRISP_RETURN_IF_ERROR(WriteOne(root, path, file, owner));
    CRISP_RETURN_IF_ERROR(Link(version, data));
  }
  std::set<std::string> names;
  for (const auto& [path, file] : files) names.insert(path.substr(0, path.find('/')));
  for (const std::string& name : names) {
    CRISP_RETURN_IF_ERROR(Link(absl::StrCat(kData, "/", name), base::JoinPath(directory, name)));
  }
  return absl::OkStatus();
}

}  // namespace crisp::cli
