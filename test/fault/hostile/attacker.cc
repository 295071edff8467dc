// A program of a hostile container: what it does is in the table at the end. Static, and only libc,
// so that it runs in any image. It prints "ready" when it has begun, and lines that begin with
// "found:" for what a container must not be able to do.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

volatile sig_atomic_t ended = 0;

void Ready() { dprintf(1, "ready\n"); }

// swap A B: exchanges the two names until SIGTERM, and says how often.
int Swap(char** argv) {
  unsigned long swaps = 0;
  while (ended == 0) {
    if (renameat2(AT_FDCWD, argv[0], AT_FDCWD, argv[1], RENAME_EXCHANGE) != 0) {
      dprintf(1, "swap: %s\n", strerror(errno));
      return 1;
    }
    if (++swaps == 1) Ready();
  }
  dprintf(1, "swapped %lu\n", swaps);
  return 0;
}

// write-exe: opens the program of every process for writing until SIGTERM.
int WriteExe(char**) {
  struct stat own = {};
  stat("/proc/self/exe", &own);
  Ready();
  while (ended == 0) {
    DIR* list = opendir("/proc");
    while (const dirent* entry = list == nullptr ? nullptr : readdir(list)) {
      const int pid = atoi(entry->d_name);
      if (pid == 0) continue;
      char path[64];
      snprintf(path, sizeof(path), "/proc/%d/exe", pid);
      const int fd = open(path, O_WRONLY | O_CLOEXEC);
      if (fd < 0) continue;
      struct stat other = {};
      fstat(fd, &other);
      close(fd);
      // The container's own files are its to write; this program runs, so it cannot be among them.
      dprintf(1, "found: %s is open for writing, file %u:%u %lu\n", path, major(other.st_dev),
              minor(other.st_dev), static_cast<unsigned long>(other.st_ino));
    }
    if (list != nullptr) closedir(list);
  }
  return 0;
}

void PrintLines(const char* path, const char* const* names, size_t count) {
  FILE* file = fopen(path, "re");
  char line[8192];
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) {
    for (size_t i = 0; i < count; ++i) {
      if (strncmp(line, names[i], strlen(names[i])) == 0) dprintf(1, "%s", line);
    }
  }
  if (file != nullptr) fclose(file);
}

// id: who and where this process is, a fact a line: the lines of /proc/self/status that concern
// rights, the working directory as the kernel has it, the descriptors beyond 0 to 2.
int Id(char**) {
  constexpr const char* kNames[] = {"Uid:",    "Gid:",    "Groups:", "CapInh:",     "CapPrm:",
                                    "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
  PrintLines("/proc/self/status", kNames, sizeof(kNames) / sizeof(kNames[0]));
  char directory[4096] = "";
  // The C library would hide the kernel's "(unreachable)".
  syscall(SYS_getcwd, directory, sizeof(directory));
  dprintf(1, "cwd: %s\n", directory);
  for (int fd = 3; fd < 1024; ++fd) {
    char name[32], target[512];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(name, target, sizeof(target) - 1);
    if (size < 0) continue;
    target[size] = '\0';
    dprintf(1, "fd: %d %s\n", fd, target);
  }
  return 0;
}

// nodes PATH...: the type of each, with links not followed, and its device numbers.
int Nodes(char** argv) {
  for (; *argv != nullptr; ++argv) {
    struct stat info = {};
    if (lstat(*argv, &info) != 0) {
      dprintf(1, "%s missing\n", *argv);
    } else {
      const mode_t type = info.st_mode & S_IFMT;
      const char* word = type == S_IFCHR   ? "char"
                         : type == S_IFBLK ? "block"
                         : type == S_IFDIR ? "directory"
                         : type == S_IFLNK ? "link"
                         : type == S_IFREG ? "file"
                                           : "other";
      dprintf(1, "%s %s %u:%u\n", *argv, word, major(info.st_rdev), minor(info.st_rdev));
    }
  }
  return 0;
}

// abstract: connects to every abstract socket that the network namespace has.
int Abstract(char**) {
  FILE* file = fopen("/proc/net/unix", "re");
  char line[512];
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) {
    const char* at = strrchr(line, ' ');
    if (at == nullptr || at[1] != '@') continue;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const size_t size = strcspn(at + 2, "\n");
    memcpy(address.sun_path + 1, at + 2, size < 107 ? size : 107);
    const auto length = static_cast<socklen_t>(sizeof(sa_family_t) + 1 + (size < 107 ? size : 107));
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
      const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ucred peer = {};
      socklen_t peer_size = sizeof(peer);
      const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), length) == 0;
      if (connected) getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size);
      close(fd);
      if (connected) dprintf(1, "connected: @%s", at + 2);
    }
  }
  if (file != nullptr) fclose(file);
  return 0;
}

