// Where crisp play keeps its pods, and who supervises them:
//
//   <state>/<namespace>_<name>/   (gone after a reboot, as the pods are)
//     manifest.yaml    the documents of all files that were given (the command writes, once)
//     pod.json         what was decided for the pod               (the command writes, once)
//     status.json      how it is                                  (its supervisor writes)
//     lock             flock(2) of the supervisor, with its pid   (its supervisor writes)
//     supervisor.log   what the supervisor says
//     etc-hosts, volumes/, subpaths/, containers/                 (pod_files.h)
//   <data>/<namespace>_<name>/    volumes that are on disk
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
#include "linux/process_ref.h"

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

  // The lock with the caller's pid in it, for as long as the descriptor is open. Nothing when a
  // supervisor has it.
  absl::StatusOr<std::optional<base::UniqueFd>> TryLock() const;
  // Asks the supervisor that has the lock to tear the pod down, and waits until it has ended.
  absl::Status EndSupervisor() const;

 private:
  std::string File(const char* name) const;

  const PlayPaths paths_;
  const std::string path_;
  const std::string data_;
};

// The first of 65536 ids of the host that are in none of `taken`.
uint32_t FreeUsers(const std::vector<uint32_t>& taken);

}  // namespace crisp::cli
