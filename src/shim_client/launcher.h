// Starts crisp-shim processes. The program is copied once into a sealed memfd(2) and executed from
// there, so that no container can reach a writable crisp-shim through /proc/<pid>/exe
// (CVE-2019-5736), and so that replacing the file on disk never mixes versions within one daemon's
// life. Thread-safe after Create.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"

namespace crisp::shim_client {

struct LaunchedShim {
  base::UniqueFd pidfd;    // of a child of this process; Monitor reaps it
  ipc::Channel operation;  // for the Start
  ipc::Channel tether;     // idle; its EOF is the shim's death
};

class Launcher {
 public:
  // `program`: path of the crisp-shim binary.
  static absl::StatusOr<Launcher> Create(const std::string& program);

  // Binds <bundle>/shim.sock, donates it as fd 3 and spawns `crisp-shim <bundle> <container id>` in
  // the daemon's cgroup with an empty environment. The bundle directory exists.
  absl::StatusOr<LaunchedShim> Launch(const std::string& bundle,
                                      const std::string& container_id) const;

 private:
  explicit Launcher(base::UniqueFd program) : program_(std::move(program)) {}
  base::UniqueFd program_;
};

}  // namespace crisp::shim_client
