// Child processes of the test take the part of shims: each holds the other end of a tether.
#include "shim_client/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/file.h"
#include "linux/syscalls.h"
#include "no_threads.h"
#include "test/unit/eventually.h"
#include "test/unit/linux/unkillable.h"

namespace {

std::atomic<int> refused_watches = 0;

}  // namespace

// As when all watches of the user are in use.
extern "C" int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (operation == EPOLL_CTL_ADD && refused_watches > 0) {
    --refused_watches;
    errno = ENOSPC;
    return -1;
  }
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}

namespace crisp::shim_client {
namespace {

struct Gone {
  Monitor::GoneCallback Callback() {
    return [this](const std::string& id, const std::optional<ToldExit>& told) {
      absl::MutexLock lock(&mu);
      ids.push_back(id);
      exits.push_back(told);
    };
  }
  bool Await(size_t count) {
    absl::MutexLock lock(&mu);
    const auto enough = [this, count]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return ids.size() >= count; };
    return mu.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  absl::Mutex mu;
  std::vector<std::string> ids ABSL_GUARDED_BY(mu);
  std::vector<std::optional<ToldExit>> exits ABSL_GUARDED_BY(mu);
};

// A process that holds the other end of `tether` until it is killed.
struct TetherHolder {
  TetherHolder() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      close(fds[0]);
      pause();
      _exit(0);
    }
    close(fds[1]);
    tether = ipc::Channel(base::UniqueFd(fds[0]));
    pidfd.reset(linux::PidfdOpen(pid));
    REQUIRE(pidfd.valid());
  }
  pid_t pid;
  ipc::Channel tether;
  base::UniqueFd pidfd;
};

bool IsMyChild(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

size_t OpenFds() { return base::ListDir("/proc/self/fd")->size(); }

TEST_CASE("a shim that dies is reaped and reported once") {
  const size_t before = OpenFds();
  {
    Gone gone;
    Monitor monitor(gone.Callback());
    REQUIRE(monitor.Start().ok());
    TetherHolder one, two;
    REQUIRE(monitor.Watch("one", std::move(one.tether), std::move(one.pidfd)).ok());
    REQUIRE(monitor.Watch("two", std::move(two.tether), std::move(two.pidfd)).ok());
    kill(one.pid, SIGKILL);
    REQUIRE(gone.Await(1));
    CHECK_FALSE(IsMyChild(one.pid));
    CHECK(IsMyChild(two.pid));
    monitor.KillShim("not watched");
    monitor.KillShim("two");
    REQUIRE(gone.Await(2));
    CHECK_FALSE(IsMyChild(two.pid));
    absl::MutexLock lock(&gone.mu);
    CHECK(gone.ids == std::vector<std::string>{"one", "two"});
    CHECK_FALSE(gone.exits[0].has_value());
  }
  CHECK(OpenFds() == before);
}

TEST_CASE("a shim that closes its tether but lives on is killed") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  TetherHolder shim;
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  REQUIRE(monitor.Watch("x", ipc::Channel(base::UniqueFd(fds[0])), std::move(shim.pidfd)).ok());
  close(fds[1]);
  REQUIRE(gone.Await(1));
  CHECK_FALSE(IsMyChild(shim.pid));
}

TEST_CASE("a shim that the kernel has no watch for is reported and reaped all the same") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  const bool tether = GENERATE(true, false);
  TetherHolder shim;
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  if (tether) refused_watches = 3;
  REQUIRE(monitor.Watch("x", ipc::Channel(base::UniqueFd(fds[0])), std::move(shim.pidfd)).ok());
  if (!tether) refused_watches = 3;  // the one for the end of the shim, which is killed
  close(fds[1]);
  REQUIRE(gone.Await(1));
  CHECK_FALSE(IsMyChild(shim.pid));
  CHECK(refused_watches == 0);
}

