// Starts crisp-shim processes. The program is copied once into a sealed memfd_create(2) file and
// executed from there, so that no container can overwrite crisp-shim through /proc/<pid>/exe
// (CVE-2019-5736), and all shims of one crispd are of the same version although an upgrade replaces
// the file. Thread-safe after Create.
#pragma once

#include <sys/resource.h>

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"

namespace crisp::shim_client {

struct LaunchedShim {
  base::UniqueFd pidfd;    // a child of crispd, reaped by Monitor
  ipc::Channel operation;  // for the Start
  ipc::Channel tether;     // idle; end of file means that the shim has ended
};

class Launcher {
 public:
  // `program`: path of the crisp-shim binary. Errors name it. Shims, and the containers they start,
  // get the limit of open files (RLIMIT_NOFILE) that crispd has now, whatever it is later.
  static absl::StatusOr<Launcher> Create(const std::string& program);

  // Binds <bundle>/shim.sock and spawns `crisp-shim <bundle> <container id>`, with the socket as
  // descriptor 3, in crispd's cgroup. The shim inherits nothing of crispd's environment. The bundle
  // directory exists.
  absl::StatusOr<LaunchedShim> Launch(const std::string& bundle,
                                      const std::string& container_id) const;

 private:
  Launcher(base::UniqueFd program, rlimit open_files)
      : program_(std::move(program)), open_files_(open_files) {}
  base::UniqueFd program_;
  rlimit open_files_;
};

}  // namespace crisp::shim_client
