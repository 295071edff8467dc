// The resident part of the shim: everything that happens between Start and the exit record.
//
//   idle ──Start──> starting ──program runs──> running ──init ends──> ending ──> ended
//                      └────────fails, or the daemon hangs up─────> abandoning ──> ended
//
// "ended" is reached with exit.json written (not after an abandoned start, which leaves nothing),
// and the process exits: its death is what tells the daemon. One thread; everything is an event.
// All memory is static or in kernel buffers, except for the messages of an operation in progress.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "cgroup/join.h"
#include "shim/connection.h"
#include "shim/container_log.h"
#include "shim/event_loop.h"
#include "shim/exec_session.h"
#include "shim/launch.h"
#include "shim/output.h"

namespace crisp::shim {

class Supervisor final : public EventSource, public ConnectionOwner, public LaunchOwner {
 public:
  // `listener` accepts the daemon's connections. Runs until the container has ended or nobody wants
  // it any more.
  void Run(const char* bundle, base::UniqueFd listener);

  void OnEvent(uint32_t events) override;  // of the listener
  void OnRequest(Connection& connection, const ::shim::v1::Request& request,
                 std::vector<base::UniqueFd> fds) override;
  void OnControl(Connection& connection, const ::shim::v1::Control& control) override;
  void OnHangup(Connection& connection) override;
  void OnCreated() override;
  void OnLaunched() override;

 private:
  static constexpr int kMaxExecs = 64;
  static constexpr int kMaxConnections = kMaxExecs + 32;  // the tether, log rotation, resizing, ...

  enum class State : uint8_t { kIdle, kStarting, kRunning, kEnding, kAbandoning, kEnded };

  // SIGCHLD, and cgroup.events of the container, each as an event source of its own.
  struct ChildSignal final : public EventSource {
    void OnEvent(uint32_t events) override;
    Supervisor* supervisor = nullptr;
    base::UniqueFd fd;
  };
  struct GroupEvents final : public EventSource {
    void OnEvent(uint32_t events) override;
    bool IsEmpty() const;
    Supervisor* supervisor = nullptr;
    base::UniqueFd fd;
    bool watched = false;
  };

  bool Prepare(const char* bundle, base::UniqueFd listener);
  Connection* FreeConnection();  // null: all are in use
  int TimeoutMs() const;
  void OnTime();

  void Start(Connection& connection, const ::shim::v1::Start& start);
  bool OpenCgroup(Connection& connection, const ::shim::v1::Start& start);
  bool OpenStdio(bool want_stdin, int stdio[3]);
  void OnRunning();
  bool OpenOutputs();
  void Abandon();
  void AdvanceAbandoning();
  void WatchGroup();

  void Exec(Connection& connection, const ::shim::v1::Exec& exec,
            const std::vector<base::UniqueFd>& fds);
  void Attach(Connection& connection, const ::shim::v1::Attach& attach,
              std::vector<base::UniqueFd> fds);
  void ResizeTty(Connection& connection, const ::shim::v1::ResizeTty& size);
  void ReopenLog(Connection& connection);

  void Reap();
  bool AnyLaunchPending() const;
  void FreeExecs();
  void OnExit(pid_t pid, int status);
  void OnInitExit(int status);
  void AdvanceEnding();
  void End();

  EventLoop loop_;
  base::UniqueFd listener_;
  bool accepting_ = true;  // false: all connections are in use, the others wait to be accepted
  base::UniqueFd bundle_fd_;
  const char* bundle_ = nullptr;
  ChildSignal child_signal_;
  GroupEvents group_events_;
  State state_ = State::kIdle;
  bool reap_ = false;        // a SIGCHLD is not dealt with completely
  int64_t deadline_ns_ = 0;  // of the state, if it has one

  cgroup::JoinFds cgroup_;
  uint64_t oom_kills_before_ = 0;
  Launch launch_;
  Connection* starter_ = nullptr;
  bool stdin_once_ = false;
  pid_t init_ = 0;
  bool init_reaped_ = false;
  int init_status_ = 0;
  int64_t finished_at_ns_ = 0;

  ContainerLog log_;
  base::UniqueFd stdin_;  // write end of the container's stdin, or the pty master
  base::UniqueFd
      slave_;  // of the pty, so that it does not hang up when the container closes it for a while
  base::UniqueFd pipes_[2];  // read ends of stdout and stderr until they become outputs
  base::UniqueFd child_stdio_[3];
  ExecHost exec_host_;
  uint64_t exec_serial_ = 0;
  std::vector<uint64_t> leftover_groups_;

  Connection connections_[kMaxConnections];
  std::unique_ptr<ExecSession> execs_[kMaxExecs];
  Output outputs_[2];
  alignas(4096) char buffers_[2][Output::kBufferSize];  // last: untouched until there is output
};

}  // namespace crisp::shim
