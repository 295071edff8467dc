#include "shim_client/launcher.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "linux/open_files.h"
#include "linux/reap.h"
#include "linux/syscalls.h"
#include "temp_dir.h"
#include "unit/eventually.h"

namespace crisp::shim_client {
namespace {

// The program to launch: a copy of one that every system has. A script would not do, since its
// interpreter would have to open /proc/self/fd/4.
std::string CopyOf(const TempDir& dir, const char* program) {
  const std::string path = dir.path + "/program";
  const absl::StatusOr<std::string> bytes = base::ReadFile(program, 64 << 20);
  REQUIRE(bytes.ok());
  REQUIRE(base::WriteFileAtomic(path, *bytes, 0755).ok());
  return path;
}

int ExitCode(const LaunchedShim& shim) {
  siginfo_t info = {};
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
  REQUIRE(info.si_code == CLD_EXITED);
  return info.si_status;
}

pid_t PidOf(const LaunchedShim& shim) {
  const std::string info = *base::ReadFile(absl::StrCat("/proc/self/fdinfo/", shim.pidfd.get()));
  const size_t at = info.find("Pid:");
  REQUIRE(at != std::string::npos);
  return atoi(info.c_str() + at + 4);
}

TEST_CASE("shims run the program as it was when the launcher was created") {
  const TempDir dir;
  const std::string path = CopyOf(dir, "/bin/false");
  const absl::StatusOr<Launcher> launcher = Launcher::Create(path);
  REQUIRE(launcher.ok());
  REQUIRE(CopyOf(dir, "/bin/true") == path);  // an upgrade
  const absl::StatusOr<LaunchedShim> shim = launcher->Launch(dir.path, "id");
  REQUIRE(shim.ok());
  CHECK(ExitCode(*shim) == 1);
  // It never took its sockets: both connections end when it ends.
  CHECK(absl::IsUnavailable(shim->tether.Receive().status()));
  CHECK(absl::IsUnavailable(shim->operation.Receive().status()));
}

TEST_CASE("the program that shims run cannot be written") {
  const TempDir dir;
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, "/bin/true"));
  REQUIRE(launcher.ok());
  int sealed = 0;
  const std::vector<std::string> fds = *base::ListDir("/proc/self/fd");
  for (const std::string& name : fds) {
    const std::string path = "/proc/self/fd/" + name;
    char target[256] = {};
    if (readlink(path.c_str(), target, sizeof(target) - 1) < 0) continue;
    if (!absl::StrContains(target, "memfd:crisp-shim")) continue;
    ++sealed;
    const int fd = std::stoi(name);
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
    CHECK(fcntl(fd, F_GET_SEALS) == kSeals);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    // Through /proc, as a container would: it can be opened but not written.
    REQUIRE(fchmod(fd, 0755) == 0);  // so that the test can open it without being root
    const base::UniqueFd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(again.valid());
    CHECK(write(again.get(), "x", 1) < 0);
    CHECK(errno == EPERM);
    CHECK(ftruncate(again.get(), 0) < 0);
    CHECK(fallocate(again.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
    CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again.get(), 0) == MAP_FAILED);
    void* const shared = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, again.get(), 0);
    REQUIRE(shared != MAP_FAILED);
    CHECK(mprotect(shared, 4096, PROT_READ | PROT_WRITE) < 0);
    munmap(shared, 4096);
  }
  CHECK(sealed == 1);
}

TEST_CASE("shims get the limit of open files that crispd had, not the one it gave itself") {
  const TempDir dir;
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit low = {before.rlim_max / 2, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, "/bin/true"));
  linux::RaiseMaxOpenFiles();
  CHECK(linux::MaxOpenFiles(getpid()) == before.rlim_max);
  REQUIRE(launcher.ok());
  const absl::StatusOr<LaunchedShim> shim = launcher->Launch(dir.path, "id");
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(shim.ok());
  // It has ended, or will, but is not reaped and so has its limits still.
  CHECK(linux::MaxOpenFiles(PidOf(*shim)) == low.rlim_cur);
  (void)ExitCode(*shim);
}

