#include "cli/pod_files.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/environment.h"
#include "cli/log_lines.h"
#include "cli/pod_dns.h"
#include "cli/pod_messages.h"
#include "cli/pod_resources.h"
#include "cli/sub_path.h"
#include "cli/volume_files.h"

namespace crisp::cli {
namespace {

constexpr mode_t kPodMode = 0700;  // it has secrets
constexpr mode_t kLogMode = 0755;
// kubelet's containerLogMaxSize and containerLogMaxFiles, less the one that is being written.
constexpr off_t kMaxLogBytes = 10 << 20;
constexpr size_t kMaxOldLogs = 4;

struct HostPathRule {
  HostPathType type;
  mode_t format;  // S_IFDIR, ...
  bool is_made;   // when it is missing
  const char* name;
};
constexpr HostPathRule kHostPathRules[] = {
    {HostPathType::kDirectoryOrCreate, S_IFDIR, true, "a directory"},
    {HostPathType::kDirectory, S_IFDIR, false, "a directory"},
    {HostPathType::kFileOrCreate, S_IFREG, true, "a file"},
    {HostPathType::kFile, S_IFREG, false, "a file"},
    {HostPathType::kSocket, S_IFSOCK, false, "a socket"},
    {HostPathType::kCharDevice, S_IFCHR, false, "a character device"},
    {HostPathType::kBlockDevice, S_IFBLK, false, "a block device"}};

absl::Status MakeMissing(const std::string& path, mode_t format) {
  if (format == S_IFDIR) return base::MakeDirs(path, 0755);
  // As for kubelet, the directory of a file must be there.
  return base::Open(path, O_WRONLY | O_CREAT, 0644).status();
}

absl::Status CheckHostPath(const HostPath& host) {
  for (const HostPathRule& rule : kHostPathRules) {
    if (rule.type != host.type) continue;
    struct stat found;
    int result = stat(host.path.c_str(), &found);
    if (result != 0 && errno == ENOENT && rule.is_made) {
      CRISP_RETURN_IF_ERROR(MakeMissing(host.path, rule.format));
      result = stat(host.path.c_str(), &found);
    }
    if (result != 0) return base::Errno("stat", host.path);
    if ((found.st_mode & S_IFMT) != rule.format)
      return absl::FailedPreconditionError(absl::StrCat(host.path, " is not ", rule.name));
  }
  return absl::OkStatus();
}

// Of a directory: it is in another file system than the one above.
bool IsMountPoint(const std::string& path) {
  struct stat own, above;
  return stat(path.c_str(), &own) == 0 && stat((path + "/..").c_str(), &above) == 0 &&
         own.st_dev != above.st_dev;
}

absl::Status WriteWith(const std::string& path, absl::string_view text, mode_t mode) {
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(path, text, mode));
  // Whatever the umask is.
  return chmod(path.c_str(), mode) == 0 ? absl::OkStatus() : base::Errno("chmod", path);
}

// The last bytes of a file, at most; empty for what cannot be read.
std::string TailOf(const std::string& path, size_t max_bytes) {
  const absl::StatusOr<base::UniqueFd> fd = base::Open(path, O_RDONLY);
  struct stat found;
  if (!fd.ok() || fstat(fd->get(), &found) != 0) return "";
  const off_t from = std::max<off_t>(found.st_size - static_cast<off_t>(max_bytes), 0);
  if (lseek(fd->get(), from, SEEK_SET) < 0) return "";
  return base::ReadAll(fd->get(), max_bytes).value_or("");
}

// The files that a log was renamed to, the oldest first.
std::vector<std::string> OldLogs(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::vector<std::string> old;
  const auto names = base::ListDir(path.substr(0, slash));
  if (!names.ok()) return old;
  for (const std::string& name : *names) {
    if (absl::StartsWith(name, path.substr(slash + 1) + "."))
      old.push_back(base::JoinPath(path.substr(0, slash), name));
  }
  return old;
}

}  // namespace

absl::Status HostPodFiles::MakeEmptyDir(const Volume& volume) {
  constexpr mode_t kMode = 0777;
  const std::string path = VolumePath(volume, instance_);
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path, 0755));
  if (volume.empty_dir->in_memory && !IsMountPoint(path)) {
    // The smallest limit counts, as for kubelet.
    int64_t size = node_.memory_bytes;
    if (const int64_t pods = PodMemoryLimit(pod_.spec); pods > 0) size = std::min(size, pods);
    if (const auto& limit = volume.empty_dir->size_limit; limit.has_value() && !limit->IsZero())
      size = std::min(size, limit->Value());
    const std::string options = absl::StrCat("size=", size);
    if (mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) != 0)
      return base::Errno("mount tmpfs", path);
  }
  const std::optional<int64_t>& group = pod_.spec.security.fs_group;
  if (group.has_value() &&
      chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0)
    return base::Errno("chown", path);
  if (chmod(path.c_str(), group.has_value() ? kMode | S_ISGID : kMode) != 0)
    return base::Errno("chmod", path);
  return absl::OkStatus();
}

absl::Status HostPodFiles::MakeVolume(const Volume& volume) {
  if (volume.host_path.has_value()) return CheckHostPath(*volume.host_path);
  if (volume.empty_dir.has_value()) return MakeEmptyDir(volume);
  if (!volume.is_files) return absl::OkStatus();
  return WriteVolumeFiles(VolumeFiles(volume, pod_, objects_, instance_, node_),
                          {.group = pod_.spec.security.fs_group}, VolumePath(volume, instance_));
}

