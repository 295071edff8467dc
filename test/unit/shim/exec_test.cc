// Execs: results, failures, terminals, killing whole process trees, and no leaks.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "bundle.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

std::vector<std::string> Names(const std::string& directory) {
  return base::ListDir(directory).value_or(std::vector<std::string>());
}

size_t CountFds(pid_t pid) { return Names(absl::StrCat("/proc/", pid, "/fd")).size(); }

// Whether the shim gets down to so many descriptors; the last session may still be ending.
bool HasAtMostFds(pid_t pid, size_t limit) {
  for (int i = 0; i < 2000 && CountFds(pid) > limit; ++i) poll(nullptr, 0, 2);
  return CountFds(pid) <= limit;
}

size_t ExecGroups(const Bundle& bundle) {
  size_t count = 0;
  for (const std::string& name : Names(bundle.group()))
    count += absl::StartsWith(name, "exec") ? 1 : 0;
  return count;
}

// The processes of the container, execs included, that have `word` as an argument.
std::vector<pid_t> Pids(const Bundle& bundle, const std::string& word) {
  std::vector<pid_t> found;
  std::vector<std::string> groups = {bundle.group()};
  for (const std::string& name : Names(bundle.group())) {
    if (absl::StartsWith(name, "exec")) groups.push_back(bundle.group() + "/" + name);
  }
  for (const std::string& group : groups) {
    const std::string pids = base::ReadFile(group + "/cgroup.procs").value_or("");
    for (const absl::string_view pid : absl::StrSplit(pids, '\n', absl::SkipEmpty())) {
      const std::string line = base::ReadFile(absl::StrCat("/proc/", pid, "/cmdline")).value_or("");
      const std::vector<std::string> args = absl::StrSplit(line, '\0');
      if (std::find(args.begin(), args.end(), word) == args.end()) continue;
      REQUIRE(absl::SimpleAtoi(pid, &found.emplace_back()));
    }
  }
  return found;
}

size_t Running(const Bundle& bundle, const std::string& word) { return Pids(bundle, word).size(); }

// A process that executes a program shows its new arguments only some time after its descriptors
// were closed, which is when its start is reported.
bool SoonRunning(const Bundle& bundle, const std::string& word, size_t count) {
  return Eventually([&] { return Running(bundle, word) == count; });
}

