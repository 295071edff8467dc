#include "spec/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/privileged.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr size_t kMaxNodes = 4096;
constexpr int kMaxDepth = 16;

// Directories of /dev that a container has as mounts of its own, or that belong to LXC, LXD or
// udev.
constexpr absl::string_view kSkippedDirectories[] = {"pts",  "shm",         "fd",   "mqueue",
                                                     ".lxc", ".lxd-mounts", ".udev"};

oci::DeviceRule Rule(bool allow, char type, std::optional<int64_t> major,
                     std::optional<int64_t> minor, std::string access) {
  return {
      .allow = allow, .type = type, .major = major, .minor = minor, .access = std::move(access)};
}

// Allowed are the nodes that every container's /dev has, its pseudo terminals and their
// multiplexer. Every node may be created ("m"), which gives no access to the device.
std::vector<oci::DeviceRule> DefaultRules() {
  constexpr std::nullopt_t kAny = std::nullopt;
  std::vector<oci::DeviceRule> rules = {Rule(false, 'a', kAny, kAny, "rwm"),
                                        Rule(true, 'c', kAny, kAny, "m"),
                                        Rule(true, 'b', kAny, kAny, "m")};
  const auto allow = [&](int64_t major, std::optional<int64_t> minor) {
    rules.push_back(Rule(true, 'c', major, minor, "rwm"));
  };
  allow(1, 3);       // null
  allow(1, 5);       // zero
  allow(1, 7);       // full
  allow(1, 8);       // random
  allow(1, 9);       // urandom
  allow(5, 0);       // tty
  allow(5, 2);       // ptmx
  allow(136, kAny);  // pts/*
  return rules;
}

bool IsNode(const struct stat& info) { return S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode); }

oci::Device Node(std::string path, const struct stat& info) {
  return {.path = std::move(path),
          .type = S_ISBLK(info.st_mode) ? 'b' : 'c',
          .major = major(info.st_rdev),
          .minor = minor(info.st_rdev),
          .file_mode = info.st_mode & 07777,
          .uid = info.st_uid,
          .gid = info.st_gid};
}

// The nodes below `directory`, as `to`/...; links are not followed, and a node that disappears
// meanwhile (an unplugged device) is left out. `field` is for messages.
absl::Status Walk(const std::string& field, const std::string& directory, const std::string& to,
                  int depth, std::vector<oci::Device>& found) {
  if (depth > kMaxDepth) {
    return Invalid(field, directory, absl::StrCat("is nested deeper than ", kMaxDepth, " levels"));
  }
  absl::StatusOr<std::vector<std::string>> names = base::ListDir(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string path = base::JoinPath(directory, name);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return base::Errno("stat", path);
    }
    if (S_ISDIR(info.st_mode)) {
      const bool skip = std::find(std::begin(kSkippedDirectories), std::end(kSkippedDirectories),
                                  name) != std::end(kSkippedDirectories);
      if (!skip)
        CRISP_RETURN_IF_ERROR(Walk(field, path, base::JoinPath(to, name), depth + 1, found));
    } else if (IsNode(info) && name != "console") {
      found.push_back(Node(base::JoinPath(to, name), info));
      if (found.size() > kMaxNodes) {
        return Invalid(field, directory, absl::StrCat("has more than ", kMaxNodes, " devices"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<oci::Device>> Nodes(absl::string_view field, const v1::Device& device) {
  const std::string& wanted =
      device.container_path().empty() ? device.host_path() : device.container_path();
  CRISP_ASSIGN_OR_RETURN(const std::string to,
                         CleanInside(absl::StrCat(field, ".devicePath"), wanted));
  const std::string host_field = absl::StrCat(field, ".hostPath");
  struct stat info;
  if (stat(device.host_path().c_str(), &info) != 0) {
    return base::Prefix(base::Errno("stat", device.host_path()), host_field);
  }
  std::vector<oci::Device> found;
  if (S_ISDIR(info.st_mode)) {
    CRISP_RETURN_IF_ERROR(Walk(host_field, device.host_path(), to, 0, found));
  } else if (IsNode(info)) {
    found.push_back(Node(to, info));
  } else {
    return Invalid(host_field, device.host_path(), "must be a device or a directory");
  }
  return found;
}

void Replace(std::vector<oci::Device>& devices, oci::Device device) {
  const auto same = std::find_if(devices.begin(), devices.end(), [&](const oci::Device& other) {
    return other.path == device.path;
  });
  if (same == devices.end()) {
    devices.push_back(std::move(device));
  } else {
    *same = std::move(device);
  }
}

}  // namespace

absl::Status CheckDevice(absl::string_view field, const v1::Device& device) {
  CRISP_RETURN_IF_ERROR(
      CleanAbsolute(absl::StrCat(field, ".hostPath"), device.host_path()).status());
  if (!device.container_path().empty()) {
    const std::string name = absl::StrCat(field, ".devicePath");
    CRISP_ASSIGN_OR_RETURN(const std::string path, CleanInside(name, device.container_path()));
    if (path == "/") return Invalid(name, path, "must not be the root file system");
    for (const absl::string_view kernel : {"/proc", "/sys"}) {
      if (path == kernel || IsBelow(path, kernel))
        return Invalid(name, path, absl::StrCat("must not be in ", kernel));
    }
  }
  std::string letters = device.permissions();
  std::sort(letters.begin(), letters.end());
  const bool twice = std::adjacent_find(letters.begin(), letters.end()) != letters.end();
  if (letters.empty() || twice || letters.find_first_not_of("rwm") != std::string::npos) {
    return Invalid(absl::StrCat(field, ".permissions"), device.permissions(),
                   "must be one or more of r, w, m");
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerDevices> MakeContainerDevices(const v1::ContainerConfig& config) {
  ContainerDevices result;
  const bool privileged = IsPrivileged(config.linux().security_context());
  if (privileged) {
    CRISP_RETURN_IF_ERROR(Walk("devices of the host", "/dev", "/dev", 0, result.devices));
    result.rules = {Rule(true, 'a', std::nullopt, std::nullopt, "rwm")};
  } else {
    result.rules = DefaultRules();
  }
  for (int i = 0; i < config.devices_size(); ++i) {
    const v1::Device& device = config.devices(i);
    const std::string field = absl::StrCat("devices[", i, "]");
    CRISP_RETURN_IF_ERROR(CheckDevice(field, device));
    CRISP_ASSIGN_OR_RETURN(std::vector<oci::Device> nodes, Nodes(field, device));
    for (oci::Device& node : nodes) {
      if (!privileged) {
        result.rules.push_back(Rule(true, node.type, node.major, node.minor, device.permissions()));
      }
      Replace(result.devices, std::move(node));
    }
  }
  return result;
}

}  // namespace crisp::spec
