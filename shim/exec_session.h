// A process added to the container, from the request to the last of its children: launching ->
// running -> gone. It has its own cgroup2 group, so that killing it kills what it forked; what it
// leaves behind on purpose (a daemon started by hand) stays, and with it the group, until the last
// of them ends, or until somebody else needs the session's place.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "cgroup/join.h"
#include "linux/process_ref.h"
#include "shim/connection.h"
#include "shim/event_loop.h"
#include "shim/launch.h"

namespace crisp::shim {

// What all sessions of a container share.
struct ExecHost {
  EventLoop* loop = nullptr;
  std::vector<uint64_t>* leftover_groups = nullptr;  // serials of groups that outlived their exec
  const char* bundle = nullptr;
  const cgroup::JoinFds* cgroup = nullptr;
  linux::ProcessRef init = {};
};

class ExecSession final : public EventSource, public LaunchOwner {
 public:
  // In use: from Start until both process and group are gone, or it is given up.
  bool is_active() const { return active_; }
  bool is_alive() const { return active_ && !exited_; }

  // Answers on `connection` in every case. `stdio` is taken along by the builder only.
  void Start(const ExecHost& host, uint64_t serial, Connection& connection,
             const ::shim::v1::Exec& exec, const std::vector<base::UniqueFd>& stdio);
  // SIGKILL to everything; the exit is reported when all of it is gone.
  void Kill();
  void Hangup();  // of the connection: nobody waits any more, so Kill()
  // Forgets what the exec has left running; false when its own process still runs or is killed.
  bool GiveUp();
  pid_t pid() const { return pid_; }
  const Connection* connection() const { return connection_; }

  const Launch& launch() const { return launch_; }
  Launch& launch() { return launch_; }
  // True when `pid` was one of ours: the builder or the process itself.
  bool OnExit(pid_t pid, int status);

  void OnLaunched() override;
  void OnEvent(uint32_t events) override;  // of cgroup.events

 private:
  void Advance();
  void Report();
  bool IsEmpty() const;
  void Finish();

  bool active_ = false;
  bool exited_ = false;
  bool killed_ = false;
  bool started_ = false;
  int exit_code_ = 0;
  pid_t pid_ = 0;
  uint64_t serial_ = 0;
  const ExecHost* host_ = nullptr;
  Connection* connection_ = nullptr;
  Launch launch_;
  base::UniqueFd group_;
  base::UniqueFd events_;
};

}  // namespace crisp::shim
