// The command's side of running pods: starts a supervisor for each, listens to it, and prints what
// becomes of the pod and, when asked, what its containers log. Used by one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/log_follow.h"
#include "cli/play.h"
#include "linux/spawn.h"

namespace crisp::cli {

class PlaySessions {
 public:
  explicit PlaySessions(const PlayOptions& options) : options_(options) {}

  // Starts the supervisor of a pod whose directory is made.
  absl::Status Start(const Pod& pod, const PodDirectory& directory);

  // Until each pod is as far as the options say. Returns whether all are well.
  absl::StatusOr<bool> Run();

 private:
  struct Session {
    explicit Session(const PodDirectory& its) : directory(its) {}
    const PodDirectory directory;
    std::string name;
    linux::Child child;
    base::UniqueFd changes;  // see Supervise(); closed when the supervisor has ended
    std::optional<PodReport> report;
    std::string told;  // the line that was printed last
    std::optional<LogFollower> logs;
  };
  bool IsDone(const Session& session) const;
  absl::Status Listen(Session& session);
  absl::Status PrintLogs(Session& session);
  // Says why nothing is heard of a pod any more, if so.
  bool IsWell(const Session& session) const;
  // Says how the pod is, when that has changed.
  void Tell(Session& session);

  const PlayOptions& options_;
  std::vector<Session> sessions_;
};

}  // namespace crisp::cli
