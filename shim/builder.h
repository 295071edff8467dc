// The builder: a short-lived fork of the shim that makes a container, or adds a process to one.
//
//   shim ──fork──> builder ──clone3(CLONE_PARENT)──> child ──execve──> the container's program
//    │  <── done: 'c' ┘ exits                          │
//    │  <── done: end of file ─────────────────────────┘ (executed, or failed: see the Report)
//
// All parsing, opening and memory use happens in the builder, so that the shim that stays stays
// small; what it unshares and mounts ends with it or belongs to the child. CLONE_PARENT makes the
// child the shim's own, to be waited for.
#pragma once

#include <sys/types.h>

#include "cgroup/join.h"
#include "linux/process_ref.h"
#include "shim/report.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

// Everything the builder takes along; all other descriptors it closes first. Borrowed.
struct BuilderInput {
  const char* bundle = nullptr;
  Report* report = nullptr;
  int done = -1;                // write end
  int stdio[3] = {-1, -1, -1};  // -1: /dev/null
  int console_socket = -1;      // with a terminal: where the child sends the pty master
  int barrier = -1;             // read end; -1: do not wait
  const cgroup::JoinFds* cgroup = nullptr;
  int clone_into = -1;          // cgroup2 directory
  linux::ProcessRef init = {};  // for an exec: the process whose namespaces it joins
};

// Run in the forked process; never return.
[[noreturn]] void BuildContainer(const BuilderInput& input, const ::shim::v1::Start& start);
[[noreturn]] void BuildExec(const BuilderInput& input, const ::shim::v1::Exec& exec);

}  // namespace crisp::shim
