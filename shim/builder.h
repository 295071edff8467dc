// The builder: a short-lived fork of the shim that makes a container, or adds a process to one.
//
//   shim ──fork──> builder ──clone3(CLONE_PARENT)──> child ──execve──> the container's program
//    │  <── done: 'c' ┘ exits                          │
//    │  <── done: end of file ─────────────────────────┘ (executed, or failed: see the Report)
//
// The builder does all parsing, opening and allocating, so that the shim, which lives as long as
// the container, stays small. What the builder unshares and mounts ends with it or belongs to the
// child. CLONE_PARENT makes the child a child of the shim, which can then wait for it.
//
// A process that joins a PID namespace, as every exec does, is cloned by a helper: one process more
// or, for an exec, the builder itself. See child/inside.cc.
#pragma once

#include <sys/types.h>

#include "cgroup/join.h"
#include "linux/process_ref.h"
#include "shim/report.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

// Everything the builder inherits; it first closes all other descriptors. Borrowed.
struct BuilderInput {
  const char* bundle = nullptr;
  Report* report = nullptr;
  int done = -1;                // write end
  int stdio[3] = {-1, -1, -1};  // -1: /dev/null
  int console_socket = -1;      // with a terminal: where the child sends the pty master
  int barrier = -1;             // read end; -1: the child does not wait
  int gate = -1;                // of a container, read end: one byte comes when its cgroup is there
  // Of an exec:
  const cgroup::JoinFds* cgroup = nullptr;  // the container's
  int clone_into = -1;                      // cgroup2 directory
  int args_file = -1;                       // has its arguments, if they did not fit into a packet
  linux::ProcessRef init = {};              // the process whose namespaces it joins
};

// Run in the forked process.
[[noreturn]] void BuildContainer(const BuilderInput& input, const ::shim::v1::Start& start);
[[noreturn]] void BuildExec(const BuilderInput& input, const ::shim::v1::Exec& exec);

}  // namespace crisp::shim