std::string ReadPty(int fd, const std::string& until) {
  std::string text;
  char buffer[4096];
  pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
  while (text.find(until) == std::string::npos && poll(&entry, 1, 10'000) == 1) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace

TEST_CASE("an exec runs in the container and gives its exit code and output", "[shim][exec]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"sleep", "1000"});
  spec.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {5, 1000}};
  spec.process.env.push_back("GREETING=hello world");
  spec.process.cwd = "/home/user";
  REQUIRE(bundle.Start(spec).ok());
  const auto result =
      bundle.Exec({"sh", "-c", "echo $GREETING; id; pwd; umask; echo bad >&2; exit 42"});
  REQUIRE(result.ok());
  CHECK(result->exit_code == 42);
  CHECK(result->out ==
        "hello world\nuid=1000(user) gid=1000(user) groups=5(tty),1000(user)\n/home/user\n0022\n");
  CHECK(result->err == "bad\n");
  CHECK(bundle.Exec({"sh", "-c", "kill -9 $$"})->exit_code == 137);
  CHECK(bundle.RawLog().empty());
}

TEST_CASE("an exec is the same in a bundle of an older crispd, which has no exec.json",
          "[shim][exec]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"sleep", "1000"});
  spec.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {5, 1000}};
  REQUIRE(bundle.Start(spec).ok());
  const std::vector<std::string> facts = {
      "sh", "-c",
      "id; pwd; env; grep -E '^(Cap|NoNew|Seccomp)' /proc/self/status; ls -l /proc/$$/ns"};
  const auto by_part = bundle.Exec(facts);
  REQUIRE(by_part.ok());
  REQUIRE(unlink((bundle.path() + "/exec.json").c_str()) == 0);
  const auto by_whole = bundle.Exec(facts);
  REQUIRE(by_whole.ok());
  CHECK(by_part->out == by_whole->out);
}

TEST_CASE("an exec of a program that does not exist is an invalid argument", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const auto result = bundle.Exec({"nope"});
  CHECK(absl::IsInvalidArgument(result.status()));
  CHECK(result.status().message() ==
        "exec: \"nope\": executable file not found in $PATH: no such file or directory (ENOENT)");
  CHECK(absl::IsInvalidArgument(bundle.Exec({}).status()));
  CHECK(bundle.Exec({"true"})->exit_code == 0);
}

TEST_CASE("an exec has the container's namespaces, restrictions and cgroup", "[shim][exec]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"sleep", "1000"});
  spec.process.no_new_privileges = true;
  spec.process.oom_score_adj = 321;
  spec.process.rlimits = {{"RLIMIT_NOFILE", 100, 200}};
  REQUIRE(bundle.Start(spec).ok());
  const std::string facts =
      "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/$P/status; cat /proc/$P/oom_score_adj; "
      "for n in pid net ipc uts mnt cgroup; do readlink /proc/$P/ns/$n; done; grep files "
      "/proc/$P/limits; cat /proc/$P/root/etc/group";
  const auto init = bundle.Exec({"sh", "-c", "P=1; " + facts});
  const auto self = bundle.Exec({"sh", "-c", "P=self; " + facts});
  REQUIRE(init.ok());
  REQUIRE(self.ok());
  CHECK(init->err == "");
  CHECK(init->out == self->out);
  CHECK(init->out.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(init->out.find("\n321\n") != std::string::npos);
}

TEST_CASE("when an exec is reported as killed everything it forked is dead", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const auto result = bundle.Exec(
      {"sh", "-c", "sh -c 'trap \"\" TERM; setsid sleep 4321 & sleep 4321' & sleep 4321"}, 300);
  CHECK(absl::IsDeadlineExceeded(result.status()));
  CHECK(result.status().message() == "killed: 137");
  CHECK(Running(bundle, "4321") == 0);
}

TEST_CASE("an exec is killed when crispd gives it up", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  {
    auto session =
        shim_client::ExecSession::Open(bundle.path(), {"sleep", "4321"}, false,
                                       {null.get(), null.get(), null.get()}, DeadlineIn(5000));
    REQUIRE(session.ok());
    CHECK(SoonRunning(bundle, "4321", 1));
  }
  CHECK(SoonRunning(bundle, "4321", 0));
}

TEST_CASE("an exec is killed when crispd gives it up while it starts", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int i = 0; i < 40; ++i) {
    auto pending = shim_client::PendingExec::Ask(bundle.path(), {"sleep", "4321"}, false,
                                                 {null.get(), null.get(), null.get()},
                                                 DeadlineIn(60'000), /*survives=*/true);
    REQUIRE(pending.ok());
    // Half of them have an answer that is not read, half are given up before it.
    pollfd answer = {.fd = pending->fd(), .events = POLLIN, .revents = 0};
    if (i % 2 == 0) REQUIRE(poll(&answer, 1, 5000) == 1);
  }
  for (int i = 0; i < 2000 && ExecGroups(bundle) > 0; ++i) poll(nullptr, 0, 2);
  CHECK(ExecGroups(bundle) == 0);
  CHECK(Running(bundle, "4321") == 0);
}

TEST_CASE("an exec that is given up the moment it ends leaves nothing, and the shim goes on",
          "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::string script = GENERATE("exec sleep 4321", "sleep 4322 & exec sleep 4321");
  {
    auto session =
        shim_client::ExecSession::Open(bundle.path(), {"sh", "-c", script}, false,
                                       {null.get(), null.get(), null.get()}, DeadlineIn(5000));
    REQUIRE(session.ok());
    REQUIRE(SoonRunning(bundle, "4321", 1));
    const pid_t pid = Pids(bundle, "4321").at(0);
    // The shim sees the end of the process before it can read that the exec is given up.
    REQUIRE(kill(bundle.shim_pid(), SIGSTOP) == 0);
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(Eventually(
        [&] { return absl::StrContains(Slurp(absl::StrCat("/proc/", pid, "/stat")), ") Z "); }));
  }
  REQUIRE(kill(bundle.shim_pid(), SIGCONT) == 0);
  CHECK(SoonRunning(bundle, "4322", 0));
  CHECK(Eventually([&] { return ExecGroups(bundle) == 0; }));
  const auto next = bundle.Exec({"true"});
  INFO(next.status());
  REQUIRE(next.ok());
  CHECK(next->exit_code == 0);
}

TEST_CASE("an exec whose crispd has died runs on, and can write more than a pipe holds",
          "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  int in[2];
  int out[2];
  REQUIRE(pipe2(in, O_CLOEXEC) == 0);
  REQUIRE(pipe2(out, O_CLOEXEC) == 0);
  base::UniqueFd stdin_end(in[0]), go(in[1]), read_end(out[0]), write_end(out[1]);
  auto session = shim_client::ExecSession::Open(
      bundle.path(), {"sh", "-c", "read go; head -c 1048576 /dev/zero && echo >/done"}, false,
      {stdin_end.get(), write_end.get(), write_end.get()}, DeadlineIn(60'000));
  REQUIRE(session.ok());
  session->Leave();
  write_end.reset();
  read_end.reset();  // from here on only the shim keeps it from SIGPIPE
  REQUIRE(write(go.get(), "\n", 1) == 1);
  for (int i = 0; i < 5000 && access((bundle.upper() + "/done").c_str(), F_OK) != 0; ++i)
    poll(nullptr, 0, 2);
  CHECK(access((bundle.upper() + "/done").c_str(), F_OK) == 0);
  for (int i = 0; i < 2000 && ExecGroups(bundle) > 0; ++i) poll(nullptr, 0, 2);
  CHECK(ExecGroups(bundle) == 0);
}

TEST_CASE("an exec whose crispd has died ends at its deadline, also in a busy container",
          "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(ShellSpec("yes & exec sleep 1000")).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto session =
      shim_client::ExecSession::Open(bundle.path(), {"sh", "-c", "sleep 4321 & sleep 4321"}, false,
                                     {null.get(), null.get(), null.get()}, DeadlineIn(5000));
  REQUIRE(session.ok());
  CHECK(Eventually([&] { return Running(bundle, "4321") >= 2; }));
  session->Leave();
  for (int i = 0; i < 5000 && Running(bundle, "4321") > 0; ++i) poll(nullptr, 0, 2);
  CHECK(Running(bundle, "4321") == 0);
  CHECK(bundle.Exec({"true"})->exit_code == 0);
}

TEST_CASE("a process that an exec leaves running is not killed", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const auto result = bundle.Exec({"sh", "-c", "sleep 4321 >/dev/null 2>&1 & echo left"});
  REQUIRE(result.ok());
  CHECK(result->out == "left\n");
  CHECK(SoonRunning(bundle, "4321", 1));
  CHECK(ExecGroups(bundle) >= 1);
  CHECK(bundle.Exec({"sh", "-c", "kill $(pidof sleep | tr ' ' '\\n' | grep -vx 1)"})->exit_code ==
        0);
  for (int i = 0; i < 200 && ExecGroups(bundle) > 0; ++i)
    CHECK(bundle.Exec({"true"})->exit_code == 0);
  CHECK(ExecGroups(bundle) == 0);
}

TEST_CASE("an exec that reuses the pid of an earlier one reports its own end", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto open_exec = [&](const std::string& script) {
    auto session =
        shim_client::ExecSession::Open(bundle.path(), {"sh", "-c", script}, false,
                                       {null.get(), null.get(), null.get()}, DeadlineIn(5000));
    REQUIRE(session.ok());
    return *std::move(session);
  };
  // The process left running is in a session of its own (setsid): as a member of the exec's session
  // it would keep the exec's pid, which is the session's id, from being reused.
  auto first = open_exec("setsid sleep 4321 & exec sleep 4322");
  REQUIRE(SoonRunning(bundle, "4321", 1));
  REQUIRE(SoonRunning(bundle, "4322", 1));
  const pid_t pid = Pids(bundle, "4322")[0];
  REQUIRE(kill(pid, SIGKILL) == 0);
  CHECK(*first.Wait(DeadlineIn(5000)) == 137);
  // The builder gets the pid before that one, unless another process of this machine takes it.
  bool same = false;
  for (int i = 0; i < 500 && !same; ++i) {
    base::UniqueFd last(open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC));
    const std::string number = absl::StrCat(pid - 2);
    REQUIRE(write(last.get(), number.data(), number.size()) == static_cast<ssize_t>(number.size()));
    auto second = open_exec("exec sleep 4323");
    std::vector<pid_t> pids;
    for (int k = 0; k < 2000 && pids.empty(); ++k, poll(nullptr, 0, 1)) pids = Pids(bundle, "4323");
    REQUIRE(pids.size() == 1);
    same = pids[0] == pid;
    REQUIRE(kill(pids[0], SIGKILL) == 0);
    const auto code = second.Wait(DeadlineIn(5000));
    INFO(code.status());
    REQUIRE(code.ok());
    CHECK(*code == 137);
  }
  CHECK(same);
}

TEST_CASE("execs that leave a process running do not count against the limit of execs",
          "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  for (int i = 0; i < 70; ++i) {
    const auto result = bundle.Exec({"sh", "-c", "sleep 4321 >/dev/null 2>&1 &"});
    INFO(i << ": " << result.status());
    REQUIRE(result.ok());
    REQUIRE(result->exit_code == 0);
  }
  CHECK(SoonRunning(bundle, "4321", 70));
}

TEST_CASE("256 execs with pipes run at once where the limit of open files is 1,024",
          "[shim][exec]") {
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(before.rlim_max >= 4096);
  const rlimit low = {.rlim_cur = 1024, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);  // the shim's
  Bundle bundle;
  bundle.MakeLauncher();
  // As crispd's own limit, which a shim has until its launcher has set it.
  const rlimit high = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &high) == 0);  // also for the pipes
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  CHECK(bundle.Exec({"sh", "-c", "ulimit -S -n"})->out == "1024\n");
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  std::vector<base::UniqueFd> read_ends;
  std::vector<shim_client::ExecSession> sessions;
  for (int i = 0; i < 256; ++i) {
    int out[2], err[2];
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    REQUIRE(pipe2(err, O_CLOEXEC) == 0);
    const base::UniqueFd out_write(out[1]), err_write(err[1]);
    read_ends.emplace_back(out[0]);
    read_ends.emplace_back(err[0]);
    auto session = shim_client::ExecSession::Open(bundle.path(), {"sleep", "4321"}, false,
                                                  {null.get(), out_write.get(), err_write.get()},
                                                  DeadlineIn(20'000));
    INFO(i << ": " << session.status());
    REQUIRE(session.ok());
    sessions.push_back(*std::move(session));
  }
  CHECK(SoonRunning(bundle, "4321", 256));
  sessions.clear();
  CHECK(SoonRunning(bundle, "4321", 0));
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("eighty execs run at once, and far more than fit are refused one by one",
          "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto open_exec = [&] {
    return shim_client::ExecSession::Open(bundle.path(), {"sleep", "4321"}, false,
                                          {null.get(), null.get(), null.get()}, DeadlineIn(20'000));
  };
  std::vector<shim_client::ExecSession> sessions;
  absl::Status refused;
  while (refused.ok() && sessions.size() < 1000) {
    auto session = open_exec();
    if (session.ok()) sessions.push_back(*std::move(session));
    refused = session.status();
  }
  // 256, or what the limit of open files lets a shim have.
  CHECK(sessions.size() >= 80);
  CHECK(sessions.size() <= 256);
  CHECK_FALSE(refused.ok());
  CHECK(Running(bundle, "4321") == sessions.size());
  // One that ends makes room, and the container can still be asked and stopped.
  for (int i = 0; i < 10; ++i) {
    REQUIRE(sessions.back().Kill().ok());
    REQUIRE(sessions.back().Wait(DeadlineIn(20'000)).ok());
    sessions.pop_back();
  }
  auto again = open_exec();
  INFO(again.status());
  CHECK(again.ok());
}

TEST_CASE("an exec takes as many arguments as the kernel does", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  std::vector<std::string> args = {"sh", "-c", "echo $# $(echo $1 | wc -c) $6", "x"};
  for (int i = 0; i < 5; ++i) args.emplace_back(100'000, 'a');
  args.push_back("last");
  const auto result = bundle.Exec(args);
  INFO(result.status());
  REQUIRE(result.ok());
  CHECK(result->out == "6 100001 last\n");
  auto session = shim_client::ExecSession::Open(bundle.path(), args, true, {}, DeadlineIn(5000));
  INFO(session.status());
  REQUIRE(session.ok());
  base::UniqueFd pty = session->take_pty();
  CHECK(absl::StrContains(ReadPty(pty.get(), "last"), "6 100001 last"));
  // MAX_ARG_STRLEN, execve(2).
  const auto refused = bundle.Exec({"true", std::string(200'000, 'a')});
  CHECK(absl::IsInvalidArgument(refused.status()));
  CHECK(absl::StrContains(refused.status().message(), "argument list too long"));
  CHECK(bundle.Exec({"true"})->exit_code == 0);
}

TEST_CASE("an exec with a terminal reads, writes and is resized", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  auto session = shim_client::ExecSession::Open(
      bundle.path(), {"sh", "-c", "tty; echo $TERM; read line; stty size; echo got $line; exit 7"},
      true, {}, DeadlineIn(5000));
  INFO(session.status());
  REQUIRE(session.ok());
  base::UniqueFd pty = session->take_pty();
  const std::string first = ReadPty(pty.get(), "xterm");
  CHECK(first.find("/dev/pts/") != std::string::npos);
  CHECK(first.find("xterm") != std::string::npos);
  const winsize size = {.ws_row = 33, .ws_col = 77, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE(ioctl(pty.get(), TIOCSWINSZ, &size) == 0);
  REQUIRE(write(pty.get(), "word\n", 5) == 5);
  const std::string second = ReadPty(pty.get(), "got word");
  CHECK(second.find("33 77") != std::string::npos);
  CHECK(second.find("got word") != std::string::npos);
  CHECK(*session->Wait(DeadlineIn(5000)) == 7);
  // CVE-2022-23471, CVE-2025-64329 of containerd: a command that cannot be executed, with a
  // terminal, must not leak a descriptor.
  const size_t fds = CountFds(bundle.shim_pid());
  for (int i = 0; i < 50; ++i) {
    CHECK_FALSE(
        shim_client::ExecSession::Open(bundle.path(), {"nope"}, true, {}, DeadlineIn(5000)).ok());
  }
  CHECK(bundle.Exec({"true"})->exit_code == 0);
  CHECK(HasAtMostFds(bundle.shim_pid(), fds));
}

TEST_CASE("hundreds of execs leave no descriptor, no process and no cgroup", "[shim][exec]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  for (int i = 0; i < 3; ++i) REQUIRE(bundle.Exec({"true"}).ok());
  const size_t fds = CountFds(bundle.shim_pid());
  for (int i = 0; i < 300; ++i) {
    const auto result = bundle.Exec({"sh", "-c", "true & true & exit 1"});
    INFO(i << " " << result.status());
    REQUIRE(result.ok());
    REQUIRE(result->exit_code == 1);
  }
  // The last background processes may still be ending.
  for (int i = 0; i < 2000 && ExecGroups(bundle) > 0; ++i) poll(nullptr, 0, 2);
  CHECK(HasAtMostFds(bundle.shim_pid(), fds));
  CHECK(ExecGroups(bundle) == 0);
  std::string children;
  for (const std::string& task : Names(absl::StrCat("/proc/", bundle.shim_pid(), "/task"))) {
    children += Slurp(absl::StrCat("/proc/", bundle.shim_pid(), "/task/", task, "/children"));
  }
  CHECK(std::count(children.begin(), children.end(), ' ') == 1);  // init
}

TEST_CASE("execs end when their container ends", "[shim][exec]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec("while ! test -e /stop; do sleep 0.01; done; exit 3");
  REQUIRE(bundle.Start(spec).ok());
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto session =
      shim_client::ExecSession::Open(bundle.path(), {"sleep", "4321"}, false,
                                     {null.get(), null.get(), null.get()}, DeadlineIn(5000));
  REQUIRE(session.ok());
  REQUIRE(bundle.Exec({"touch", "/stop"}).ok());
  const auto code = session->Wait(DeadlineIn(10'000));
  CHECK((!code.ok() || *code == 137));
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 3);
}

TEST_CASE("an exec fails at once when the container has reached its pids limit", "[shim][exec]") {
  Bundle bundle;
  bundle.limits().pids_limit = 1;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const auto result = bundle.Exec({"sh", "-c", "true & true"}, 10'000);
  // cgroup2 refuses the clone; with v1 the process may join the group but not fork.
  if (result.ok()) CHECK(result->exit_code != 0);
  CHECK_FALSE(absl::IsDeadlineExceeded(result.status()));
}

}  // namespace crisp::test