TEST_CASE("shims get nothing of crispd's environment but where a sanitizer's reports go") {
  const TempDir dir;
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, CRISP_ADOPTED));
  REQUIRE(launcher.ok());
  REQUIRE(setenv("CRISPD_OWN", "1", 1) == 0);
  REQUIRE(setenv("TSAN_OPTIONS", "log_path=/reports", 1) == 0);
  absl::StatusOr<LaunchedShim> shim = launcher->Launch(dir.path, "id");
  REQUIRE(shim.ok());
  // For a moment after its start a program does not show it yet.
  std::string environment;
  const std::string file = absl::StrCat("/proc/", PidOf(*shim), "/environ");
  REQUIRE(test::Eventually([&] { return !(environment = *base::ReadFile(file)).empty(); }));
  CHECK(absl::StrContains(environment, "GLIBC_TUNABLES="));
  CHECK_FALSE(absl::StrContains(environment, "CRISPD_OWN"));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr bool kSanitized = true;
#else
  constexpr bool kSanitized = false;
#endif
  CHECK(absl::StrContains(environment, "TSAN_OPTIONS=log_path=/reports") == kSanitized);
  shim->tether.Close();
  CHECK(ExitCode(*shim) == 1);
  unsetenv("TSAN_OPTIONS");
  unsetenv("CRISPD_OWN");
}

// A shim that no launch has taken: a child with dashes for arguments. 0: there is none.
pid_t ReadyShim() {
  const std::vector<std::string> threads = *base::ListDir("/proc/self/task");
  for (const std::string& thread : threads) {
    const auto children = base::ReadFile(absl::StrCat("/proc/self/task/", thread, "/children"));
    for (const std::string& pid :
         std::vector<std::string>(absl::StrSplit(children.value_or(""), ' ', absl::SkipEmpty()))) {
      const auto line = base::ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
      if (line.ok() && absl::StrContains(*line, "crisp-shim") && absl::StrContains(*line, "--"))
        return atoi(pid.c_str());
    }
  }
  return 0;
}

void End(LaunchedShim& shim) {
  shim.tether.Close();
  CHECK(ExitCode(shim) == 1);
}

TEST_CASE("a launch takes the shim that is ready") {
  const TempDir dir;
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, CRISP_ADOPTED));
  REQUIRE(launcher.ok());
  REQUIRE(launcher->Start().ok());
  // It is a child for a moment before it can be taken.
  CHECK(test::Eventually([&] {
    const pid_t ready = ReadyShim();
    absl::StatusOr<LaunchedShim> shim = launcher->Launch(dir.path, "id");
    REQUIRE(shim.ok());
    const bool taken = PidOf(*shim) == ready;
    End(*shim);
    launcher->PrepareNext();
    return taken;
  }));
}

TEST_CASE("a launch does without the shim that was ready and is dead") {
  const TempDir dir;
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, CRISP_ADOPTED));
  REQUIRE(launcher.ok());
  REQUIRE(launcher->Start().ok());
  absl::StatusOr<LaunchedShim> first = launcher->Launch(dir.path, "id");
  REQUIRE(first.ok());
  End(*first);
  launcher->PrepareNext();
  pid_t ready = 0;
  REQUIRE(test::Eventually([&] { return (ready = ReadyShim()) != 0; }));
  const base::UniqueFd pidfd(linux::PidfdOpen(ready));
  REQUIRE(kill(ready, SIGKILL) == 0);
  REQUIRE(linux::AwaitEnd(pidfd.get(), base::Deadline::In(absl::Seconds(30))));
  absl::StatusOr<LaunchedShim> second = launcher->Launch(dir.path, "id");
  REQUIRE(second.ok());
  CHECK(PidOf(*second) != ready);
  End(*second);
}

TEST_CASE("a missing program or bundle is an error that names it") {
  const TempDir dir;
  const absl::StatusOr<Launcher> none = Launcher::Create(dir.path + "/none");
  CHECK(absl::IsNotFound(none.status()));
  CHECK_THAT(std::string(none.status().message()), Catch::Contains(dir.path + "/none"));
  const absl::StatusOr<Launcher> launcher = Launcher::Create(CopyOf(dir, "/bin/true"));
  REQUIRE(launcher.ok());
  const absl::StatusOr<LaunchedShim> shim = launcher->Launch(dir.path + "/gone", "id");
  CHECK(absl::IsNotFound(shim.status()));
  CHECK_THAT(std::string(shim.status().message()), Catch::Contains(dir.path + "/gone"));
}

}  // namespace
}  // namespace crisp::shim_client
