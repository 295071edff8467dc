#include "fake_runtime.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::streaming {
namespace {

class Child : public ProcessControl {
 public:
  Child(pid_t pid, base::UniqueFd tty, bool is_exec, std::shared_ptr<FakeRuntime::Record> record)
      : pid_(pid), tty_(std::move(tty)), is_exec_(is_exec), record_(std::move(record)) {
    ++record_->alive;
  }
  ~Child() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    --record_->alive;
  }
  absl::StatusOr<int> Wait() override {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) return base::Errno("waitpid", "");
    pid_ = 0;
    ++record_->waited;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    const winsize size = {rows, columns, 0, 0};
    if (ioctl(tty_.get(), TIOCSWINSZ, &size) != 0) return base::Errno("TIOCSWINSZ", "");
    absl::MutexLock lock(&record_->mutex);
    record_->sizes.emplace_back(columns, rows);
    return absl::OkStatus();
  }
  void Kill() override {
    ++record_->killed;
    if (is_exec_ && pid_ > 0) kill(pid_, SIGKILL);
  }

 private:
  pid_t pid_;
  const base::UniqueFd tty_;
  const bool is_exec_;
  const std::shared_ptr<FakeRuntime::Record> record_;
};

class Start : public ProcessStart {
 public:
  Start(std::function<absl::StatusOr<Process>()> run, std::shared_ptr<FakeRuntime::Record> record)
      : run_(std::move(run)), record_(std::move(record)) {
    ++record_->pending;
  }
  ~Start() override { --record_->pending; }
  absl::StatusOr<Process> Finish() override { return run_(); }

 private:
  const std::function<absl::StatusOr<Process>()> run_;
  const std::shared_ptr<FakeRuntime::Record> record_;
};

// Which end of a pipe the child gets.
struct Pipe {
  base::UniqueFd ours, child;
};

absl::StatusOr<Pipe> MakePipe(bool child_reads) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return base::Errno("pipe", "");
  base::UniqueFd reading(ends[0]), writing(ends[1]);
  if (child_reads) return Pipe{std::move(writing), std::move(reading)};
  return Pipe{std::move(reading), std::move(writing)};
}

}  // namespace

absl::StatusOr<PendingProcess> FakeRuntime::Begin(const std::string& container_id,
                                                  std::function<absl::StatusOr<Process>()> run) {
  if (container_id == "missing") return absl::NotFoundError("container missing: no such");
  PendingProcess pending;
  pending.answered.reset(eventfd(container_id == "stopped" ? 0 : 1, EFD_CLOEXEC));
  pending.start = std::make_unique<Start>(std::move(run), record);
  return pending;
}

absl::StatusOr<PendingProcess> FakeRuntime::Exec(const ExecRequest& request) {
  return Begin(request.container_id,
               [this, request] { return Run(request.command, request.streams, true); });
}

absl::StatusOr<PendingProcess> FakeRuntime::Attach(const AttachRequest& request) {
  return Begin(request.container_id,
               [this, request] { return Run(attach_command, request.streams, false); });
}

absl::StatusOr<Process> FakeRuntime::Run(const std::vector<std::string>& command,
                                         const Streams& streams, bool is_exec) {
  Process process;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  short flags = POSIX_SPAWN_SETSIGMASK;
  Pipe pipes[3];
  base::UniqueFd* const ours[] = {&process.io.in, &process.io.out, &process.io.err};
  const bool wanted[] = {streams.in, streams.out, streams.err};
  base::UniqueFd tty;
  if (streams.tty) {
    int master, slave;
    char name[64];
    if (openpty(&master, &slave, name, nullptr, nullptr) != 0) return base::Errno("openpty", "");
    fcntl(master, F_SETFD, FD_CLOEXEC);
    process.io.tty.reset(master);
    tty.reset(fcntl(master, F_DUPFD_CLOEXEC, 0));
    pipes[0].child.reset(slave);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    flags |= POSIX_SPAWN_SETSID;
    // The first terminal that a session leader opens becomes its controlling terminal.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
  } else {
    for (int i = 0; i < 3; ++i) {
      if (!wanted[i]) {
        posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
        continue;
      }
      CRISP_ASSIGN_OR_RETURN(pipes[i], MakePipe(i == 0));
      *ours[i] = std::move(pipes[i].ours);
      posix_spawn_file_actions_adddup2(&actions, pipes[i].child.get(), i);
    }
  }
  posix_spawnattr_setflags(&attributes, flags);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return base::Errno("exec", command[0], error);
  process.exited.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  ++record->started;
  process.control = std::make_unique<Child>(pid, std::move(tty), is_exec, record);
  return process;
}

absl::StatusOr<base::UniqueFd> FakeRuntime::PodSocket(const std::string&, int family) {
  ++record->sockets;
  return base::UniqueFd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

}  // namespace crisp::streaming
