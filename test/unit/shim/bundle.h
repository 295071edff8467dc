// Containers made by hand for tests of crisp-shim alone: a bundle, an overlay rootfs of Debian's
// busybox, a cgroup, and crispd's side of the protocol (src/shim_client). Everything is below one
// temporary directory of the test process, which is removed at its end. Needs root.
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
// The file's text; fails the test when it cannot be read.
std::string Slurp(const std::string& path);

// Waits at most 10 s until the file exists and `done(text)` holds; returns its text. Not for a file
// without a bound on its size.
std::string Await(const std::string& path, const std::function<bool(const std::string&)>& done);

// Like a default container of kubelet: all namespaces, /proc, /dev, /sys, the default masked paths
// and capabilities.
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
  // The request and the limits; to be changed before Start().
  shim::v1::Start& request() { return request_; }
  cgroup::Resources& limits() { return limits_; }

  // The container is put into its cgroup2 group only, as on a host without cgroup v1; before the
  // start.
  void UseOnlyCgroup2() { only_cgroup2_ = true; }
  // Adds a file to the rootfs; before the start.
  void AddFile(const std::string& name, const std::string& text, mode_t mode = 0755);

  // Writes the spec and starts. With `on_created` the start is parked until that has returned; its
  // error abandons the start.
  absl::StatusOr<shim::v1::Started> Start(
      const oci::Spec& spec, const std::function<absl::Status(pid_t)>& on_created = {});
  // Starts a shim; the test sends the requests.
  shim_client::LaunchedShim Launch(const oci::Spec& spec);
  // Asks a launched shim for a start and says that the cgroup is there.
  absl::StatusOr<shim::v1::Started> StartBy(shim_client::LaunchedShim& shim);
  // A launcher of its own, which gives the shim this process's limit of open files as it is now.
  void MakeLauncher();
  // Waits at most 20 s for the shim's end, reaps it and reads exit.json.
  absl::StatusOr<ipc::ExitRecord> WaitExit();
  // Start and WaitExit; returns LogText().
  std::string Run(const oci::Spec& spec, int expected_code = 0);

  // Kills the container's processes; the shim then ends by itself.
  void Kill();
  bool ShimIsAlive() const;
  pid_t shim_pid() const { return shim_pid_; }

  // The log as it is, and without headers and with P pieces joined. stdout and stderr are mixed in
  // the order in which they were written to the log.
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
  bool only_cgroup2_ = false;
  std::optional<shim_client::Launcher> launcher_;
  std::optional<shim_client::LaunchedShim> shim_;
  pid_t shim_pid_ = 0;
};

// shim_client::AskAttach() and Attached() in one.
absl::StatusOr<shim_client::AttachSession> AttachTo(const Bundle& bundle,
                                                    const shim::v1::Attach& request,
                                                    const std::vector<int>& outputs,
                                                    base::Deadline deadline);
// Reads until end of file.
std::string Drain(int fd);
base::Deadline DeadlineIn(int64_t milliseconds);

}  // namespace crisp::test
