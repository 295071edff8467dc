#include "cli/play_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "cli/pod_security.h"
#include "cli/sub_path.h"
#include "linux/process_ref.h"
#include "linux/reap.h"

namespace crisp::cli {
namespace {

constexpr char kUidFile[] = ".uid";  // no volume has such a name
constexpr char kLock[] = "lock";
// Byte 0 of the lock is taken by every holder, byte 1 by a supervisor, too.
constexpr off_t kHolderByte = 0, kSupervisorByte = 1;

// Who has locked the byte.
absl::StatusOr<std::optional<pid_t>> HolderOf(int file, off_t byte) {
  struct flock asked = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1, .l_pid = 0};
  if (fcntl(file, F_GETLK, &asked) != 0) return base::Errno("read the holder of", kLock);
  return asked.l_type == F_UNLCK ? std::optional<pid_t>() : asked.l_pid;
}

// A random UUID (RFC 9562, version 4), as the API server gives every object.
std::string NewUid() {
  std::string hex = base::NewId().substr(0, 32);
  hex[12] = '4';
  hex[16] = "89ab"[hex[16] & 3];
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

absl::StatusOr<std::vector<uint32_t>> TakenUsers(const std::string& state) {
  std::vector<uint32_t> taken;
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::ListDir(state));
  for (const std::string& name : names) {
    const auto text = base::ReadFile(base::JoinPath(state, name, kPodFile));
    if (!text.ok()) continue;
    const auto record = DecodePodRecord(*text);
    if (record.ok() && record->users.has_value()) taken.push_back(*record->users);
  }
  return taken;
}

// What removals that were cut short have left. What cannot be removed waits for the next pod.
void RemoveGone(const std::string& state) {
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(state);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (absl::StartsWith(name, kGonePrefix)) (void)base::RemoveTree(base::JoinPath(state, name));
  }
}

}  // namespace

uint32_t FreeUsers(const std::vector<uint32_t>& taken) {
  constexpr uint32_t kFirst = 2 * kIdsPerPod;  // above the ids that machines give to users
  uint32_t users = kFirst;
  while (std::find(taken.begin(), taken.end(), users) != taken.end()) users += kIdsPerPod;
  return users;
}

PodDirectory::PodDirectory(const PlayPaths& paths, const std::string& namespace_,
                           const std::string& name)
    : paths_(paths),
      full_name_(absl::StrCat(namespace_, "_", name)),
      path_(base::JoinPath(paths.state, full_name_)),
      data_(base::JoinPath(paths.data, full_name_)) {}

std::string PodDirectory::File(const char* name) const { return base::JoinPath(path_, name); }

bool PodDirectory::Exists() const { return access(File(kPodFile).c_str(), F_OK) == 0; }

absl::StatusOr<base::UniqueFd> PodDirectory::LockState() const {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(paths_.state, 0700));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd state, base::Open(paths_.state, O_RDONLY | O_DIRECTORY));
  if (flock(state.get(), LOCK_EX) != 0) return base::Errno("lock", paths_.state);
  return state;
}

absl::Status PodDirectory::Make(const Pod& pod, const std::string& documents) const {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd state, LockState());
  // Another command may have been faster.
  if (Exists()) return absl::AlreadyExistsError("was started by another command meanwhile");
  RemoveGone(paths_.state);
  PodRecord record;
  record.namespace_ = pod.metadata.namespace_;
  record.name = pod.metadata.name;
  record.uid = NewUid();
  if (!pod.spec.host_users) {
    CRISP_ASSIGN_OR_RETURN(const std::vector<uint32_t> taken, TakenUsers(paths_.state));
    record.users = FreeUsers(taken);
  }
  // Volumes of another pod, whose removal was cut short.
  CRISP_RETURN_IF_ERROR(base::RemoveTree(data_));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(data_, 0700));
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(base::JoinPath(data_, kUidFile), record.uid, 0600,
                                              base::Durability::kPower));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path_, 0700));
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(File(kManifestFile), documents, 0600));
  // The last: with it the pod exists.
  return base::WriteFileAtomic(File(kPodFile), EncodePodRecord(record), 0600);
}

absl::StatusOr<PodRecord> PodDirectory::ReadRecord() const {
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(File(kPodFile)));
  return DecodePodRecord(text);
}