TEST_CASE(
    "a shim that outlives SIGKILL holds up no other, is reported late and reaped at its end") {
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  test::Unkillable stuck([&] { close(fds[0]); });
  if (!stuck.valid()) {
    printf("skipped: a shim that outlives SIGKILL: no right to make a PID namespace\n");
    return;
  }
  close(fds[1]);
  Gone gone;
  Monitor monitor(gone.Callback(), absl::Seconds(2));
  REQUIRE(monitor.Start().ok());
  REQUIRE(
      monitor
          .Watch("stuck", ipc::Channel(base::UniqueFd(fds[0])), base::UniqueFd(dup(stuck.pidfd())))
          .ok());
  monitor.KillShim("stuck");  // its end of the tether is closed, and it does not end
  TetherHolder other;
  REQUIRE(monitor.Watch("other", std::move(other.tether), std::move(other.pidfd)).ok());
  kill(other.pid, SIGKILL);
  REQUIRE(gone.Await(1));
  REQUIRE(gone.Await(2));
  CHECK(IsMyChild(stuck.pid()));
  {
    absl::MutexLock lock(&gone.mu);
    CHECK(gone.ids == std::vector<std::string>{"other", "stuck"});
  }
  stuck.Release();
  const base::Deadline deadline = base::Deadline::In(absl::Seconds(20));
  while (IsMyChild(stuck.pid()) && !deadline.Passed()) std::this_thread::yield();
  CHECK_FALSE(IsMyChild(stuck.pid()));
  monitor.Stop();
  CHECK(gone.ids.size() == 2);
}

TEST_CASE("the end of a shim of an earlier crispd is reported") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  // Without a pidfd, as for a shim that crispd could not open one for.
  REQUIRE(monitor.Watch("old", ipc::Channel(base::UniqueFd(fds[0])), base::UniqueFd()).ok());
  close(fds[1]);
  CHECK(gone.Await(1));
}

TEST_CASE("what a shim says of its container's end is reported when the shim has ended") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  TetherHolder shim;
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  ipc::Channel other_end{base::UniqueFd(fds[1])};
  REQUIRE(monitor.Watch("x", ipc::Channel(base::UniqueFd(fds[0])), std::move(shim.pidfd)).ok());
  shim::v1::Reply of_a_newer_shim;
  of_a_newer_shim.mutable_done();
  REQUIRE(other_end.Send(of_a_newer_shim).ok());
  shim::v1::Reply reply;
  reply.mutable_exited()->set_exit_code(7);
  reply.mutable_exited()->set_oom_killed(true);
  reply.mutable_exited()->set_finished_at_ns(11);
  reply.mutable_exited()->set_on_disk(true);
  REQUIRE(other_end.Send(reply).ok());
  // The shim is not at its end before it closes the tether, and is not killed for what it says.
  usleep(50'000);
  CHECK(IsMyChild(shim.pid));
  {
    absl::MutexLock lock(&gone.mu);
    CHECK(gone.ids.empty());
  }
  other_end.Close();
  REQUIRE(gone.Await(1));
  absl::MutexLock lock(&gone.mu);
  REQUIRE(gone.exits[0].has_value());
  CHECK(gone.exits[0]->exit.exit_code == 7);
  CHECK(gone.exits[0]->exit.oom_killed);
  CHECK(gone.exits[0]->exit.finished_at_ns == 11);
  CHECK(gone.exits[0]->on_disk);
}

TEST_CASE("a shim that was dead before it is watched is reported") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  TetherHolder shim;
  kill(shim.pid, SIGKILL);
  siginfo_t info;
  REQUIRE(waitid(P_PID, static_cast<id_t>(shim.pid), &info, WEXITED | WNOWAIT) == 0);
  REQUIRE(monitor.Watch("x", std::move(shim.tether), std::move(shim.pidfd)).ok());
  CHECK(gone.Await(1));
}

// A process that waits to be killed.
pid_t Sleeper() {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    pause();
    _exit(0);
  }
  return pid;
}

