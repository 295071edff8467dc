#include "linux/reap.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "base/clock.h"
#include "linux/syscalls.h"
#include "test/unit/linux/unkillable.h"

namespace crisp::linux {
namespace {

// Whether it is a child of the test, running or not reaped.
bool IsMyChild(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

TEST_CASE("a child that exits is reaped, with what it says") {
  const pid_t pid = fork();
  if (pid == 0) _exit(7);
  const base::UniqueFd pidfd(PidfdOpen(pid));
  const std::optional<siginfo_t> end =
      Reap(pid, pidfd.get(), base::Deadline::In(absl::Seconds(20)));
  REQUIRE(end.has_value());
  CHECK(end->si_code == CLD_EXITED);
  CHECK(end->si_status == 7);
  CHECK_FALSE(IsMyChild(pid));
}

TEST_CASE("a child that SIGKILL does not end is not waited for, and reaped later") {
  test::Unkillable stuck;
  if (!stuck.valid()) {
    printf("skipped: a child that outlives SIGKILL: no right to make a PID namespace\n");
    return;
  }
  kill(stuck.pid(), SIGKILL);
  CHECK_FALSE(
      Reap(stuck.pid(), stuck.pidfd(), base::Deadline::In(absl::Milliseconds(100))).has_value());
  CHECK(IsMyChild(stuck.pid()));
  stuck.Release();
  siginfo_t info;
  REQUIRE(waitid(P_PID, static_cast<id_t>(stuck.pid()), &info, WEXITED | WNOWAIT) == 0);
  const pid_t other = fork();
  if (other == 0) _exit(0);
  EndChild(other, base::UniqueFd(PidfdOpen(other)).get());
  CHECK_FALSE(IsMyChild(stuck.pid()));
  CHECK_FALSE(IsMyChild(other));
}

}  // namespace
}  // namespace crisp::linux
