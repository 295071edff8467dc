// What the streaming server needs from the runtime: processes as plain descriptors. Implemented by
// cri/.
//
// The server copies bytes between these descriptors and the client; the runtime only makes them.
// Every descriptor handed over is O_CLOEXEC, is a pipe, socket or terminal (epoll must accept it),
// and is the only reference to its open file description: the server sets O_NONBLOCK on it.
//
// Threads: every function here may block (a round trip to a shim) and is called from the server's
// worker threads, several at a time; the calls of one ProcessControl never overlap. There are eight
// workers, so an implementation must bound its own calls in time (a few
// seconds).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "streaming/request.h"

namespace crisp::streaming {

// This side's ends. A stream that was not asked for stays invalid. With a tty only `tty`, the
// master, is valid. The server closes `in` when the client closes its stdin; what that means for
// the container (stdin_once) is up to whoever holds the other end. End of a client's stdin does
// nothing to a tty.
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
  // ignored, an attachment always ends with success unless this is an error.
  virtual absl::StatusOr<int> Wait() = 0;

  // Window size in characters. Only called with a tty.
  virtual absl::Status Resize(uint16_t columns, uint16_t rows) = 0;

  // The client went away, the session idled out or the server stops, before Wait() was called.
  // Exec: kill the process (an exec lives as long as its connection). Attach: nothing, the
  // container goes on.
  virtual void Kill() = 0;
};

// One exec'd process, or one attachment to a container's main process.
struct Process {
  Stdio io;
  // Readable, or at end of file, once the process has exited (a pidfd, an eventfd, one end of a
  // socket). Only polled, but made non-blocking like the others. All output is in `io` by then;
  // what a child left behind writes later is not waited for.
  base::UniqueFd exited;
  std::unique_ptr<ProcessControl> control;  // never null
};

class StreamingRuntime {
 public:
  virtual ~StreamingRuntime() = default;

  // Starts `command`. A command that cannot be started (no such file) is an error, and its text
  // reaches the client.
  virtual absl::StatusOr<Process> Exec(const ExecRequest& request) = 0;
  virtual absl::StatusOr<Process> Attach(const AttachRequest& request) = 0;

  // A new TCP socket of the sandbox's network namespace, non-blocking and not connected: a pod's
  // process may take any time to answer, so connecting is not for a worker to wait for. `family` is
  // AF_INET or AF_INET6.
  virtual absl::StatusOr<base::UniqueFd> PodSocket(const std::string& sandbox_id, int family) = 0;
};

}  // namespace crisp::streaming
