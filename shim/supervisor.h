// The resident part of the shim: everything that happens between Start and the exit record.
//
//   idle ──Start──> starting ──program runs──> running ──init ends──> ending ──> ended
//                      └───────fails, or crispd closes its connection──> abandoning ──> ended
//
// At "ended" exit.json is written and crispd is told the same on its tether (not after an abandoned
// start, which leaves no record), and the shim exits. A detached start ends the shim, without a
// record, where it would be "running". One thread; everything is an event. All memory is static or
// in kernel buffers, except for connections, the messages of an operation in progress, and execs.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "cgroup/join.h"
#include "shim/connection.h"
#include "shim/container_log.h"
#include "shim/event_loop.h"
#include "shim/exec_table.h"
#include "shim/facts.h"
#include "shim/output.h"
#include "shim/runtime.h"

namespace crisp::shim {

class Supervisor final : public ConnectionOwner, public LaunchOwner {
 public:
  // Serves crispd on `sockets` (Connections::Open) until the container has ended, or crispd has
  // gone away before it started one. `bundle` and `runtime` are borrowed.
  // `keyring_error`: why the container has no session keyring of its own; its start then fails.
  void Run(const char* bundle, std::vector<base::UniqueFd> sockets, Runtime& runtime,
           int keyring_error);

  void OnRequest(Connection& connection, const ::shim::v1::Request& request,
                 std::vector<base::UniqueFd> fds) override;
  void OnControl(Connection& connection, const ::shim::v1::Control& control) override;
  void OnHangup(Connection& connection) override;
  void OnCreated() override;
  void OnLaunched() override;

 private:
  // One for each exec, and some for the tether, attached clients, log rotation and resizing.
  static constexpr size_t kMaxConnections = ExecTable::kMaxExecs + 32;

  enum class State : uint8_t { kIdle, kStarting, kRunning, kEnding, kAbandoning, kEnded };

  // SIGCHLD, and cgroup.events of the container.
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

  bool Prepare(const char* bundle, std::vector<base::UniqueFd> sockets);
  bool IsLaunching() const { return launch_ != nullptr && launch_->pending(); }
  bool HasHelper() const { return launch_ != nullptr && launch_->helper() != 0; }
  int TimeoutMs() const;
  void OnTime();

  void Start(Connection& connection, const ::shim::v1::Start& start);
  void OnCgroupMade();
  bool OpenStdio(bool want_stdin, LaunchFds& fds);
  void OnRunning();
  bool OpenOutputs();
  void Abandon();
  void AdvanceAbandoning();
  void WatchGroup();

  void Attach(Connection& connection, const ::shim::v1::Attach& attach,
              std::vector<base::UniqueFd> fds);
  void ResizeTty(Connection& connection, const ::shim::v1::ResizeTty& size);
  void ReopenLog(Connection& connection);

  void Reap();
  void OnExit(pid_t pid, int status);
  void OnInitExit(int status);
  void AdvanceEnding();
  void End();

  EventLoop loop_;
  base::UniqueFd bundle_fd_;
  ChildSignal child_signal_;
  GroupEvents group_events_;
  State state_ = State::kIdle;
  bool reap_ = false;  // there may be children to reap
  bool trim_ = false;  // memory was freed: after the event it goes back to the kernel
  int keyring_error_ = 0;
  int64_t deadline_ns_ = 0;  // CLOCK_MONOTONIC; when the state ends by itself. 0: never

  cgroup::Directories directories_;  // of the cgroup, until it is made and opened
  cgroup::JoinFds cgroup_;
  uint64_t oom_kills_before_ = 0;
  std::unique_ptr<Launch> launch_;
  Connection* starter_ = nullptr;  // waits for the answer to Start
  bool detached_ = false;
  bool stdin_once_ = false;
  pid_t init_ = 0;
  bool init_reaped_ = false;
  int init_status_ = 0;
  int64_t finished_at_ns_ = 0;

  ExitFile exit_file_;
  ContainerLog log_;
  base::UniqueFd stdin_;  // write end of the container's stdin, or the pty master
  // The pty's other end, held open so that the pty does not hang up while no process of the
  // container has it open.
  base::UniqueFd slave_;
  base::UniqueFd pipes_[2];  // read ends of stdout and stderr until they become outputs
  base::UniqueFd child_stdio_[3];
  ExecHost exec_host_;

  Connections connections_;
  ExecTable execs_;
  Output outputs_[2];
  CopyingTime copying_;
  alignas(4096) char buffers_[2][Output::kBufferSize];  // pages of their own: no output, no memory
};

}  // namespace crisp::shim
