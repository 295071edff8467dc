#include "linux/spawn.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cni_fixture.h"

using namespace crisp;
using cni::Contains;
using cni::GroupIsGone;
using cni::In;
using cni::Text;

namespace {

linux::Command Shell(const std::string& script) {
  return {"/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin"}};
}

absl::StatusOr<linux::RunResult> RunShell(const std::string& script, absl::string_view input = "",
                                          absl::Duration time = absl::Seconds(5)) {
  linux::RunLimits limits;
  limits.deadline = base::Deadline::In(time);
  return linux::Run(Shell(script), input, limits);
}

}  // namespace

TEST_CASE("Run hands over input, arguments and environment, and returns both streams") {
  const std::string input(3 << 20, 'i');  // more than a pipe holds
  const auto result = RunShell("echo out; echo err >&2; wc -c; env; exit 3", input);
  REQUIRE(result.ok());
  CHECK(result->exit_code == 3);
  CHECK(result->signal == 0);
  CHECK(result->err == "err\n");
  CHECK(Contains(result->out, "out\n3145728\n"));
  CHECK(Contains(result->out, "PATH=/usr/bin:/bin\n"));
  CHECK_FALSE(Contains(result->out, "HOME="));
  CHECK(Contains(result->out, "PWD=/\n"));
}

TEST_CASE("Run names the program that cannot be started") {
  const auto result = linux::Run({"/nonexistent/plugin", {"plugin"}, {}}, "", {});
  CHECK(result.status().code() == absl::StatusCode::kNotFound);
  CHECK(Text(result.status()) == "spawn /nonexistent/plugin: no such file or directory (ENOENT)");
}

TEST_CASE("Run kills the whole group at the deadline") {
  cni::TempDir dir;
  const std::string file = absl::StrCat(dir.path, "/group");
  const absl::Time start = absl::Now();
  const auto result = RunShell(
      absl::StrCat("trap '' TERM; echo $$ > ", file, "; (trap '' TERM; sleep 1000) & sleep 1000"),
      "", absl::Milliseconds(300));
  CHECK(result.status().code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(Text(result.status()) == "/bin/sh: killed at the deadline");
  CHECK(absl::Now() - start < absl::Seconds(2));
  const auto group = RunShell(absl::StrCat("cat ", file));
  CHECK(GroupIsGone(std::stoi(group->out)));
}

TEST_CASE("Run does not wait for a background child that holds standard output, and kills it") {
  const absl::Time start = absl::Now();
  const auto result = RunShell("sleep 1000 & echo $$");
  REQUIRE(result.ok());
  CHECK(absl::Now() - start < absl::Seconds(2));
  CHECK(GroupIsGone(std::stoi(result->out)));
}

TEST_CASE("Run bounds standard output by killing, standard error by dropping") {
  linux::RunLimits limits;
  limits.max_stdout = 100'000;
  limits.max_stderr = 1000;
  const auto flood = linux::Run(Shell("exec yes"), "", limits);
  CHECK(flood.status().code() == absl::StatusCode::kResourceExhausted);
  const auto noisy = linux::Run(Shell("head -c 1000000 /dev/zero >&2; echo done"), "", limits);
  REQUIRE(noisy.ok());
  CHECK(noisy->out == "done\n");
  CHECK(noisy->err.size() == 1000);
  const auto exact = linux::Run(Shell("head -c 100000 /dev/zero"), "", limits);
  REQUIRE(exact.ok());
  CHECK(exact->out.size() == 100'000);
}

TEST_CASE("Run reports the signal that ended the program") {
  const auto result = RunShell("kill -SEGV $$");
  REQUIRE(result.ok());
  CHECK(result->signal == SIGSEGV);
}

TEST_CASE("A child has default signals, no blocked ones, and only the descriptors given") {
  const int leaked = open("/dev/null", O_RDONLY);  // without O_CLOEXEC, on purpose
  signal(SIGPIPE, SIG_IGN);
  // glibc keeps 32 and 33 to itself and lets nobody change them; whoever starts crispd may have.
  const uint64_t ignore[4] = {1, 0, 0, 0};  // the kernel's struct sigaction, SIG_IGN
  uint64_t before[2][4];
  for (const long number : {32, 33})
    REQUIRE(syscall(SYS_rt_sigaction, number, ignore, before[number - 32], 8) == 0);
  const auto files = RunShell("ls /proc/$$/fd");
  // Not by the shell, which blocks signals itself while it starts a program.
  const auto status = linux::Run({"/bin/cat", {"cat", "/proc/self/status"}, {}}, "", {});
  signal(SIGPIPE, SIG_DFL);
  for (const long number : {32, 33})
    REQUIRE(syscall(SYS_rt_sigaction, number, before[number - 32], nullptr, 8) == 0);
  close(leaked);
  REQUIRE((files.ok() && status.ok()));
  CHECK(Contains(files->out, "0\n1\n2\n"));
  CHECK_FALSE(Contains(files->out, absl::StrCat("\n", leaked, "\n")));
  CHECK(Contains(status->out, "SigBlk:\t0000000000000000\n"));
  CHECK(Contains(status->out, "SigIgn:\t0000000000000000\n"));
}

TEST_CASE("Run from many threads leaks neither descriptors nor zombies") {
  const size_t before = cni::OpenDescriptors();
  std::vector<std::thread> threads;
  std::vector<int> wrong(8);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&wrong, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string token = absl::StrCat("token-", t, "-", i);
        const auto result = RunShell("cat", token);
        if (!result.ok() || result->out != token) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(8));
  CHECK(cni::OpenDescriptors() == before);
  siginfo_t info;
  CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == -1);  // ECHILD: no child is left
}