TEST_CASE("the end of a process without a shim is reported, and a child is reaped") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  const pid_t nameless = Sleeper(), named = Sleeper();
  REQUIRE(monitor.WatchProcess("", base::UniqueFd(linux::PidfdOpen(nameless))).ok());
  REQUIRE(monitor.WatchProcess("pause", base::UniqueFd(linux::PidfdOpen(named))).ok());
  monitor.KillShim("pause");  // it is not one
  CHECK(kill(nameless, SIGKILL) == 0);
  CHECK(test::Eventually([&] { return !IsMyChild(nameless); }));
  CHECK(IsMyChild(named));
  CHECK(kill(named, SIGKILL) == 0);
  REQUIRE(gone.Await(1));
  CHECK_FALSE(IsMyChild(named));
  absl::MutexLock lock(&gone.mu);
  CHECK(gone.ids == std::vector<std::string>{"pause"});
  CHECK_FALSE(gone.exits[0].has_value());
}

TEST_CASE("what the kernel still tells of a descriptor that was closed is not another's end") {
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  const pid_t first = Sleeper(), second = Sleeper(), third = Sleeper();
  base::UniqueFd pidfd(linux::PidfdOpen(first));
  const int number = pidfd.get();
  // As a program has one that is being started: the kernel forgets what it tells about only with
  // the last.
  const base::UniqueFd copy(dup(number));
  REQUIRE(monitor.WatchProcess("first", std::move(pidfd)).ok());
  CHECK(kill(first, SIGKILL) == 0);
  REQUIRE(gone.Await(1));
  base::UniqueFd same(linux::PidfdOpen(second));
  while (same.get() != number) {  // the monitor may not have closed it yet
    same.reset();
    same.reset(linux::PidfdOpen(second));
  }
  REQUIRE(monitor.WatchProcess("second", std::move(same)).ok());
  REQUIRE(monitor.WatchProcess("third", base::UniqueFd(linux::PidfdOpen(third))).ok());
  CHECK(kill(third, SIGKILL) == 0);
  REQUIRE(gone.Await(2));
  CHECK(IsMyChild(second));
  CHECK(kill(second, SIGKILL) == 0);
  REQUIRE(gone.Await(3));
  absl::MutexLock lock(&gone.mu);
  CHECK(gone.ids == std::vector<std::string>{"first", "third", "second"});
}

TEST_CASE("the end of a process that is not a child is reported") {
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const pid_t orphan = fork();
    if (orphan == 0) {
      pause();
      _exit(0);
    }
    _exit(write(fds[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
  }
  pid_t orphan = 0;
  REQUIRE(read(fds[0], &orphan, sizeof(orphan)) == sizeof(orphan));
  REQUIRE(waitpid(parent, nullptr, 0) == parent);
  Gone gone;
  Monitor monitor(gone.Callback());
  REQUIRE(monitor.Start().ok());
  REQUIRE(monitor.WatchProcess("pause", base::UniqueFd(linux::PidfdOpen(orphan))).ok());
  CHECK(kill(orphan, SIGKILL) == 0);
  CHECK(gone.Await(1));
  close(fds[0]);
  close(fds[1]);
}

TEST_CASE("after Stop nothing is reported, and an invalid tether is an error") {
  Gone gone;
  TetherHolder shim;
  {
    Monitor monitor(gone.Callback());
    REQUIRE(monitor.Start().ok());
    CHECK_FALSE(monitor.Watch("bad", ipc::Channel(), base::UniqueFd()).ok());
    REQUIRE(monitor.Watch("x", std::move(shim.tether), std::move(shim.pidfd)).ok());
    monitor.Stop();
    kill(shim.pid, SIGKILL);
    monitor.Stop();
  }
  REQUIRE(waitpid(shim.pid, nullptr, 0) == shim.pid);
  absl::MutexLock lock(&gone.mu);
  CHECK(gone.ids.empty());
}

TEST_CASE("a monitor that gets no thread is an error") {
  const test::NoThreads refused;
  CHECK(absl::IsResourceExhausted(Monitor([](const auto&...) {}).Start()));
}

}  // namespace
}  // namespace crisp::shim_client