absl::Status HostPodFiles::MakeVolumes() {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(instance_.directory, kPodMode));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(instance_.disk_directory, kPodMode));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(LogDirectory(pod_, instance_), kLogMode));
  for (const Volume& volume : pod_.spec.volumes) {
    if (absl::Status made = MakeVolume(volume); !made.ok())
      return base::Prefix(made, absl::StrCat("volume ", volume.name));
  }
  return absl::OkStatus();
}

absl::Status HostPodFiles::MakeForContainer(const Container& container, uint32_t attempt,
                                            const PodInstance& instance) {
  CRISP_RETURN_IF_ERROR(WriteWith(HostsPath(instance), HostsFile(pod_, instance, node_), 0644));
  CRISP_RETURN_IF_ERROR(
      base::MakeDirs(base::JoinPath(LogDirectory(pod_, instance), container.name), kLogMode));
  const std::string message = TerminationLog(container, attempt, instance);
  CRISP_RETURN_IF_ERROR(base::MakeDirs(message.substr(0, message.rfind('/')), kPodMode));
  CRISP_RETURN_IF_ERROR(WriteWith(message, "", 0666));
  const Environment environment = EnvironmentOf(pod_, container, objects_, instance, node_);
  for (size_t i = 0; i < container.volume_mounts.size(); ++i) {
    const VolumeMount& mount = container.volume_mounts[i];
    const Volume& volume = VolumeOf(pod_.spec, mount.name);
    CRISP_ASSIGN_OR_RETURN(const std::string sub_path, SubPathOf(mount, environment));
    if (sub_path.empty() || volume.image.has_value()) continue;
    const absl::Status bound =
        BindSubPath(VolumePath(volume, instance), sub_path, SubPathTarget(container, i, instance));
    if (!bound.ok()) return base::Prefix(bound, absl::StrCat("volume ", volume.name));
  }
  return absl::OkStatus();
}

std::string HostPodFiles::LogPath(const Container& container, uint32_t attempt) const {
  return base::JoinPath(LogDirectory(pod_, instance_), LogFile(container, attempt));
}

void HostPodFiles::Forget(const Container& container, uint32_t attempt) {
  // What stays goes with the pod.
  (void)unlink(TerminationLog(container, attempt, instance_).c_str());
  const std::string log = LogPath(container, attempt);
  (void)unlink(log.c_str());
  for (const std::string& old : OldLogs(log)) (void)unlink(old.c_str());
}

std::string HostPodFiles::EndMessage(const Container& container, uint32_t attempt,
                                     bool has_failed) const {
  // Kubernetes' limits.
  constexpr size_t kMaxMessage = 4096, kMaxLogMessage = 2048, kMaxLogLines = 80;
  constexpr size_t kMaxLogTail = 64 << 10;  // with the time of each line, and the longest line
  std::string message = TailOf(TerminationLog(container, attempt, instance_), kMaxMessage);
  const bool may_be_log = container.termination_message_policy == "FallbackToLogsOnError";
  if (!message.empty() || !has_failed || !may_be_log) return message;
  return LastLines(TailOf(LogPath(container, attempt), kMaxLogTail), kMaxLogLines, kMaxLogMessage);
}

absl::Status HostPodFiles::RotateLog(const Container& container, uint32_t attempt,
                                     const std::function<absl::Status()>& reopen) {
  const std::string path = LogPath(container, attempt);
  struct stat found;
  // A supervisor that was killed has renamed it, and the runtime writes to the old file still.
  if (stat(path.c_str(), &found) != 0)
    return errno == ENOENT ? reopen() : base::Errno("stat", path);
  if (found.st_size < kMaxLogBytes) return absl::OkStatus();
  const std::vector<std::string> old = OldLogs(path);
  for (size_t i = 0; i + kMaxOldLogs <= old.size(); ++i) (void)unlink(old[i].c_str());
  const std::string renamed = absl::StrCat(
      path, ".", absl::FormatTime("%Y%m%d-%H%M%E6S", absl::Now(), absl::UTCTimeZone()));
  if (rename(path.c_str(), renamed.c_str()) != 0) return base::Errno("rename", path);
  absl::Status reopened = reopen();
  // It still writes to the old file, which must have its name then; unless there is a new one,
  // because only the answer was lost.
  if (!reopened.ok())
    (void)renameat2(AT_FDCWD, renamed.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
  return reopened;
}

absl::Status HostPodFiles::Remove() {
  // Also what a container has mounted in a volume and passed on to the host.
  CRISP_RETURN_IF_ERROR(DetachMounts(instance_.directory));
  CRISP_RETURN_IF_ERROR(DetachMounts(instance_.disk_directory));
  CRISP_RETURN_IF_ERROR(base::RemoveTree(LogDirectory(pod_, instance_)));
  CRISP_RETURN_IF_ERROR(base::RemoveTree(instance_.disk_directory));
  // In one step: half of a pod could be neither run nor taken down.
  const std::string& directory = instance_.directory;
  const std::string gone = base::JoinPath(directory.substr(0, directory.rfind('/')),
                                          absl::StrCat(kGonePrefix, instance_.uid));
  if (rename(directory.c_str(), gone.c_str()) != 0 && errno != ENOENT)
    return base::Errno("rename", directory);
  // What stays is removed when the next pod is made.
  (void)base::RemoveTree(gone);
  return absl::OkStatus();
}

}  // namespace crisp::cli
