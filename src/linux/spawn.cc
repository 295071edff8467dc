#include "linux/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::linux {
namespace {

// Owns the two argument objects of posix_spawn.
struct SpawnArguments {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnArguments() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnArguments() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnArguments(const SpawnArguments&) = delete;
  SpawnArguments& operator=(const SpawnArguments&) = delete;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int SetAttributes(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  // crispd ignores SIGPIPE and blocks SIGTERM; the child must not inherit that.
  int error = posix_spawnattr_setsigmask(&attributes, &none);
  if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &all);
  if (error == 0) error = posix_spawnattr_setpgroup(&attributes, 0);
  if (error == 0) {
    error = posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  return error;
}

// The numbers of `donated` are above all target numbers, so no dup2 can overwrite a later source.
int SetFiles(posix_spawn_file_actions_t& actions, const std::vector<base::UniqueFd>& donated) {
  int error = posix_spawn_file_actions_addchdir_np(&actions, "/");
  for (size_t i = 0; i < donated.size() && error == 0; ++i) {
    const int target = static_cast<int>(i);
    error = donated[i].valid()
                ? posix_spawn_file_actions_adddup2(&actions, donated[i].get(), target)
                : posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0);
  }
  if (error == 0) {
    error = posix_spawn_file_actions_addclosefrom_np(&actions, static_cast<int>(donated.size()));
  }
  return error;
}

// A file in memory with `input`. Unlike a pipe it needs no writing thread and cannot deadlock.
absl::StatusOr<base::UniqueFd> InputFile(absl::string_view input) {
  base::UniqueFd fd(memfd_create("stdin", MFD_CLOEXEC));
  if (!fd.valid()) return base::Errno("memfd_create", "stdin");
  CRISP_RETURN_IF_ERROR(base::WriteAll(fd.get(), input));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return base::Errno("lseek", "stdin");
  return fd;
}

// Collects one output stream of a child.
struct Capture {
  base::UniqueFd fd;
  std::string data;
  size_t limit;
  bool overflow = false;

  // Reads what is there without waiting; closes the end at EOF or on an error.
  void Drain() {
    char buffer[16384];
    while (fd.valid()) {
      const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
      if (n > 0) {
        const size_t kept = std::min(static_cast<size_t>(n), limit - data.size());
        data.append(buffer, kept);
        if (kept < static_cast<size_t>(n)) overflow = true;
        if (overflow && kept == 0) return;  // the caller checks the deadline between buffers
      } else if (n < 0 && errno == EINTR) {
        continue;
      } else if (n < 0 && errno == EAGAIN) {
        return;
      } else {
        fd.reset();
      }
    }
  }
};

absl::StatusOr<base::UniqueFd> OpenCapture(Capture& capture) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return base::Errno("pipe2", "");
  capture.fd.reset(ends[0]);
  base::UniqueFd writer(ends[1]);
  if (fcntl(capture.fd.get(), F_SETFL, O_NONBLOCK) != 0) return base::Errno("fcntl", "O_NONBLOCK");
  return writer;
}

// Reads both streams until the program has exited. OK: it exited by itself.
absl::Status Supervise(int pidfd, base::Deadline deadline, Capture& out, Capture& err) {
  while (true) {
    pollfd polls[] = {{pidfd, POLLIN, 0}, {out.fd.get(), POLLIN, 0}, {err.fd.get(), POLLIN, 0}};
    const int ready = poll(polls, 3, deadline.PollMillis());
    if (ready < 0 && errno != EINTR) return base::Errno("poll", "");
    out.Drain();
    err.Drain();
    if (out.overflow) {
      return absl::ResourceExhaustedError(
          absl::StrCat("killed after more than ", out.limit, " bytes of output"));
    }
    if (ready > 0 && polls[0].revents != 0) return absl::OkStatus();
    if (deadline.Passed()) {
      return absl::DeadlineExceededError("killed at the deadline");
    }
  }
}

}  // namespace

absl::StatusOr<Child> Spawn(const Command& command, const std::vector<int>& fds) {
  std::vector<base::UniqueFd> donated(fds.size());
  for (size_t i = 0; i < fds.size(); ++i) {
    if (fds[i] < 0) continue;
    donated[i].reset(fcntl(fds[i], F_DUPFD_CLOEXEC, static_cast<int>(fds.size())));
    if (!donated[i].valid()) return base::Errno("spawn: duplicate descriptor for", command.path);
  }
  SpawnArguments arguments;
  int error = SetAttributes(arguments.attributes);
  if (error == 0) error = SetFiles(arguments.actions, donated);
  Child child;
  if (error == 0) {
    error = posix_spawn(&child.pid, command.path.c_str(), &arguments.actions, &arguments.attributes,
                        Pointers(command.args).data(), Pointers(command.env).data());
  }
  if (error != 0) return base::Errno("spawn", command.path, error);
  // The child has not been reaped yet, so its pid cannot have been reused.
  child.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.pidfd.valid()) {
    const absl::Status status = base::Errno("pidfd_open for", command.path);
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return status;
  }
  return child;
}

absl::StatusOr<RunResult> Run(const Command& command, absl::string_view input,
                              const RunLimits& limits) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd stdin_fd, InputFile(input));
  Capture out{.fd = {}, .data = {}, .limit = limits.max_stdout};
  Capture err{.fd = {}, .data = {}, .limit = limits.max_stderr};
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd out_writer, OpenCapture(out));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd err_writer, OpenCapture(err));
  CRISP_ASSIGN_OR_RETURN(const Child child,
                         Spawn(command, {stdin_fd.get(), out_writer.get(), err_writer.get()}));
  out_writer.reset();
  err_writer.reset();

  const absl::Status ended = Supervise(child.pidfd.get(), limits.deadline, out, err);
  // The group's number cannot be reused before the program is reaped.
  kill(-child.pid, SIGKILL);
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) return base::Errno("waitid for", command.path);
  }
  if (!ended.ok()) return base::Prefix(ended, command.path);
  RunResult result;
  (info.si_code == CLD_EXITED ? result.exit_code : result.signal) = info.si_status;
  result.out = std::move(out.data);
  result.err = std::move(err.data);
  return result;
}

}  // namespace crisp::linux
