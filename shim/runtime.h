// What a runtime handler does inside the shim: it starts the container's first process, parked or
// not, and the processes that are added to the container later. The native handler
// (native_runtime.h) does it with a builder process and the steps in child/.
//
// Everything after that is the same for every handler and the supervisor's work. All processes of a
// container are in its cgroup, which is how they are signalled and killed, and they are or become
// children of the shim (PR_SET_CHILD_SUBREAPER), which is how their exits are seen.
//
// One thread, like all of the shim. What is called from the event loop must not block.
#pragma once

#include <sys/types.h>

#include <memory>

#include "base/unique_fd.h"
#include "cgroup/join.h"
#include "ipc/step.h"
#include "linux/process_ref.h"
#include "shim/event_loop.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

// Called by a launch, from the event loop.
class LaunchOwner {
 public:
  // The process exists and waits for Release(); only when it is to be parked.
  virtual void OnCreated() {}
  // The process runs its program, or the launch has failed: see Launch::ok().
  virtual void OnLaunched() = 0;

 protected:
  ~LaunchOwner() = default;
};

struct LaunchFailure {
  ipc::Step step = ipc::Step::kNone;  // that failed, or that was going on
  bool killed = false;                // no step failed: a process was killed from outside
  int error = 0;                      // errno; 0: none
  const char* detail = "";            // what it was about; belongs to the launch
};

// The start of one process: the container's init or an exec.
class Launch {
 public:
  virtual ~Launch() = default;

  // Between the start and OnLaunched. Until then the owner must not reap child(), whose pid could
  // be reused.
  virtual bool pending() const = 0;
  // The process; 0 before there is one. Known as soon as the process can exist, so that it can be
  // killed whatever happens.
  virtual pid_t child() const = 0;
  // Whether the process runs its program.
  virtual bool ok() const = 0;
  // Why not ok(), once it is not pending any more.
  virtual LaunchFailure failure() const = 0;
  // Appends the steps done and their durations.
  virtual void AddPhases(::shim::v1::Started& started) const = 0;

  // The container's cgroup is there, and RuntimeHost::cgroup is open: called once for a container,
  // which may be prepared before it but has no process yet. Not for an exec.
  virtual void CgroupMade() = 0;
  // Whether the process waits for Release(), or will.
  virtual bool is_parked() const = 0;
  virtual void Release() = 0;
  // The master of the process's terminal; invalid when it has none.
  virtual base::UniqueFd TakeTerminal() = 0;
  // Gives back everything but the helper. ok(), failure(), AddPhases() and child() mean nothing
  // then.
  virtual void Close() = 0;

  // A process of the handler's own that does the work, a child of the shim; 0: none any more. The
  // owner of the launch may kill it, reaps it and then calls OnHelperExit(), which may call
  // OnLaunched(). There may be another one then.
  virtual pid_t helper() const = 0;
  virtual void OnHelperExit(int status) = 0;
};

// What a handler needs to know of the container. Borrowed for the container's life.
struct RuntimeHost {
  EventLoop* loop = nullptr;
  const char* bundle = nullptr;
  const cgroup::JoinFds* cgroup = nullptr;  // open from Launch::CgroupMade() on
  linux::ProcessRef init = {};              // once it runs
};

// Descriptors of the new process, borrowed for the call.
struct LaunchFds {
  int stdio[3] = {-1, -1, -1};  // -1: /dev/null
  int group = -1;               // of an exec: the cgroup2 directory it starts in
  int args_file = -1;           // of an Exec with args_in_file
};

class Runtime {
 public:
  // Null and errno when the launch cannot even begin; `owner` is not called then. Whether the
  // container has a terminal is read in its spec.
  virtual std::unique_ptr<Launch> StartContainer(const RuntimeHost& host, LaunchOwner& owner,
                                                 const LaunchFds& fds,
                                                 const ::shim::v1::Start& start) = 0;
  // Adds a process to the running container; never parked.
  virtual std::unique_ptr<Launch> StartExec(const RuntimeHost& host, LaunchOwner& owner,
                                            const LaunchFds& fds, const ::shim::v1::Exec& exec) = 0;

 protected:
  ~Runtime() = default;
};

}  // namespace crisp::shim
