// crisp play: the command. Each function prints what it has to say, errors one per line on standard
// error, and returns the exit code of the program.
#pragma once

#include <string>
#include <vector>

#include "cli/play_directory.h"

namespace crisp::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // a pod has failed, or something could not be done
inline constexpr int kExitUsage = 2;   // the command line or a manifest is wrong

struct PlayOptions {
  PlayPaths paths;
  std::string endpoint = "unix:///run/crisp/crisp.sock";
  std::vector<std::string> files;  // "-": standard input
  bool wait = false;               // until each pod is ready or has ended
  bool follow = false;             // the logs, until each pod has ended
  bool replace = false;            // pods of these names are torn down first
};

int Play(const PlayOptions& options);

// Tears pods down: those of a file, or the one with this name ("name" or "namespace/name").
int PlayDown(const PlayOptions& options);

// The supervisor of the pod "namespace/name"; tells how it is on descriptor `listener`.
int PlaySupervise(const PlayOptions& options, const std::string& pod, int listener);

// The path of the endpoint: "unix:///run/crisp/crisp.sock" or a plain one. kInvalidArgument for
// other schemes, and for directories that are not absolute: supervisors and runtimes have their own
// working directory.
absl::StatusOr<std::string> SocketPath(const PlayOptions& options);

}  // namespace crisp::cli
