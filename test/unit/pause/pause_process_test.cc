// pause as an ordinary process, without privileges.
#include "pause_process.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>

namespace crisp::pause_test {
namespace {

TEST_CASE("pause exits with status 0 on SIGTERM and SIGINT") {
  for (const int signal : {SIGTERM, SIGINT}) {
    PauseProcess pause;
    REQUIRE(pause.Waiting());
    CHECK(pause.EndWith(signal) == 0);
  }
}

TEST_CASE("pause survives a stop and continue") {
  PauseProcess pause;
  REQUIRE(pause.Waiting());
  kill(pause.pid(), SIGSTOP);
  int status = 0;
  REQUIRE(waitpid(pause.pid(), &status, WUNTRACED) == pause.pid());
  REQUIRE(WIFSTOPPED(status));
  kill(pause.pid(), SIGCONT);
  REQUIRE(waitpid(pause.pid(), &status, WCONTINUED) == pause.pid());
  REQUIRE(pause.Waiting());
  CHECK(pause.EndWith(SIGTERM) == 0);
}

TEST_CASE("pause reaps children that died before it ran") {
  PauseProcess pause(0, [] {
    for (int i = 0; i < 3; ++i) {
      const pid_t child = fork();
      if (child == 0) _exit(0);
      siginfo_t info;
      waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);  // leaves the zombie
    }
  });
  REQUIRE(pause.Waiting());
  CHECK(CountChildren(pause.pid()) == 0);
}

TEST_CASE("pause reaps children that die at the same time") {
  int gate[2];
  REQUIRE(pipe(gate) == 0);
  PauseProcess pause(0, [&gate] {
    for (int i = 0; i < 20; ++i) {
      if (fork() != 0) continue;
      close(gate[1]);
      char byte;
      _exit(static_cast<int>(read(gate[0], &byte, 1)));  // 0 at end of file
    }
    close(gate[1]);  // pause must not hold the gate open
  });
  REQUIRE(pause.Waiting());
  CHECK(CountChildren(pause.pid()) == 20);
  close(gate[1]);
  close(gate[0]);
  CHECK(Eventually([&] { return CountChildren(pause.pid()) == 0; }));
  CHECK(pause.EndWith(SIGTERM) == 0);
}

TEST_CASE("pause exits with the errno when seccomp denies the wait") {
  PauseProcess pause(0, [] {
    sock_filter deny_wait[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigtimedwait, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = 4, .filter = deny_wait};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  });
  CHECK(pause.EndWith(0) == EPERM);  // signal 0: it exits without a signal
}

TEST_CASE("a pause costs at most four private pages") {
  // Two processes, so that the program's pages are shared as on a node with several pods.
  PauseProcess first;
  PauseProcess second;
  REQUIRE(first.Waiting());
  REQUIRE(second.Waiting());
  std::ifstream file("/proc/" + std::to_string(second.pid()) + "/smaps_rollup");
  int private_kib = 0;
  bool seen = false;
  for (std::string word; file >> word;) {
    int kib = 0;
    if (word != "Private_Clean:" && word != "Private_Dirty:") continue;
    REQUIRE(file >> kib);
    private_kib += kib;
    seen = true;
  }
  REQUIRE(seen);
  CAPTURE(private_kib);
  CHECK(private_kib <= 4 * sysconf(_SC_PAGESIZE) / 1024);
}

}  // namespace
}  // namespace crisp::pause_test
