// Starts crisp-shim processes. The program is copied once into a sealed memfd_create(2) file and
// executed from there, so that no container can overwrite crisp-shim through /proc/<pid>/exe
// (CVE-2019-5736), and all shims of one crispd are of the same version although an upgrade replaces
// the file. One shim is kept ready for the next launch (spare_shim.h). Thread-safe after Create.
#pragma once

#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "shim_client/spare_shim.h"

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

  // From here on a shim can be ready before it is launched. An error leaves launches as they are.
  absl::Status Start() const { return spare_->Start(); }

  // Binds <bundle>/shim.sock and gives it, with both connections, to a `crisp-shim <bundle>
  // <container id>` in crispd's cgroup, the one that is ready or a new one. The shim inherits
  // nothing of crispd's environment. The bundle directory exists.
  absl::StatusOr<LaunchedShim> Launch(const std::string& bundle,
                                      const std::string& container_id) const;
  // Makes a shim ready for the next launch, without waiting for that. To be called when the
  // operation is over for which one was launched: both would be slower at once.
  void PrepareNext() const { spare_->Refill(); }

 private:
  explicit Launcher(const SpareShim::Spawn& spawn)
      : spawn_(spawn), spare_(std::make_unique<SpareShim>(spawn)) {}
  // A shim that has been told its container, and got the sockets.
  absl::StatusOr<NamelessShim> Adopt(const std::string& bundle, const std::string& container_id,
                                     const std::vector<int>& sockets) const;

  SpareShim::Spawn spawn_;
  std::unique_ptr<SpareShim> spare_;
};

}  // namespace crisp::shim_client