// list DIRECTORY: its names.
int List(char** argv) {
  DIR* list = opendir(argv[0]);
  while (const dirent* entry = list == nullptr ? nullptr : readdir(list)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      dprintf(1, "%s\n", entry->d_name);
    }
  }
  if (list != nullptr) closedir(list);
  return 0;
}

// make-nodes: makes nodes of devices that no container has. The device rules must refuse to open
// them before the kernel looks whether there is such a device.
int MakeNodes(char**) {
  struct Node {
    const char* path;
    mode_t type;
    unsigned major, minor;
  };
  constexpr Node kNodes[] = {{"/node-ram", S_IFBLK, 1, 0},     {"/node-sda", S_IFBLK, 8, 0},
                             {"/node-loop", S_IFBLK, 7, 0},    {"/node-vda", S_IFBLK, 254, 0},
                             {"/node-fuse", S_IFCHR, 10, 229}, {"/node-mem", S_IFCHR, 1, 1},
                             {"/node-kmsg", S_IFCHR, 1, 11}};
  for (const Node& node : kNodes) {
    if (mknod(node.path, node.type | 0666, makedev(node.major, node.minor)) != 0) continue;
    dprintf(1, "made %s\n", node.path);
    const int fd = open(node.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 || errno != EPERM) {
      dprintf(1, "found: %s: %s\n", node.path, fd >= 0 ? "open" : strerror(errno));
    }
    if (fd >= 0) close(fd);
  }
  return 0;
}

// deep DIRECTORY LEVELS: directories below each other, deeper than any path can name.
int Deep(char** argv) {
  if (chdir(argv[0]) != 0) return 1;
  for (int left = atoi(argv[1]); left > 0; --left) {
    if (mkdir("d", 0755) != 0 || chdir("d") != 0) {
      printf("%d left: %s\n", left, strerror(errno));
      return 1;
    }
  }
  Ready();
  return 0;
}

// many DIRECTORY FILES: so many empty files.
int Many(char** argv) {
  for (int left = atoi(argv[1]); left > 0; --left) {
    char path[4200];
    snprintf(path, sizeof(path), "%s/%d", argv[0], left);
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return 1;
    close(fd);
  }
  Ready();
  return 0;
}

// leave COUNT: so many processes in sessions of their own that ignore signals; goes on as long as
// they do.
int Leave(char** argv) {
  for (int left = atoi(argv[0]); left > 0; --left) {
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child > 0) continue;
    setsid();
    for (int number = 1; number < 32; ++number) signal(number, SIG_IGN);
    if (fork() > 0) _exit(0);  // its child has lost its parent
    while (true) pause();
  }
  Ready();
  while (ended == 0) pause();
  return 0;
}

// grow: takes memory until the kernel ends it.
int Grow(char**) {
  constexpr size_t kPiece = 1 << 20;
  while (true) {
    void* piece = mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) return 1;
    memset(piece, 1, kPiece);
  }
}

// fill PATH MIB: appends that much and says how much it could, in MiB, and why no more.
int Fill(char** argv) {
  static char piece[1 << 20];
  memset(piece, 'x', sizeof(piece));
  const int fd = open(argv[0], O_WRONLY | O_APPEND | O_CLOEXEC);
  int done = 0;
  errno = 0;
  while (fd >= 0 && done < atoi(argv[1]) &&
         write(fd, piece, sizeof(piece)) == static_cast<ssize_t>(sizeof(piece))) {
    ++done;
  }
  dprintf(1, "filled %d %s\n", done, strerror(errno));
  return 0;
}

