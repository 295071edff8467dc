// What no case may change on the host: the canary, selected sysctls, files of /etc, device nodes,
// mounts outside of where runtimes mount, and processes of the suite's containers.
#pragma once

#include <set>
#include <string>

namespace crisp::hostile {

class HostState {
 public:
  // Some milliseconds. `canary` is a directory; `mark` is in the environment of the containers.
  static HostState Take(const std::string& canary, const std::string& mark);

  // Takes states until one equals `before`, at most 10 s: a runtime may unmount and reap later than
  // it answers. Returns what still differs then, one fact per line, or "".
  static std::string Changes(const HostState& before, const std::string& canary,
                             const std::string& mark);

 private:
  std::multiset<std::string> facts_;
};

}  // namespace crisp::hostile
