#include "spec/container_mounts.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clean_path.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/privileged.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kDev[] = "/dev";
constexpr char kShm[] = "/dev/shm";
constexpr char kHostname[] = "/etc/hostname";
constexpr char kHosts[] = "/etc/hosts";
constexpr char kResolvConf[] = "/etc/resolv.conf";
constexpr size_t kMaxVolumes = 128;  // of an image

oci::Mount MakeMount(std::string destination, const char* type, std::string source,
                     std::vector<std::string> options) {
  oci::Mount mount;
  mount.destination = std::move(destination);
  mount.type = type;
  mount.source = std::move(source);
  mount.options = std::move(options);
  return mount;
}

// The defaults of containerd and Docker, in their order.
std::vector<oci::Mount> DefaultMounts(bool privileged, const CgroupView& cgroups) {
  const char* access = privileged ? "rw" : "ro";
  return {MakeMount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
          MakeMount(kDev, "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
          MakeMount("/dev/pts", "devpts", "devpts",
                    {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
          MakeMount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
          MakeMount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}),
          MakeMount("/sys/fs/cgroup", "cgroup", "cgroup",
                    {"nosuid", "noexec", "nodev", "relatime", cgroups.writable ? "rw" : "ro"})};
}

// The sandbox's files, from where runtime/pod_files.h has put them.
std::vector<oci::Mount> SandboxMounts(const ContainerInput& input) {
  const bool readonly = input.config.linux().security_context().readonly_rootfs();
  const char* access = readonly ? "ro" : "rw";
  const bool host_ipc =
      input.sandbox_config.linux().security_context().namespace_options().ipc() == v1::NODE;
  // The pod's /dev/shm is mounted only in the mount namespace of pause: reached through /proc, it
  // needs no mount point on the host and belongs to the pod's user namespace.
  const std::string shm =
      host_ipc ? kShm : absl::StrCat("/proc/", input.sandbox_pid, "/root", kShm);
  std::vector<oci::Mount> mounts;
  const auto add = [&](const char* destination, const std::string& source) {
    if (source.empty()) return;
    mounts.push_back(MakeMount(destination, "bind", source, {"rbind", "rprivate", access}));
  };
  add(kHostname, input.hostname_path);
  add(kHosts, input.hosts_path);
  add(kResolvConf, input.resolv_conf_path);
  mounts.push_back(MakeMount(kShm, "bind", shm, {"rbind", "rprivate", "rw"}));
  return mounts;
}

// Whether an image may not have a volume there.
bool IsReserved(absl::string_view path) {
  for (const absl::string_view kernel : {"/proc", "/sys", kDev}) {
    if (path == kernel || IsBelow(path, kernel)) return true;
  }
  return path == "/" || path == kHostname || path == kHosts || path == kResolvConf;
}

size_t Depth(const oci::Mount& mount) {
  return std::count(mount.destination.begin(), mount.destination.end(), '/');
}

// Whether two of the ranges share an id, of those that `first` leads to: the kernel refuses that
// with EINVAL only when the container starts.
bool Overlap(std::vector<oci::IdMapping> ranges, uint32_t oci::IdMapping::*first) {
  std::sort(ranges.begin(), ranges.end(),
            [&](const oci::IdMapping& a, const oci::IdMapping& b) { return a.*first < b.*first; });
  const auto touches = [&](const oci::IdMapping& a, const oci::IdMapping& b) {
    return b.*first - a.*first < a.size;
  };
  return std::adjacent_find(ranges.begin(), ranges.end(), touches) != ranges.end();
}

absl::StatusOr<std::vector<oci::IdMapping>> IdRanges(
    absl::string_view field, const google::protobuf::RepeatedPtrField<v1::IDMapping>& mappings) {
  constexpr int kMaxRanges = 340;  // user_namespaces(7)
  if (mappings.size() > kMaxRanges) {
    return Invalid(field, mappings.size(), absl::StrCat("too many ranges, at most ", kMaxRanges));
  }
  std::vector<oci::IdMapping> ranges;
  for (const v1::IDMapping& mapping : mappings) {
    CRISP_ASSIGN_OR_RETURN(ranges.emplace_back(), IdRange(field, mapping));
  }
  if (Overlap(ranges, &oci::IdMapping::container_id) || Overlap(ranges, &oci::IdMapping::host_id))
    return Invalid(field, mappings.size(), "ranges overlap");
  return ranges;
}

absl::StatusOr<std::string> Destination(absl::string_view field, const v1::Mount& mount) {
  const std::string name = absl::StrCat(field, ".mountPath");
  const std::string& given = mount.container_path();
  if (given.empty()) return Invalid(name, given, "must not be empty");
  // As for other runtimes and kubelet, a path without "/" in front begins at the root.
  CRISP_ASSIGN_OR_RETURN(std::string path, CleanInside(name, absl::StrCat("/", given)));
  if (path == "/") {
    return Invalid(name, mount.container_path(), "must not be the root file system");
  }
  return path;
}

const char* PropagationWord(v1::MountPropagation propagation) {
  switch (propagation) {
    case v1::PROPAGATION_PRIVATE:
      return "rprivate";
    case v1::PROPAGATION_HOST_TO_CONTAINER:
      return "rslave";
    case v1::PROPAGATION_BIDIRECTIONAL:
      return "rshared";
    default:
      return nullptr;
  }
}

// KEP-5855 defines these three; any other option could undo what other fields request.
absl::Status CheckMountOption(absl::string_view field, absl::string_view option) {
  if (option == "noexec" || option == "nodev" || option == "nosuid") return absl::OkStatus();
  return Invalid(field, option, "must be noexec, nodev or nosuid");
}

}  // namespace