// stop-others: stops every process it can see, again and again, until SIGTERM.
int StopOthers(char**) {
  Ready();
  while (ended == 0) kill(-1, SIGSTOP);
  kill(-1, SIGCONT);
  return 0;
}

// open PATH...: opens each, reading and writing, and says what it got.
int Open(char** argv) {
  for (; *argv != nullptr; ++argv) {
    for (const int how : {O_RDONLY, O_WRONLY}) {
      const int fd = open(*argv, how | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
      dprintf(1, "%s %s %s\n", *argv, how == O_RDONLY ? "read" : "write",
              fd >= 0 ? "open" : strerror(errno));
      if (fd >= 0) close(fd);
    }
  }
  return 0;
}

// out BYTES: so many bytes on stdout, or for 0 without end.
int Out(char** argv) {
  static char piece[64 << 10];
  memset(piece, 'x', sizeof(piece));
  long long left = atoll(argv[0]);
  const bool endless = left == 0;
  while (endless || left > 0) {
    const size_t size = !endless && left < static_cast<long long>(sizeof(piece))
                            ? static_cast<size_t>(left)
                            : sizeof(piece);
    const ssize_t n = write(1, piece, size);
    if (n <= 0) return 1;
    left -= n;
  }
  return 0;
}

// wait: until SIGTERM.
int Wait(char**) {
  Ready();
  while (ended == 0) pause();
  return 0;
}

// chat: short lines until SIGTERM.
int Chat(char**) {
  Ready();
  while (ended == 0) {
    dprintf(1, "a line\n");
    usleep(200);  // the pace of a container that logs much, not a wait
  }
  return 0;
}

// echo TEXT...: one line each.
int Echo(char** argv) {
  for (; *argv != nullptr; ++argv) dprintf(1, "%s\n", *argv);
  return 0;
}

// cat [PATH...]: stdin, or the files.
int Cat(char** argv) {
  const bool files = *argv != nullptr;
  do {
    const int fd = files ? open(*argv++, O_RDONLY | O_CLOEXEC) : 0;
    if (fd < 0) return 1;
    char buffer[64 << 10];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
      if (write(1, buffer, static_cast<size_t>(n)) != n) return 1;
    }
    if (files) close(fd);
  } while (*argv != nullptr);
  return 0;
}

// try-cat PATH...: those of the files that can be read.
int TryCat(char** argv) {
  for (; *argv != nullptr; ++argv) {
    char* one[] = {*argv, nullptr};
    Cat(one);
  }
  return 0;
}

int Environment(char**) {
  for (char** entry = environ; *entry != nullptr; ++entry) dprintf(1, "env: %s\n", *entry);
  return 0;
}

struct Command {
  const char* name;
  int arguments;  // at least
  int (*run)(char** argv);
};

constexpr Command kCommands[] = {{"swap", 2, Swap},
                                 {"write-exe", 0, WriteExe},
                                 {"id", 0, Id},
                                 {"nodes", 1, Nodes},
                                 {"abstract", 0, Abstract},
                                 {"deep", 2, Deep},
                                 {"many", 2, Many},
                                 {"grow", 0, Grow},
                                 {"fill", 2, Fill},
                                 {"open", 1, Open},
                                 {"out", 1, Out},
                                 {"stop-others", 0, StopOthers},
                                 {"wait", 0, Wait},
                                 {"echo", 0, Echo},
                                 {"cat", 0, Cat},
                                 {"env", 0, Environment},
                                 {"list", 1, List},
                                 {"make-nodes", 0, MakeNodes},
                                 {"try-cat", 1, TryCat},
                                 {"leave", 1, Leave},
                                 {"chat", 0, Chat}};

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action = {};
  action.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &action, nullptr);
  for (const Command& command : kCommands) {
    if (argc >= 2 + command.arguments && strcmp(argv[1], command.name) == 0) {
      return command.run(argv + 2);
    }
  }
  dprintf(2, "attacker: unknown command\n");
  return 2;
}
