// Where crisp play keeps its pods, and who supervises them:
//
//   <state>/<namespace>_<name>/   (gone after a reboot, which ends the pods)
//     manifest.yaml    the documents of all files that were given (the command writes, once)
//     pod.json         what was decided for the pod               (the command writes, once)
//     status.json      how it is                                  (its supervisor writes)
//     lock             locked by the process that works on the pod, see Holder
//     supervisor.log   what the supervisor says
//     volumes/, subpaths/                                         (pod_files.h)
//   <state>/.gone-<uid>/          a pod that has been removed, while its files are deleted
//   <data>/<namespace>_<name>/    volumes that are on disk
//     .uid             what a reboot leaves in the runtime is found by it
//     .hosts, .containers/          what else containers can write (pod_files.h)
//
// Errors: base::Errno with the path. Used by one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/manifest/manifest.h"
#include "cli/play_records.h"
#include "cli/runtime.h"

namespace crisp::cli {

struct PlayPaths {
  std::string state = "/run/crisp/play";
  std::string data = "/var/lib/crisp/play";
  std::string logs = "/var/log/pods";
};

inline constexpr char kManifestFile[] = "manifest.yaml";
inline constexpr char kPodFile[] = "pod.json";
inline constexpr char kStatusFile[] = "status.json";
inline constexpr char kSupervisorLog[] = "supervisor.log";

// Who locks a pod. The kernel knows the process (fcntl(2), F_GETLK), so nobody else is ever ended.
enum class Holder {
  kSupervisor,
  kCommand,  // one that tears the pod down itself
};

class PodDirectory {
 public:
  PodDirectory(const PlayPaths& paths, const std::string& namespace_, const std::string& name);

  const std::string& path() const { return path_; }
  const std::string& data() const { return data_; }
  const std::string& logs() const { return paths_.logs; }

  bool Exists() const;
  // Makes the directory and its first two files, with a new uid and, when the pod asks for it, ids
  // that no other pod has.
  absl::Status Make(const Pod& pod, const std::string& documents) const;
  absl::StatusOr<PodRecord> ReadRecord() const;
  absl::StatusOr<std::string> ReadDocuments() const;
  // Nothing before the supervisor has written one.
  std::optional<PodReport> ReadReport() const;

  // From now on the pod does not exist: RemoveRemains() finds the rest. The caller has the lock.
  absl::Status Disown() const;
  // Removes what a reboot has left of the pod, or a command that was killed while it made it: its
  // sandboxes in `runtime`, its logs, its volumes on disk. kNotFound "does not run" when there is
  // nothing; a pod that exists stays.
  absl::Status RemoveRemains(Runtime& runtime) const;

  // The lock, for as long as the descriptor is open; nothing when another process has it. While a
  // process has it, it must not call the next two: the kernel takes a lock away when its process
  // closes any descriptor of the file.
  absl::StatusOr<std::optional<base::UniqueFd>> TryLock(Holder holder) const;
  absl::StatusOr<bool> IsLocked() const;
  // Asks the supervisor, if there is one, to tear the pod down, and waits until it has ended.
  absl::Status EndSupervisor() const;

 private:
  std::string File(const char* name) const;
  // Two commands at once must neither make one pod nor take the same ids.
  absl::StatusOr<base::UniqueFd> LockState() const;

  const PlayPaths paths_;
  const std::string full_name_;
  const std::string path_;
  const std::string data_;
};

// The first of 65536 ids of the host that are in none of `taken`.
uint32_t FreeUsers(const std::vector<uint32_t>& taken);

}  // namespace crisp::cli
