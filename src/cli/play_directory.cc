#include "cli/play_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "cli/pod_security.h"

namespace crisp::cli {
namespace {

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
      path_(base::JoinPath(paths.state, absl::StrCat(namespace_, "_", name))),
      data_(base::JoinPath(paths.data, absl::StrCat(namespace_, "_", name))) {}

std::string PodDirectory::File(const char* name) const { return base::JoinPath(path_, name); }

bool PodDirectory::Exists() const { return access(File(kPodFile).c_str(), F_OK) == 0; }

absl::Status PodDirectory::Make(const Pod& pod, const std::string& documents) const {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(paths_.state, 0700));
  // Two commands at once must not take the same ids.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd state,
                         base::Open(paths_.state, O_RDONLY | O_DIRECTORY));
  if (flock(state.get(), LOCK_EX) != 0) return base::Errno("lock", paths_.state);
  // Another command may have been faster.
  if (Exists()) return absl::AlreadyExistsError("was started by another command meanwhile");
  PodRecord record;
  record.namespace_ = pod.metadata.namespace_;
  record.name = pod.metadata.name;
  record.uid = NewUid();
  if (!pod.spec.host_users) {
    CRISP_ASSIGN_OR_RETURN(const std::vector<uint32_t> taken, TakenUsers(paths_.state));
    record.users = FreeUsers(taken);
  }
  // Of a pod that a reboot has ended.
  CRISP_RETURN_IF_ERROR(base::RemoveTree(data_));
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

absl::StatusOr<std::optional<base::UniqueFd>> PodDirectory::TryLock() const {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd lock, base::Open(File("lock"), O_RDWR | O_CREAT, 0600));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::Errno("lock", path_);
    return std::optional<base::UniqueFd>();
  }
  CRISP_ASSIGN_OR_RETURN(const linux::ProcessRef self, linux::ProcessRef::Of(getpid()));
  if (ftruncate(lock.get(), 0) != 0) return base::Errno("truncate", File("lock"));
  CRISP_RETURN_IF_ERROR(
      base::WriteAll(lock.get(), absl::StrCat(self.pid, " ", self.start_ticks, "\n")));
  return std::optional<base::UniqueFd>(std::move(lock));
}

absl::Status PodDirectory::EndSupervisor() const {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd lock, base::Open(File("lock"), O_RDONLY));
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadAll(lock.get()));
  const std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  linux::ProcessRef supervisor;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &supervisor.pid) ||
      !absl::SimpleAtoi(words[1], &supervisor.start_ticks))
    return absl::UnavailableError(absl::StrCat(path_, ": its supervisor is just starting"));
  const absl::Status sent = supervisor.Signal(SIGTERM);
  if (!sent.ok()) return base::Prefix(sent, "end the supervisor");
  // It is free when the supervisor has ended, however that happens.
  while (flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return base::Errno("lock", path_);
  }
  return absl::OkStatus();
}

}  // namespace crisp::cli
