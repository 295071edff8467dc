// An exec: a process added to the container, from the request until its last descendant has ended:
// launching -> running -> gone. It outlives crispd, so that a hook is not cut short and run twice.
// It has its own cgroup2 group, so that killing it also kills what it forked. Processes it leaves
// running on purpose (a daemon started by hand) keep the group until the last of them ends, or
// until another exec needs the session's slot. One thread, event-driven.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "shim/connection.h"
#include "shim/event_loop.h"
#include "shim/runtime.h"

namespace crisp::shim {

// How long groups of ended execs may keep the shim from all else. What is left then is removed when
// the next exec starts, or by crispd with the container's group.
inline constexpr absl::Duration kRemoveTime = absl::Milliseconds(10);

// What all sessions of a container share.
struct ExecHost {
  Runtime* runtime = nullptr;
  RuntimeHost container = {};
  std::vector<uint64_t> leftover_groups;  // serials of groups that outlived their exec
};

class ExecSession final : public EventSource, public LaunchOwner {
 public:
  // From Start until the process and its group are gone, or GiveUp().
  bool is_active() const { return active_; }
  bool is_alive() const { return active_ && !exited_; }

  // Answers on `connection` in every case. `fds` came with the request; borrowed for the call.
  void Start(ExecHost& host, uint64_t serial, Connection& connection, const ::shim::v1::Exec& exec,
             const std::vector<base::UniqueFd>& fds);
  // SIGKILL to the process and its descendants; the exit is reported when all of them are gone.
  void Kill();
  // crispd has closed the connection: the process is killed, or runs on without crispd.
  void Hangup();
  // When OnTime() is to be called (CLOCK_MONOTONIC); INT64_MAX when it need not be.
  int64_t deadline_ns() const { return std::min(kill_at_ns(), read_at_ns_); }
  // Kills a process that has run on without crispd for long enough, reads on after a rest.
  void OnTime(int64_t now_ns);
  // Ends the session although processes it left running keep its group. False when its own process
  // still runs or is being killed.
  bool GiveUp();
  pid_t pid() const { return pid_; }
  const Connection* connection() const { return connection_; }

  bool IsLaunching() const { return launch_ != nullptr && launch_->pending(); }
  // See Launch::helper().
  pid_t helper() const { return launch_ == nullptr ? 0 : launch_->helper(); }
  // True when `pid` is the session's helper or its process.
  bool OnExit(pid_t pid, int status);

  void OnLaunched() override;
  void OnEvent(uint32_t events) override;  // of cgroup.events

 private:
  // The other end of its stdout or stderr. Without crispd's, its next line would end a process that
  // survives (SIGPIPE), or fill the pipe and stop it.
  struct Reader final : EventSource {
    void OnEvent(uint32_t) override { session->Discard(*this); }
    ExecSession* session = nullptr;
    base::UniqueFd fd;
    bool watched = false;
  };

  void KeepReaders(const std::vector<base::UniqueFd>& stdio);
  void WatchReaders();
  void StopWatching(Reader& reader);
  void CloseReaders();
  // What a process without crispd writes; then rests, as it may write without end.
  void Discard(Reader& reader);
  int64_t kill_at_ns() const;
  // To the group, and to the process, which may have moved itself out of it where the container has
  // writable cgroups.
  void SendKill() const;
  void Advance();
  void Report();
  void StopWatchingGroup();
  bool IsEmpty() const;
  void Finish();

  bool active_ = false;
  bool exited_ = false;
  bool killed_ = false;
  bool started_ = false;
  int exit_code_ = 0;
  pid_t pid_ = 0;
  uint64_t serial_ = 0;
  ExecHost* host_ = nullptr;
  Connection* connection_ = nullptr;
  std::unique_ptr<Launch> launch_;
  base::UniqueFd group_;
  base::UniqueFd events_;
  bool survives_ = false;
  int64_t survives_until_ns_ = 0;
  Reader readers_[2];
  base::UniqueFd null_;             // where it is discarded to
  int64_t read_at_ns_ = INT64_MAX;  // the end of a rest
};

}  // namespace crisp::shim
