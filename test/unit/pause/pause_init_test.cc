// pause as PID 1 of a pod that shares its PID namespace: pid_namespaces(7). Needs root.
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "pause_process.h"

namespace crisp::pause_test {
namespace {

constexpr int kOrphans = 1000;

// Runs in the namespace and leaves kOrphans processes there, which live until the gate closes.
[[noreturn]] void LeaveOrphans(const int gate[2]) {
  for (int i = 0; i < kOrphans; ++i) {
    const pid_t orphan = fork();
    if (orphan < 0) _exit(1);
    if (orphan != 0) continue;
    close(gate[1]);
    char byte;
    _exit(static_cast<int>(read(gate[0], &byte, 1)));
  }
  _exit(0);
}

// Makes the PID namespace of `pause` the one of this process's children, and lets one of them leave
// the orphans.
int OrphansInto(pid_t pause, const int gate[2]) {
  const pid_t helper = fork();
  if (helper == 0) {
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pause, 0));
    if (setns(pidfd, CLONE_NEWPID) != 0) _exit(2);
    const pid_t inside = fork();
    if (inside == 0) LeaveOrphans(gate);
    int status = 0;
    waitpid(inside, &status, 0);
    _exit(WEXITSTATUS(status));
  }
  int status = 0;
  waitpid(helper, &status, 0);
  return WEXITSTATUS(status);
}

TEST_CASE("as PID 1 pause reaps every orphan") {
  PauseProcess pause(CLONE_NEWPID);
  REQUIRE(pause.pid() > 0);
  REQUIRE(pause.Waiting());
  int gate[2];
  REQUIRE(pipe(gate) == 0);
  REQUIRE(OrphansInto(pause.pid(), gate) == 0);
  CHECK(CountChildren(pause.pid()) == kOrphans);
  close(gate[1]);
  close(gate[0]);
  CHECK(Eventually([&] { return CountChildren(pause.pid()) == 0; }));
  CHECK(pause.EndWith(SIGTERM) == 0);
}

TEST_CASE("as PID 1 pause exits with status 0 on SIGTERM and SIGINT") {
  for (const int signal : {SIGTERM, SIGINT}) {
    PauseProcess pause(CLONE_NEWPID);
    REQUIRE(pause.pid() > 0);
    REQUIRE(pause.Waiting());
    CHECK(pause.EndWith(signal) == 0);
  }
}

}  // namespace
}  // namespace crisp::pause_test
