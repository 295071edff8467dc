#include "linux/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/clone_vm.h"
#include "linux/reap.h"

namespace crisp::linux {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Everything the new process needs; it allocates nothing.
struct Program {
  const char* path;
  char** argv;
  char** envp;
  const base::UniqueFd* files;  // files[i] becomes descriptor i; its number is at least `count`
  unsigned count;
  int error = 0;  // errno of what has failed
};

// Runs in the new process, on a stack that no sanitizer knows.
#if defined(__clang__)
__attribute__((no_sanitize("address", "undefined", "thread")))
#else
__attribute__((no_sanitize_address, no_sanitize_undefined, no_sanitize_thread))
#endif
void Become(void* argument) {
  auto& program = *static_cast<Program*>(argument);
  // crispd ignores SIGPIPE, has handlers and blocks signals; the program must inherit none of that.
  // Not sigaction(3): it refuses the two signals that glibc uses itself, which whoever started
  // crispd may have ignored. All zeros are the kernel's SIG_DFL without flags.
  static constexpr uint64_t kDefault[4] = {};
  constexpr long kSignals = 64;
  for (long number = 1; number <= kSignals; ++number)
    syscall(SYS_rt_sigaction, number, kDefault, nullptr, kSignals / 8);
  // Whatever umask crispd was started with.
  umask(0022);
  bool ok = setsid() >= 0 && chdir("/") == 0;
  // The numbers of `files` are above all target numbers, so no dup2 overwrites a later source.
  for (unsigned i = 0; i < program.count && ok; ++i)
    ok = dup2(program.files[i].get(), static_cast<int>(i)) >= 0;
  ok = ok && close_range(program.count, ~0u, 0) == 0;
  sigset_t none;
  sigemptyset(&none);
  ok = ok && sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
  if (ok) execve(program.path, program.argv, program.envp);
  program.error = errno;
  _exit(127);
}

class Stack {
 public:
  Stack() : memory_(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, kFlags, -1, 0)) {}
  ~Stack() {
    if (valid()) munmap(memory_, kSize);
  }
  Stack(const Stack&) = delete;
  bool valid() const { return memory_ != MAP_FAILED; }
  uint64_t address() const { return reinterpret_cast<uint64_t>(memory_); }

  static constexpr size_t kSize = 64 << 10;

 private:
  static constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK;
  void* memory_;
};

// Duplicates with numbers that no dup2 of Become() overwrites.
absl::StatusOr<std::vector<base::UniqueFd>> Donate(const Command& command,
                                                   const std::vector<int>& fds) {
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return base::Errno("open", "/dev/null");
  std::vector<base::UniqueFd> donated(fds.size());
  for (size_t i = 0; i < fds.size(); ++i) {
    donated[i].reset(
        fcntl(fds[i] < 0 ? null.get() : fds[i], F_DUPFD_CLOEXEC, static_cast<int>(fds.size())));
    if (!donated[i].valid()) return base::Errno("spawn: duplicate descriptor for", command.path);
  }
  return donated;
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
  CRISP_ASSIGN_OR_RETURN(const std::vector<base::UniqueFd> donated, Donate(command, fds));
  const Stack stack;
  if (!stack.valid()) return base::Errno("spawn: stack for", command.path);
  std::vector<char*> argv = Pointers(command.args);
  std::vector<char*> envp = Pointers(command.env);
  Program program = {.path = command.path.c_str(),
                     .argv = argv.data(),
                     .envp = envp.data(),
                     .files = donated.data(),
                     .count = static_cast<unsigned>(donated.size())};
  int pidfd = -1;
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.stack = stack.address();
  args.stack_size = Stack::kSize;
  if (command.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(command.cgroup);
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const long pid = CloneVm(args, Become, &program);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return base::Errno("spawn", command.path, static_cast<int>(-pid));
  Child child = {.pid = static_cast<pid_t>(pid), .pidfd = base::UniqueFd(pidfd)};
  if (program.error == 0) return child;
  while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return base::Errno("spawn", command.path, program.error);
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
  base::Failpoint("program: started");

  const absl::Status ended = Supervise(child.pidfd.get(), limits.deadline, out, err);
  // The group's number cannot be reused before the program is reaped.
  kill(-child.pid, SIGKILL);
  const std::optional<siginfo_t> end =
      Reap(child.pid, child.pidfd.get(), base::Deadline::In(kEndTime));
  if (!ended.ok()) return base::Prefix(ended, command.path);
  if (!end.has_value() || end->si_pid == 0)
    return absl::InternalError(absl::StrCat(command.path, ": how it ended is not known"));
  RunResult result;
  (end->si_code == CLD_EXITED ? result.exit_code : result.signal) = end->si_status;
  result.out = std::move(out.data);
  result.err = std::move(err.data);
  return result;
}

}  // namespace crisp::linux
