// A hostile process in a container, for visible_test.cc and the hostile suite: looks at every
// process that appears in its PID namespace while that is still the runtime's own code, and says
// what it has that it should not.
//
//   spy look [NAME...]    prints a line for each finding
//   spy write             overwrites the memory that the process shares with others
//   spy once              does nothing: a process to look at
//
// The runtime's own code has one of the names (comm of proc(5)), by default crisp-shim.
//
// On SIGTERM prints how many processes it has caught in time, and ends. Static, and only libc.
#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

volatile sig_atomic_t ended = 0;
uint64_t own_capabilities = 0;
int own_seccomp = 0;
unsigned caught = 0;
const char* const default_names[] = {"crisp-shim", nullptr};
const char* const* names = default_names;

void Report(pid_t pid, const char* what, const char* detail) {
  dprintf(1, "found: process %d %s %s\n", pid, what, detail);
}

bool ReadAt(int directory, const char* name, char* text, size_t size) {
  const int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  text[n > 0 ? n : 0] = '\0';
  return n > 0;
}

bool ReadStatus(int directory, uint64_t& capabilities, int& seccomp) {
  char text[4096];
  if (!ReadAt(directory, "status", text, sizeof(text))) return false;
  const char* permitted = strstr(text, "CapPrm:");
  const char* mode = strstr(text, "Seccomp:");
  if (permitted == nullptr || mode == nullptr) return false;
  capabilities = strtoull(permitted + 7, nullptr, 16);
  seccomp = atoi(mode + 8);
  return true;
}

// Until execve the process has the name of the shim.
bool IsShim(int directory) {
  char name[32];
  if (!ReadAt(directory, "comm", name, sizeof(name))) return false;
  name[strcspn(name, "\n")] = '\0';
  for (const char* const* known = names; *known != nullptr; ++known) {
    if (strcmp(name, *known) == 0) return true;
  }
  return false;
}

void CheckRights(pid_t pid, int directory, const char* when) {
  uint64_t capabilities = 0;
  int seccomp = 0;
  if (!ReadStatus(directory, capabilities, seccomp) || !IsShim(directory)) return;
  char detail[64];
  snprintf(detail, sizeof(detail), "%#lx", static_cast<unsigned long>(capabilities));
  if ((capabilities & ~own_capabilities) != 0) Report(pid, when, detail);
  if (seccomp != own_seccomp) Report(pid, when, "another seccomp mode");
}

void CheckDescriptors(pid_t pid, int directory) {
  const int fds = openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = fds < 0 ? nullptr : fdopendir(fds);
  if (list == nullptr) return;
  while (const dirent* entry = readdir(list)) {
    char target[512];
    if (entry->d_name[0] == '.' || atoi(entry->d_name) < 3) continue;
    const ssize_t n = readlinkat(fds, entry->d_name, target, sizeof(target) - 1);
    if (n <= 0 || !IsShim(directory)) continue;
    target[n] = '\0';
    Report(pid, "has a descriptor of", target);
  }
  closedir(list);
}

void Overwrite(pid_t pid, int directory) {
  static char text[65536];
  static char ones[4096];
  memset(ones, 0xff, sizeof(ones));
  const int maps = openat(directory, "maps", O_RDONLY | O_CLOEXEC);
  size_t used = 0;
  for (ssize_t n; (n = read(maps, text + used, sizeof(text) - 1 - used)) > 0;)
    used += static_cast<size_t>(n);
  text[used] = '\0';
  if (maps >= 0) close(maps);
  for (char* line = strtok(text, "\n"); line != nullptr; line = strtok(nullptr, "\n")) {
    unsigned long begin = 0, end = 0;
    char flags[8] = {};
    if (sscanf(line, "%lx-%lx %7s", &begin, &end, flags) != 3 || strcmp(flags, "rw-s") != 0)
      continue;
    const iovec from = {.iov_base = ones, .iov_len = sizeof(ones)};
    const iovec to = {.iov_base = reinterpret_cast<void*>(begin), .iov_len = sizeof(ones)};
    if (process_vm_writev(pid, &from, 1, &to, 1, 0) > 0) ++caught;
  }
}

// Stops the process, so that there is time, and calls `act`.
template <typename Act>
void Attach(pid_t pid, Act act) {
  if (ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0) return;
  int status = 0;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return;
  act();
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  kill(pid, SIGCONT);  // what it stopped for may have been its execve, before the stop signal
}

void Look(pid_t pid, int directory, bool write) {
  if (!IsShim(directory)) return;
  if (write) return Attach(pid, [&] { Overwrite(pid, directory); });
  ++caught;
  // In turn: one look is often all there is time for.
  if (caught % 3 == 0) {
    Attach(pid, [&] {
      CheckRights(pid, directory, "attached to, has the capabilities");
      CheckDescriptors(pid, directory);
    });
  }
  if (caught % 3 == 1) CheckRights(pid, directory, "has the capabilities");
  CheckDescriptors(pid, directory);
}

// The last one that the PID namespace gave out: the last number of loadavg, see proc(5).
pid_t LastPid() {
  char text[128];
  if (!ReadAt(AT_FDCWD, "/proc/loadavg", text, sizeof(text))) return 0;
  const char* last = strrchr(text, ' ');
  return last == nullptr ? 0 : atoi(last);
}

}  // namespace

int main(int argc, char** argv) {
  const bool write = argc == 2 && strcmp(argv[1], "write") == 0;
  if (argc == 2 && strcmp(argv[1], "once") == 0) return 0;
  if (argc > 2) names = argv + 2;
  signal(SIGTERM, [](int) { ended = 1; });
  const int self = open("/proc/self", O_RDONLY | O_DIRECTORY);
  if (self < 0 || !ReadStatus(self, own_capabilities, own_seccomp)) return 1;
  dprintf(1, "ready\n");
  // Pids of the namespace are given out in order: it waits for the next few. While it did not run,
  // as on a busy machine, more than those may have come and gone.
  pid_t next = getpid() + 1;
  for (unsigned round = 1; ended == 0; ++round) {
    if (round % 64 == 0) next = std::max(next, LastPid());
    for (pid_t pid = next; pid < next + 4; ++pid) {
      char path[32];
      snprintf(path, sizeof(path), "/proc/%d", pid);
      const int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (directory < 0) continue;
      Look(pid, directory, write);
      close(directory);
      next = pid + 1;
      break;
    }
  }
  dprintf(1, "caught %u\n", caught);
  return 0;
}
