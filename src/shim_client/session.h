// One operation with a shim, from crispd's side: the calls of proto/shim/v1/shim.proto as
// functions. Each takes or opens one connection and is used by one thread at a time. A Failed
// answer becomes an absl::Status that names the step ("mounts: /data: ENOENT"); kUnavailable: the
// shim is gone; kDeadlineExceeded: it has not answered in time.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim_client {

// Whether a start failed with this because the kernel killed the process for lack of memory.
bool IsOomKilled(const absl::Status& status);

// A container whose first process exists, with its namespaces, and waits before its first step: the
// time to set up the pod's network. Dropping it closes the channel, so the shim kills the process.
class ParkedStart {
 public:
  pid_t pid() const { return pid_; }
  // Lets the container run. Called once.
  absl::StatusOr<shim::v1::Started> Release(base::Deadline deadline);

 private:
  friend class PendingStart;
  ParkedStart(ipc::Channel channel, pid_t pid) : channel_(std::move(channel)), pid_(pid) {}
  ipc::Channel channel_;
  pid_t pid_;
};

// A start that was asked for. The shim prepares the container while the caller makes its cgroup.
// Dropping this closes the channel, so the shim ends what it has begun.
class PendingStart {
 public:
  // Does not wait. `channel` is a launched shim's operation channel.
  static absl::StatusOr<PendingStart> Ask(ipc::Channel channel, const shim::v1::Start& start);
  // One of the two, once, when the cgroup is made: the container runs, or with start.park waits.
  absl::StatusOr<shim::v1::Started> Run(base::Deadline deadline);
  absl::StatusOr<ParkedStart> Park(base::Deadline deadline);

 private:
  explicit PendingStart(ipc::Channel channel) : channel_(std::move(channel)) {}
  absl::Status TellCgroupMade() const;
  ipc::Channel channel_;
};

class ExecSession;

// An exec that was asked for. Its process is in the container before its program runs, so the
// container decides how long that takes (it may stop the process). Dropping this kills the process.
class PendingExec {
 public:
  // Does not wait. Without a tty, `stdio` are the process's stdin, stdout and stderr, borrowed for
  // the call; with a tty it is empty. When crispd dies the process is killed, or with `survives`
  // runs on, at most until `deadline`.
  static absl::StatusOr<PendingExec> Ask(const std::string& bundle,
                                         const std::vector<std::string>& args, bool tty,
                                         const std::vector<int>& stdio, base::Deadline deadline,
                                         bool survives);
  PendingExec(PendingExec&&) = default;
  ~PendingExec();

  // Readable when Started() will not block.
  int fd() const { return channel_.fd(); }
  // Once: the running process, or why there is none.
  absl::StatusOr<ExecSession> Started(base::Deadline deadline);
  // Lets it start and run on without crispd, which ends.
  void Leave() { channel_.Close(); }

 private:
  PendingExec(ipc::Channel channel, bool tty) : channel_(std::move(channel)), tty_(tty) {}
  ipc::Channel channel_;
  bool tty_;
};

// An exec: a process added to a container. Destroying the session kills the process and everything
// it has forked.
class ExecSession {
 public:
  ExecSession(ExecSession&&) = default;
  ~ExecSession();
  // PendingExec's Ask() and Started() in one, with `deadline` for both.
  static absl::StatusOr<ExecSession> Open(const std::string& bundle,
                                          const std::vector<std::string>& args, bool tty,
                                          const std::vector<int>& stdio, base::Deadline deadline);

  // The terminal of an exec with a tty.
  base::UniqueFd take_pty() { return std::move(pty_); }
  // Readable when Wait() will not block.
  int fd() const { return channel_.fd(); }
  // The exit code, 128 + n for signal n. kUnavailable when the container ended first.
  absl::StatusOr<int> Wait(base::Deadline deadline = base::Deadline::Never()) const;
  // Asks for SIGKILL to the process and everything it has forked, without waiting. Wait() returns
  // when all are gone.
  absl::Status Kill() const;
  // Lets it run on without crispd, which ends.
  void Leave() { channel_.Close(); }

 private:
  friend class PendingExec;
  explicit ExecSession(ipc::Channel channel) : channel_(std::move(channel)) {}
  ipc::Channel channel_;
  base::UniqueFd pty_;
};

struct AttachSession {
  ipc::Channel channel;   // closing it detaches
  base::UniqueFd stdin_;  // pipe or pty master; invalid if not asked for or not there
};
// Asks, and does not wait: the channel becomes readable when Attached() will not block. `outputs`:
// pipe write ends for the streams that are asked for, stdout first; borrowed for the call.
absl::StatusOr<ipc::Channel> AskAttach(const std::string& bundle, const shim::v1::Attach& request,
                                       const std::vector<int>& outputs);
absl::StatusOr<AttachSession> Attached(ipc::Channel channel, base::Deadline deadline);

// Asks, and does not wait: a shim that is stopped takes what it was asked, in order, when it goes
// on. kResourceExhausted when a thousand such requests wait already. The answer, which may be left
// unread, is Done or Failed.
absl::StatusOr<ipc::Channel> AskResizeTty(const std::string& bundle, uint32_t width,
                                          uint32_t height);
absl::Status ReopenLog(const std::string& bundle, base::Deadline deadline);

}  // namespace crisp::shim_client
