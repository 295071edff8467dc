// The execs of one container: at most kMaxExecs at a time, each found by its connection or by the
// pids it waits for. Used by the supervisor's thread only.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "shim/exec_session.h"

namespace crisp::shim {

class ExecTable {
 public:
  // A quarter of the streaming sessions that crispd serves, half of its ExecSyncs: one container
  // alone cannot take them all. The pids limit of the container and ARG_MAX usually come first.
  static constexpr size_t kMaxExecs = 256;

  // Answers on `connection` in every case: EAGAIN when there are too many, also for the limit of
  // open files (open_files.h). A session that only waits for processes its exec left
  // behind makes room for a new one.
  void Start(ExecHost& host, Connection& connection, const ::shim::v1::Exec& exec,
             const std::vector<base::UniqueFd>& fds);
  // SIGKILL to the exec that was started on `connection`.
  void Kill(const Connection& connection);
  void KillAll();
  // crispd hung up: the exec that was started on `connection`, if there is one, is killed or runs
  // on without crispd.
  void OnHangup(const Connection& connection);
  // The first deadline of a session (CLOCK_MONOTONIC); INT64_MAX: none.
  int64_t deadline_ns() const;
  // For those whose deadline has passed.
  void OnTime(int64_t now_ns);

  bool AnyLaunching() const;
  bool AnyAlive() const;
  // The pids a session waits for now: its helper, and its process once the launch is over.
  std::vector<pid_t> Children() const;
  // True when `pid` belonged to one of the execs.
  bool OnExit(pid_t pid, int status);
  // Frees the sessions that are over; true when there were some. Not called within an event, as a
  // session does not delete itself.
  bool FreeEnded();

 private:
  ExecSession* Find(const Connection& connection) const;

  uint64_t serial_ = 0;
  std::vector<std::unique_ptr<ExecSession>> execs_;  // none is null
};

}  // namespace crisp::shim
