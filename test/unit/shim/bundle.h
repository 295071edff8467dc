// Containers made by hand for tests of crisp-shim alone: a bundle, an overlay rootfs of Debian's
// busybox, a cgroup, and the daemon's side of the protocol (src/shim_client). Everything is below
// one temporary directory of the process and gone afterwards. Needs root.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "cgroup/cgroups.h"
#include "oci/runtime_spec.h"
#include "shim/v1/shim.pb.h"
#include "shim_client/facts.h"
#include "shim_client/launcher.h"
#include "shim_client/session.h"

namespace crisp::test {

// The temporary directory, with the busybox layer at <directory>/layer; removed at the end of the
// process.
const std::string& WorkDirectory();
// Value or a failed test with the message.
std::string Slurp(const std::string& path);

// The text of a file that is there already, or will be soon: waits for `done(text)`, at most 10 s.
std::string Await(const std::string& path, const std::function<bool(const std::string&)>& done);

// What CRI's default container looks like: all namespaces, /proc, /dev, /sys, the default masks, no
// rights removed.
oci::Spec DefaultSpec(std::vector<std::string> args);
oci::Spec ShellSpec(const std::string& script);

// One container. The destructor kills and removes what is left.
class Bundle {
 public:
  Bundle();
  ~Bundle();
  Bundle(const Bundle&) = delete;

  const std::string& path() const { return path_; }
  const std::string& id() const { return id_; }
  std::string log_path() const { return path_ + ".log"; }
  std::string upper() const { return path_ + ".upper/fs"; }
  // cgroup2 directory.
  std::string group() const;
  // To be changed before Start(): the request, and limits.
  shim::v1::Start& request() { return request_; }
  cgroup::Resources& limits() { return limits_; }

  // Puts a file below the rootfs before the start.
  void AddFile(const std::string& name, const std::string& text, mode_t mode = 0755);

  // Writes the spec and starts. With `on_created` the start is parked until that has returned; its
  // error abandons the start.
  absl::StatusOr<shim::v1::Started> Start(
      const oci::Spec& spec, const std::function<absl::Status(pid_t)>& on_created = {});
  // Starts a shim and leaves the protocol to the test.
  shim_client::LaunchedShim Launch(const oci::Spec& spec);
  // Waits for the shim's end (tether), at most 20 s, reaps it and reads exit.json.
  absl::StatusOr<ipc::ExitRecord> WaitExit();
  // Start, WaitExit, the log's text without its heads.
  std::string Run(const oci::Spec& spec, int expected_code = 0);

  // Kills the container's processes; the shim then ends by itself.
  void Kill();
  bool ShimIsAlive() const;
  pid_t shim_pid() const { return shim_pid_; }

  // The log: raw, and with heads removed and P pieces joined ("stdout" and "stderr" mixed, as
  // written).
  std::string RawLog() const;
  std::string LogText() const;

  struct ExecResult {
    int exit_code = 0;
    std::string out;
    std::string err;
  };
  absl::StatusOr<ExecResult> Exec(const std::vector<std::string>& args,
                                  int64_t timeout_ms = 20'000);

 private:
  std::string id_;
  std::string path_;
  std::string cgroup_path_;
  shim::v1::Start request_;
  cgroup::Resources limits_;
  std::optional<shim_client::LaunchedShim> shim_;
  pid_t shim_pid_ = 0;
};

// Reads until end of file.
std::string Drain(int fd);
base::Deadline DeadlineIn(int64_t milliseconds);

}  // namespace crisp::test
