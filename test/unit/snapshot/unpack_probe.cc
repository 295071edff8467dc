// Isolates itself as a decoder or an untarrer, and then does what neither may do, or what both must
// be able to do. Exit code 0: it was let; 1: it got an error; 10: the isolation failed.
// unpack_probe decode|untar ACTION
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "linux/empty_namespace.h"
#include "snapshot/unpack_isolation.h"

namespace {

// `parent` was asked for before, as that is not allowed either.
long Do(const std::string& action, pid_t parent) {
  char* const none[] = {nullptr};
  if (action == "nothing") return 0;
  // Not clock_gettime(3), which needs no system call where the processor's counter is trusted.
  timespec now;
  if (action == "clock") return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  if (action == "open") return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
  if (action == "open above") return syscall(SYS_openat, AT_FDCWD, "../etc/passwd", O_RDONLY, 0);
  if (action == "write") return syscall(SYS_openat, AT_FDCWD, "/file", O_WRONLY | O_CREAT, 0600);
  if (action == "socket") return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
  if (action == "execute") return syscall(SYS_execve, "/bin/true", none, none);
  if (action == "fork") return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (action == "kill") return syscall(SYS_kill, parent, 0);
  if (action == "ptrace") return syscall(SYS_ptrace, PTRACE_SEIZE, parent, 0, 0);
  if (action == "mount") return syscall(SYS_mount, "x", "/", "tmpfs", 0, nullptr);
  if (action == "unshare") return syscall(SYS_unshare, CLONE_NEWUSER);
  if (action == "executable memory") {
    return syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0);
  }
  if (action == "open by handle") return syscall(SYS_open_by_handle_at, AT_FDCWD, nullptr, 0);
  if (action == "own signals") return syscall(SYS_fcntl, 0, F_SETOWN, parent);
  if (action == "splice") return syscall(SYS_vmsplice, 1, nullptr, 0, 0);
  return syscall(-1);
}

}  // namespace

int main(int argc, char** argv) {
  using crisp::snapshot::UnpackRole;
  if (argc != 3) return 11;
  const bool decode = std::string(argv[1]) == "decode";
  const std::string action = argv[2];
  const pid_t parent = getppid();
  auto mounts = crisp::linux::MakeEmptyMountNamespace();
  const UnpackRole role = decode ? UnpackRole::kDecode : UnpackRole::kUntar;
  const absl::Status isolated =
      mounts.ok() ? crisp::snapshot::Isolate(role, *std::move(mounts)) : mounts.status();
  if (!isolated.ok()) {
    fprintf(stderr, "%s\n", isolated.ToString().c_str());
    _exit(10);
  }
  _exit(Do(action, parent) < 0 ? 1 : 0);
}