absl::StatusOr<oci::Mount> HostMount(absl::string_view field, const v1::Mount& mount) {
  const auto member = [field](absl::string_view name) { return absl::StrCat(field, ".", name); };
  oci::Mount result;
  CRISP_ASSIGN_OR_RETURN(result.destination, Destination(field, mount));
  result.type = "bind";
  result.source = mount.host_path();
  if (result.source.empty() || result.source[0] != '/') {
    return Invalid(member("hostPath"), mount.host_path(), "must be an absolute path");
  }
  CRISP_RETURN_IF_ERROR(CheckText(member("hostPath"), mount.host_path(), 4095));
  const char* propagation = PropagationWord(mount.propagation());
  if (propagation == nullptr) {
    return Invalid(member("mountPropagation"), mount.propagation(), "is not a mount propagation");
  }
  if (mount.recursive_read_only() &&
      (!mount.readonly() || mount.propagation() != v1::PROPAGATION_PRIVATE)) {
    return Invalid(member("recursiveReadOnly"), "true", "needs readOnly, and no mountPropagation");
  }
  if (!mount.image_sub_path().empty()) {
    return Invalid(member("subPath"), mount.image_sub_path(), "needs an image");
  }
  result.options = {"rbind", propagation};
  // Not "rw" for the others: it would make writable what the host has mounted read-only, as a CSI
  // driver may have.
  if (mount.readonly()) result.options.push_back(mount.recursive_read_only() ? "rro" : "ro");
  for (const std::string& option : mount.mount_options()) {
    CRISP_RETURN_IF_ERROR(CheckMountOption(member("mountOptions"), option));
    result.options.push_back(option);
  }
  CRISP_ASSIGN_OR_RETURN(result.uid_mappings, IdRanges(member("uidMappings"), mount.uidmappings()));
  CRISP_ASSIGN_OR_RETURN(result.gid_mappings, IdRanges(member("gidMappings"), mount.gidmappings()));
  if (result.uid_mappings.empty() != result.gid_mappings.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": uidMappings and gidMappings must be given together"));
  }
  return result;
}

absl::StatusOr<ImageVolume> ImageMount(absl::string_view field, const v1::Mount& mount) {
  const auto member = [field](absl::string_view name) { return absl::StrCat(field, ".", name); };
  ImageVolume result;
  CRISP_ASSIGN_OR_RETURN(result.container_path, Destination(field, mount));
  if (!mount.host_path().empty()) {
    return Invalid(member("hostPath"), mount.host_path(), "must be empty for an image");
  }
  if (!mount.readonly()) return Invalid(member("readOnly"), "false", "must be true for an image");
  if (mount.propagation() != v1::PROPAGATION_PRIVATE) {
    return Invalid(member("mountPropagation"), mount.propagation(), "must be private for an image");
  }
  for (const std::string& option : mount.mount_options()) {
    CRISP_RETURN_IF_ERROR(CheckMountOption(member("mountOptions"), option));
    if (option == "noexec") result.noexec = true;
  }
  result.image = mount.image().image().empty() ? mount.image().image_ref() : mount.image().image();
  if (result.image.empty()) return Invalid(member("image.image"), "", "must not be empty");
  CRISP_RETURN_IF_ERROR(CheckText(member("image.image"), result.image, 4096));
  CRISP_ASSIGN_OR_RETURN(result.sub_path, CleanRelative(member("subPath"), mount.image_sub_path()));
  return result;
}

