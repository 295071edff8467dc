// What the streaming server needs from the runtime: processes, as plain descriptors. Implemented by
// runtime/.
//
// The runtime makes the descriptors, and the server copies bytes between them and the client. Each
// must be O_CLOEXEC, a pipe, socket or terminal (epoll must accept it), and the only reference to
// its open file description, because the server sets O_NONBLOCK on it. The server owns it.
//
// Threads: every function here may block for a moment, and the server's eight workers call them,
// several at a time; the calls of one object never overlap. What a container can delay is not
// waited for in a call, because eight such containers would stop all sessions: Exec() and Attach()
// only ask, and a descriptor says when there is an answer. An implementation bounds its calls in
// time (a few seconds).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "streaming/request.h"

namespace crisp::streaming {

// The server's ends of the process's streams. A stream that was not requested stays invalid. With a
// terminal only `tty`, the master, is valid. The server closes `in` when the client closes its
// stdin; the shim decides what that means for the container (stdin_once). A terminal is not closed
// then.
struct Stdio {
  base::UniqueFd in;   // written
  base::UniqueFd out;  // read
  base::UniqueFd err;  // read
  base::UniqueFd tty;  // both
};

// Destroyed when the session ends, on a worker thread, after the descriptors of its Process.
class ProcessControl {
 public:
  virtual ~ProcessControl() = default;

  // Called once, after `exited` became readable. Exec: the exit code, 128+N after signal N. Attach:
  // the number is ignored; an attachment ends with success unless this is an error.
  virtual absl::StatusOr<int> Wait() = 0;

  // Window size in characters. Only called with a tty. Does not wait for the process or its shim.
  virtual absl::Status Resize(uint16_t columns, uint16_t rows) = 0;

  // Called if the client leaves, the session is idle for too long or the server stops before Wait()
  // was called. Exec: kills the process, because an exec lives as long as its connection. Attach:
  // does nothing, and the container goes on.
  virtual void Kill() = 0;
};

// One exec'd process, or one attachment to a container's main process.
struct Process {
  Stdio io;
  // Becomes readable, or reaches end of file, when the process has exited (a pidfd, an eventfd, one
  // end of a socket). The server only polls it. All output of the process must be in `io` by then;
  // the server does not wait for what its children write later.
  base::UniqueFd exited;
  std::unique_ptr<ProcessControl> control;  // never null
};

// A process that was asked for. Destroying it gives up: nothing of the process remains.
class ProcessStart {
 public:
  virtual ~ProcessStart() = default;
  // Called at most once, when there is an answer. The client gets the text of an error, such as of
  // a command that does not exist.
  virtual absl::StatusOr<Process> Finish() = 0;
};

struct PendingProcess {
  base::UniqueFd
      answered;  // becomes readable when Finish() will not wait; the server only polls it
  std::unique_ptr<ProcessStart> start;  // never null
};

class StreamingRuntime {
 public:
  virtual ~StreamingRuntime() = default;

  // Neither waits for the process. kResourceExhausted when too many of the container are pending.
  virtual absl::StatusOr<PendingProcess> Exec(const ExecRequest& request) = 0;
  virtual absl::StatusOr<PendingProcess> Attach(const AttachRequest& request) = 0;

  // A new TCP socket of the sandbox's network namespace, non-blocking and not connected: the I/O
  // thread connects it, because a worker must not wait for a process in the pod. `family` is
  // AF_INET or AF_INET6.
  virtual absl::StatusOr<base::UniqueFd> PodSocket(const std::string& sandbox_id, int family) = 0;
};

}  // namespace crisp::streaming
