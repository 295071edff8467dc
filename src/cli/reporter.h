// Says how a pod is: in its status.json, and to the command that waits for it. Used by one thread.
#pragma once

#include <string>

#include "cli/pod_supervisor.h"

namespace crisp::cli {

class Reporter {
 public:
  // `path` is that of status.json. The pipe `listener` (-1: none) is borrowed; from now on it does
  // not block, because the command may be stopped (SIGSTOP).
  Reporter(std::string path, int listener);

  // Writes `report`, if it is another one than before, then a byte to the listener.
  void Tell(const PodReport& report);

 private:
  const std::string path_;
  const int listener_;
  std::string last_;
};

}  // namespace crisp::cli