absl::StatusOr<std::string> PodDirectory::ReadDocuments() const {
  return base::ReadFile(File(kManifestFile));
}

std::optional<PodReport> PodDirectory::ReadReport() const {
  const absl::StatusOr<std::string> text = base::ReadFile(File(kStatusFile));
  if (!text.ok()) return std::nullopt;
  const absl::StatusOr<PodReport> report = DecodePodReport(*text);
  return report.ok() ? std::optional<PodReport>(*report) : std::nullopt;
}

absl::Status PodDirectory::Disown() const {
  return unlink(File(kPodFile).c_str()) == 0 ? absl::OkStatus() : base::Errno("unlink", kPodFile);
}

absl::Status PodDirectory::RemoveRemains(Runtime& runtime) const {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd state, LockState());
  const absl::StatusOr<std::string> uid = base::ReadFile(base::JoinPath(data_, kUidFile));
  if (Exists() || absl::IsNotFound(uid.status())) return absl::NotFoundError("does not run");
  CRISP_RETURN_IF_ERROR(uid.status());
  CRISP_ASSIGN_OR_RETURN(const std::vector<SandboxInfo> sandboxes, runtime.Sandboxes(*uid));
  for (const SandboxInfo& sandbox : sandboxes) {
    CRISP_RETURN_IF_ERROR(runtime.StopSandbox(sandbox.id));
    CRISP_RETURN_IF_ERROR(runtime.RemoveSandbox(sandbox.id));
  }
  CRISP_RETURN_IF_ERROR(
      base::RemoveTree(base::JoinPath(paths_.logs, absl::StrCat(full_name_, "_", *uid))));
  CRISP_RETURN_IF_ERROR(DetachMounts(path_));
  CRISP_RETURN_IF_ERROR(DetachMounts(data_));
  CRISP_RETURN_IF_ERROR(base::RemoveTree(path_));
  return base::RemoveTree(data_);
}

absl::StatusOr<std::optional<base::UniqueFd>> PodDirectory::TryLock(Holder holder) const {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd file, base::Open(File(kLock), O_RDWR | O_CREAT, 0600));
  const off_t bytes = holder == Holder::kSupervisor ? 2 : 1;
  struct flock asked = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = kHolderByte, .l_len = bytes, .l_pid = 0};
  if (fcntl(file.get(), F_SETLK, &asked) != 0) {
    if (errno != EAGAIN && errno != EACCES) return base::Errno("lock", path_);
    return std::optional<base::UniqueFd>();
  }
  // Since the file was opened the pod may have been removed, and another one made.
  struct stat own, named;
  if (fstat(file.get(), &own) != 0 || stat(File(kLock).c_str(), &named) != 0 ||
      own.st_ino != named.st_ino)
    return absl::AbortedError(absl::StrCat(path_, " was removed meanwhile"));
  return std::optional<base::UniqueFd>(std::move(file));
}

absl::StatusOr<bool> PodDirectory::IsLocked() const {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd file,
                         base::Open(File(kLock), O_RDWR | O_CREAT, 0600));
  CRISP_ASSIGN_OR_RETURN(const std::optional<pid_t> holder, HolderOf(file.get(), kHolderByte));
  return holder.has_value();
}

absl::Status PodDirectory::EndSupervisor() const {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd file,
                         base::Open(File(kLock), O_RDWR | O_CREAT, 0600));
  CRISP_ASSIGN_OR_RETURN(const std::optional<pid_t> pid, HolderOf(file.get(), kSupervisorByte));
  if (!pid.has_value()) return absl::OkStatus();
  const absl::StatusOr<linux::ProcessRef> supervisor = linux::ProcessRef::Of(*pid);
  const absl::StatusOr<base::UniqueFd> pidfd =
      supervisor.ok() ? supervisor->Open() : supervisor.status();
  if (absl::IsNotFound(pidfd.status())) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(base::Prefix(pidfd.status(), "find the supervisor"));
  // It has the lock still, so the descriptor is not of a process that got its pid later.
  CRISP_ASSIGN_OR_RETURN(const std::optional<pid_t> still, HolderOf(file.get(), kSupervisorByte));
  if (still != pid) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(base::Prefix(supervisor->Signal(SIGTERM), "end the supervisor"));
  linux::AwaitEnd(pidfd->get(), base::Deadline::Never());
  return absl::OkStatus();
}

}  // namespace crisp::cli