absl::StatusOr<std::vector<std::string>> DeclaredPaths(
    const v1::ContainerConfig& config, const oci::ImageConfig& image,
    absl::FunctionRef<absl::StatusOr<std::string>(const std::string& path)> resolve) {
  std::set<std::string> paths;
  for (const std::string& volume : image.volumes) {
    // As in Docker, a path without "/" in front begins at the root.
    const absl::StatusOr<std::string> path = base::CleanRootedPath(volume);
    if (path.ok() && !IsReserved(*path)) paths.insert(*path);
  }
  if (paths.size() > kMaxVolumes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image declares ", paths.size(), " volumes, at most ", kMaxVolumes));
  }
  std::vector<std::string> taken;
  for (int i = 0; i < config.mounts_size(); ++i) {
    CRISP_ASSIGN_OR_RETURN(std::string path,
                           Destination(absl::StrCat("volumeMounts[", i, "]"), config.mounts(i)));
    const absl::StatusOr<std::string> place = resolve(path);
    if (absl::IsResourceExhausted(place.status())) return place.status();
    // A path that leads to a file has no volume at or below it.
    taken.push_back(place.ok() ? *place : std::move(path));
  }
  std::set<std::string> places;
  for (const std::string& path : paths) {
    const auto hides = [](const std::string& place) {
      return [&](const std::string& mount) { return place == mount || IsBelow(place, mount); };
    };
    if (std::any_of(taken.begin(), taken.end(), hides(path))) continue;
    CRISP_ASSIGN_OR_RETURN(std::string place, resolve(path));
    if (IsReserved(place) || std::any_of(taken.begin(), taken.end(), hides(place))) continue;
    places.insert(std::move(place));
  }
  return std::vector<std::string>(places.begin(), places.end());
}

absl::StatusOr<ContainerMounts> MakeContainerMounts(const ContainerInput& input, bool userns) {
  ContainerMounts result;
  std::vector<oci::Mount> configured;
  std::vector<std::string> taken;
  for (int i = 0; i < input.config.mounts_size(); ++i) {
    const v1::Mount& mount = input.config.mounts(i);
    const std::string field = absl::StrCat("volumeMounts[", i, "]");
    if (mount.has_image()) {
      // Not part of the spec: the shim mounts it from the start request.
      CRISP_ASSIGN_OR_RETURN(const ImageVolume volume, ImageMount(field, mount));
      taken.push_back(volume.container_path);
      continue;
    }
    CRISP_ASSIGN_OR_RETURN(oci::Mount host, HostMount(field, mount));
    taken.push_back(host.destination);
    configured.push_back(std::move(host));
    if (mount.propagation() == v1::PROPAGATION_BIDIRECTIONAL) {
      result.rootfs_propagation = "rshared";
    } else if (mount.propagation() == v1::PROPAGATION_HOST_TO_CONTAINER &&
               result.rootfs_propagation.empty()) {
      result.rootfs_propagation = "rslave";
    }
  }
  const auto is_taken = [&](absl::string_view path) {
    return std::find(taken.begin(), taken.end(), path) != taken.end();
  };
  const bool own_dev = is_taken(kDev);
  const v1::LinuxContainerSecurityContext& context = input.config.linux().security_context();
  CRISP_ASSIGN_OR_RETURN(const CgroupView cgroups, MakeCgroupView(context, input.cgroup_host));
  for (oci::Mount& mount : DefaultMounts(IsPrivileged(context), cgroups)) {
    if (is_taken(mount.destination) || (own_dev && IsBelow(mount.destination, kDev))) continue;
    const bool host_network =
        input.sandbox_config.linux().security_context().namespace_options().network() == v1::NODE;
    if (mount.type == "sysfs" && userns && host_network) {
      // A user namespace may not mount a sysfs that shows a network it does not own.
      mount = MakeMount(mount.destination, "bind", "/sys",
                        {"rbind", "rprivate", "rro", "nosuid", "noexec", "nodev"});
    }
    result.mounts.push_back(std::move(mount));
  }
  for (const DeclaredVolume& volume : input.volumes) {
    // Its files have the container's own ids on disk.
    std::vector<std::string> options = {"rbind", "rprivate", "rw"};
    if (userns) options.emplace_back("idmap");
    result.mounts.push_back(
        MakeMount(volume.container_path, oci::kImageVolume, volume.host_path, options));
  }
  std::vector<oci::Mount> rest = SandboxMounts(input);
  rest.erase(std::remove_if(rest.begin(), rest.end(),
                            [&](const oci::Mount& mount) { return is_taken(mount.destination); }),
             rest.end());
  rest.insert(rest.end(), std::make_move_iterator(configured.begin()),
              std::make_move_iterator(configured.end()));
  // Deeper mounts come later: a mount above them would hide them.
  std::stable_sort(rest.begin(), rest.end(),
                   [](const oci::Mount& a, const oci::Mount& b) { return Depth(a) < Depth(b); });
  result.mounts.insert(result.mounts.end(), std::make_move_iterator(rest.begin()),
                       std::make_move_iterator(rest.end()));
  return result;
}

}  // namespace crisp::spec
