#include "linux/process_ref.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

namespace crisp::linux {
namespace {

// A process that waits for a signal; killed and reaped at the end.
struct Sleeper {
  Sleeper() : pid(fork()) {
    REQUIRE(pid >= 0);
    if (pid == 0) {
      for (;;) pause();
    }
  }
  ~Sleeper() {
    kill(pid, SIGKILL);
    (void)waitpid(pid, nullptr, 0);
  }
  void AwaitZombie() const {
    siginfo_t info;
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
  }
  void Reap() const { REQUIRE(waitpid(pid, nullptr, 0) == pid); }
  const pid_t pid;
};

bool HasEnded(const base::UniqueFd& pidfd) {
  pollfd entry = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return poll(&entry, 1, 0) == 1;
}

// Takes every descriptor the process may have.
struct NoDescriptors {
  NoDescriptors() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit low = before;
    low.rlim_cur = 64;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) taken.emplace_back(fd);
  }
  ~NoDescriptors() {
    taken.clear();
    setrlimit(RLIMIT_NOFILE, &before);
  }
  rlimit before;
  std::vector<base::UniqueFd> taken;
};

}  // namespace

TEST_CASE("a reference opens exactly the process it was made of") {
  const Sleeper sleeper;
  const absl::StatusOr<ProcessRef> process = ProcessRef::Of(sleeper.pid);
  REQUIRE(process.ok());
  CHECK(process->pid == sleeper.pid);
  const absl::StatusOr<base::UniqueFd> pidfd = process->Open();
  REQUIRE(pidfd.ok());
  CHECK((fcntl(pidfd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_FALSE(HasEnded(*pidfd));
  CHECK(process->IsAlive());
  CHECK(process->OpenProcDirectory().ok());
  kill(sleeper.pid, SIGKILL);
  sleeper.AwaitZombie();
  CHECK(HasEnded(*pidfd));
}

TEST_CASE("a pid with another start time is a process that is gone") {
  const Sleeper sleeper;
  ProcessRef other = *ProcessRef::Of(sleeper.pid);
  ++other.start_ticks;
  CHECK(absl::IsNotFound(other.Open().status()));
  CHECK(absl::IsNotFound(other.OpenProcDirectory().status()));
  CHECK_FALSE(other.IsAlive());
  CHECK(other.Signal(SIGKILL).ok());
  CHECK(ProcessRef::Of(sleeper.pid)->IsAlive());  // the signal did not reach it
}

TEST_CASE("a zombie has its start time but is not alive, a reaped process is gone") {
  const Sleeper sleeper;
  const ProcessRef process = *ProcessRef::Of(sleeper.pid);
  // Not SIGTERM: the forked child still has the handler that Catch2 installed for it.
  CHECK(process.Signal(SIGKILL).ok());
  sleeper.AwaitZombie();
  CHECK(ProcessRef::Of(sleeper.pid)->start_ticks == process.start_ticks);
  CHECK_FALSE(process.IsAlive());
  CHECK(process.Signal(SIGTERM).ok());
  sleeper.Reap();
  CHECK(absl::IsNotFound(ProcessRef::Of(sleeper.pid).status()));
  CHECK(absl::IsNotFound(process.Open().status()));
  CHECK(absl::IsNotFound(process.OpenProcDirectory().status()));
  CHECK_FALSE(process.IsAlive());
  CHECK(process.Signal(SIGTERM).ok());
}

TEST_CASE("without a free descriptor a process is not taken for gone") {
  const Sleeper sleeper;
  const ProcessRef process = *ProcessRef::Of(sleeper.pid);
  absl::Status of, opened, directory, signalled;
  bool alive = false;
  {
    const NoDescriptors none;
    of = ProcessRef::Of(sleeper.pid).status();
    opened = process.Open().status();
    directory = process.OpenProcDirectory().status();
    signalled = process.Signal(SIGKILL);
    alive = process.IsAlive();
  }
  CHECK(absl::IsResourceExhausted(of));
  CHECK(absl::IsResourceExhausted(opened));
  CHECK(absl::IsResourceExhausted(directory));
  CHECK(absl::IsResourceExhausted(signalled));
  CHECK_FALSE(alive);  // a check that is built on it must fail closed
}

TEST_CASE("an invalid signal is an error") {
  const Sleeper sleeper;
  const absl::Status status = ProcessRef::Of(sleeper.pid)->Signal(4711);
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("signal process"));
}

}  // namespace crisp::linux
