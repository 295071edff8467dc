// Start and end: exit codes, signals, init.json and exit.json, parked, failed and abandoned starts.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "bundle.h"
#include "linux/process_ref.h"
#include "linux/reap.h"
#include "linux/spawn.h"
#include "linux/syscalls.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

// The processes in the container's cgroup, one pid per line.
std::string Processes(const Bundle& bundle) {
  return base::ReadFile(bundle.group() + "/cgroup.procs").value_or("");
}

// Asks for the start, and says that the cgroup is there.
absl::Status SendStart(const ipc::Channel& operation, Bundle& bundle) {
  shim::v1::Request request;
  *request.mutable_start() = bundle.request();
  shim::v1::Control made;
  made.mutable_cgroup_made();
  const absl::Status asked = operation.Send(request);
  return asked.ok() ? operation.Send(made) : asked;
}

// The builder of a shim that has prepared all and waits for the cgroup; 0 when there is none. Its
// mounts are its own by then.
pid_t WaitingBuilder(const shim_client::LaunchedShim& shim) {
  const std::string info = Slurp(absl::StrCat("/proc/self/fdinfo/", shim.pidfd.get()));
  const size_t at = info.find("Pid:");
  REQUIRE(at != std::string::npos);
  const int pid = atoi(info.c_str() + at + 4);
  const auto link = [](int process) {
    char target[64] = {};
    const std::string path = absl::StrCat("/proc/", process, "/ns/mnt");
    return readlink(path.c_str(), target, sizeof(target) - 1) < 0 ? "" : std::string(target);
  };
  const int builder =
      atoi(base::ReadFile(absl::StrCat("/proc/", pid, "/task/", pid, "/children"))->c_str());
  const auto stat = base::ReadFile(absl::StrCat("/proc/", builder, "/stat"));
  const bool waits = builder != 0 && stat.ok() && absl::StrContains(*stat, ") S ") &&
                     link(builder) != link(pid) && !link(builder).empty();
  return waits ? builder : 0;
}

std::string FailureOf(const oci::Spec& spec, const std::function<void(Bundle&)>& prepare = {}) {
  Bundle bundle;
  if (prepare) prepare(bundle);
  const absl::StatusOr<shim::v1::Started> started = bundle.Start(spec);
  REQUIRE_FALSE(started.ok());
  CHECK(absl::IsNotFound(bundle.WaitExit().status()));  // the shim ends and records no exit
  CHECK(Processes(bundle).empty());
  return std::string(started.status().message());
}

}  // namespace

TEST_CASE("a container's start, output and exit are recorded", "[shim]") {
  Bundle bundle;
  const int64_t before_ns = base::WallNanos();
  CHECK(bundle.Run(ShellSpec("exec 2>&1; echo hello; echo oops >&2; exit 3"), 3) ==
        "hello\noops\n");
  const auto init = shim_client::ReadInit(bundle.path());
  REQUIRE(init.ok());
  CHECK(init->pid() > 0);
  CHECK(init->start_ticks() > 0);
  CHECK(init->phases_size() > 20);
  const auto exit = shim_client::ReadExit(bundle.path());
  REQUIRE(exit.ok());
  CHECK(exit->finished_at_ns >= init->started_at_ns());
  CHECK(init->started_at_ns() >= before_ns);
  CHECK_FALSE(exit->oom_killed);
  struct stat info;
  REQUIRE(stat(bundle.log_path().c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);
}

TEST_CASE("every exit code is recorded as it is", "[shim]") {
  for (const int code : {0, 1, 2, 127, 128, 137, 254, 255}) {
    Bundle bundle;
    bundle.Run(ShellSpec(absl::StrCat("exit ", code)), code);
  }
}

TEST_CASE("the exit code of a killed container is 128 plus the signal", "[shim]") {
  for (const int number : {SIGTERM, SIGKILL, SIGABRT, SIGUSR1, SIGRTMIN + 3}) {
    Bundle bundle;
    const auto started = bundle.Start(DefaultSpec({"sleep", "100"}));
    REQUIRE(started.ok());
    // Init of a PID namespace gets a signal from outside only if it has a handler for it, or the
    // signal is SIGKILL or SIGSTOP.
    if (number == SIGKILL) {
      REQUIRE(kill(started->pid(), number) == 0);
      const auto fact = bundle.WaitExit();
      REQUIRE(fact.ok());
      CHECK(fact->exit_code == 128 + number);
      continue;
    }
    bundle.Kill();
  }
  Bundle shared;
  oci::Spec spec = DefaultSpec({"sleep", "100"});
  spec.linux_.namespaces.erase(spec.linux_.namespaces.begin());  // the host's PID namespace
  spec.mounts.erase(spec.mounts.begin());
  const auto started = shared.Start(spec);
  INFO(started.status());
  REQUIRE(started.ok());
  REQUIRE(kill(started->pid(), SIGTERM) == 0);
  const auto fact = shared.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 128 + SIGTERM);
}

TEST_CASE("a shim ends when crispd goes away before it asked for a start", "[shim]") {
  Bundle bundle;
  shim_client::LaunchedShim shim = bundle.Launch(ShellSpec("true"));
  shim.operation.Close();
  shim.tether.Close();
  siginfo_t info;
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
}

TEST_CASE("a shim that has no container yet ends with crispd", "[shim]") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  const auto shim = linux::Spawn(
      {.path = CRISP_SHIM, .args = {"crisp-shim", "--", "--"}, .env = {}}, {-1, -1, -1, ends[1]});
  REQUIRE(shim.ok());
  theirs.reset();
  CHECK_FALSE(linux::AwaitEnd(shim->pidfd.get(), DeadlineIn(100)));
  ours.reset();
  CHECK(linux::AwaitEnd(shim->pidfd.get(), DeadlineIn(20'000)));
  linux::EndChild(shim->pid, shim->pidfd.get());
}

TEST_CASE("a shim shows in ps whose it is", "[shim]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  const std::string arguments = Slurp(absl::StrCat("/proc/", bundle.shim_pid(), "/cmdline"));
  CHECK(arguments == absl::StrCat("crisp-shim", std::string(1, '\0'), bundle.path(),
                                  std::string(1, '\0'), bundle.id(), std::string(1, '\0')));
}

TEST_CASE("crispd is told how a container ended, also when the exit cannot be recorded", "[shim]") {
  for (const bool broken : {false, true}) {
    Bundle bundle;
    shim_client::LaunchedShim shim = bundle.Launch(ShellSpec("read line; exit 3"));
    bundle.request().set_stdin(true);
    REQUIRE(bundle.StartBy(shim).ok());
    // A second tether, as of a crispd that was restarted.
    absl::StatusOr<ipc::Channel> second = ipc::Connect(bundle.path() + "/shim.sock");
    REQUIRE(second.ok());
    if (broken) REQUIRE(base::MakeDirs(bundle.path() + "/exit.json/in-the-way", 0700).ok());
    shim::v1::Attach attach;
    attach.set_stdin(true);
    auto session = AttachTo(bundle, attach, {}, DeadlineIn(20'000));
    REQUIRE(session.ok());
    REQUIRE(base::WriteAll(session->stdin_.get(), "end\n").ok());
    for (const ipc::Channel* tether : {&shim.tether, &*second}) {
      const auto told = tether->ReceiveMessage<shim::v1::Reply>(nullptr, DeadlineIn(20'000));
      INFO(told.status());
      REQUIRE(told.ok());
      CHECK(told->exited().exit_code() == 3);
      CHECK(told->exited().finished_at_ns() > 0);
      CHECK(told->exited().on_disk() != broken);
      CHECK(absl::IsUnavailable(tether->Receive(DeadlineIn(20'000)).status()));
    }
    siginfo_t info;
    REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
    CHECK(shim_client::ReadExit(bundle.path()).ok() != broken);
  }
}

TEST_CASE("a crispd that is started while a container ends is told how it ended", "[shim]") {
  Bundle bundle;
  shim_client::LaunchedShim shim = bundle.Launch(DefaultSpec({"sleep", "1000"}));
  const auto started = bundle.StartBy(shim);
  REQUIRE(started.ok());
  REQUIRE(kill(started->shim_pid(), SIGSTOP) == 0);
  REQUIRE(kill(started->pid(), SIGKILL) == 0);
  const std::string stat = absl::StrCat("/proc/", started->pid(), "/stat");
  for (int i = 0; i < 2000 && base::ReadFile(stat)->find(") Z ") == std::string::npos; ++i)
    poll(nullptr, 0, 5);
  // The shim sees the end of its container before this connection.
  const absl::StatusOr<ipc::Channel> tether = ipc::Connect(bundle.path() + "/shim.sock");
  REQUIRE(tether.ok());
  REQUIRE(kill(started->shim_pid(), SIGCONT) == 0);
  const auto told = tether->ReceiveMessage<shim::v1::Reply>(nullptr, DeadlineIn(20'000));
  INFO(told.status());
  REQUIRE(told.ok());
  CHECK(told->exited().exit_code() == 137);
  siginfo_t info;
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
}

TEST_CASE("a parked start waits before its first step", "[shim]") {
  Bundle bundle;
  pid_t created = 0;
  const auto started = bundle.Start(ShellSpec("echo ran"), [&](pid_t pid) {
    created = pid;
    CHECK(linux::ProcessRef::Of(pid).ok());
    CHECK(bundle.RawLog().empty());
    // Its namespaces exist: crispd sets up the network at this point.
    CHECK(access(absl::StrCat("/proc/", pid, "/ns/net").c_str(), F_OK) == 0);
    return absl::OkStatus();
  });
  REQUIRE(started.ok());
  CHECK(started->pid() == created);
  REQUIRE(bundle.WaitExit().ok());
  CHECK(bundle.LogText() == "ran\n");
}

TEST_CASE("an abandoned parked start leaves nothing running", "[shim]") {
  Bundle bundle;
  pid_t created = 0;
  const auto started = bundle.Start(ShellSpec("echo ran"), [&](pid_t pid) {
    created = pid;
    return absl::CancelledError("abandoned");
  });
  CHECK(absl::IsCancelled(started.status()));
  CHECK(absl::IsNotFound(bundle.WaitExit().status()));
  CHECK_FALSE(linux::ProcessRef::Of(created).ok());
  CHECK(Processes(bundle).empty());
  CHECK(bundle.RawLog().empty());
}

TEST_CASE("a shim that starts detached ends once the program runs, and records no exit", "[shim]") {
  Bundle bundle;
  bundle.request().set_detached(true);
  const auto started = bundle.Start(ShellSpec("echo lost; exec sleep 1000"));
  INFO(started.status());
  REQUIRE(started.ok());
  CHECK(absl::IsNotFound(bundle.WaitExit().status()));
  CHECK(linux::ProcessRef{started->pid(), started->start_ticks()}.IsAlive());
  CHECK(bundle.RawLog().empty());
  const auto init = shim_client::ReadInit(bundle.path());
  REQUIRE(init.ok());
  CHECK(init->pid() == started->pid());
  // A program that writes must not be ended by SIGPIPE.
  struct stat output, null;
  REQUIRE(stat(absl::StrCat("/proc/", started->pid(), "/fd/1").c_str(), &output) == 0);
  REQUIRE(stat("/dev/null", &null) == 0);
  CHECK(output.st_rdev == null.st_rdev);
  bundle.Kill();
  CHECK(Eventually([&] { return Processes(bundle).empty(); }));
}

TEST_CASE("a detached start whose connection is closed at any moment is done or undone") {
  for (int delay_us = 0; delay_us < 20'000; delay_us += 997) {
    Bundle bundle;
    shim_client::LaunchedShim shim = bundle.Launch(DefaultSpec({"sleep", "1000"}));
    bundle.request().set_detached(true);
    REQUIRE(SendStart(shim.operation, bundle).ok());
    timespec pause = {.tv_sec = 0, .tv_nsec = delay_us * 1000};
    nanosleep(&pause, nullptr);
    shim.operation.Close();
    siginfo_t info;
    REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
    // Which a crispd that is started later goes by.
    CHECK(shim_client::ReadInit(bundle.path()).ok() == !Processes(bundle).empty());
    bundle.Kill();
  }
}

TEST_CASE("a start whose connection is closed at any moment leaves nothing running", "[shim]") {
  for (int delay_us = 0; delay_us < 20'000; delay_us += 997) {
    Bundle bundle;
    shim_client::LaunchedShim shim = bundle.Launch(DefaultSpec({"sleep", "1000"}));
    REQUIRE(SendStart(shim.operation, bundle).ok());
    timespec pause = {.tv_sec = 0, .tv_nsec = delay_us * 1000};
    nanosleep(&pause, nullptr);
    // Started may have been sent already: then the container runs and the test kills it.
    pollfd entry = {.fd = shim.operation.fd(), .events = POLLIN, .revents = 0};
    const bool answered = poll(&entry, 1, 0) == 1;
    shim.operation.Close();
    if (answered) bundle.Kill();
    pollfd tether = {.fd = shim.tether.fd(), .events = POLLIN, .revents = 0};
    // Still alive: Started was sent just before the connection was closed.
    if (poll(&tether, 1, 300) == 0) bundle.Kill();
    siginfo_t info;
    REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
    CHECK(Processes(bundle).empty());
  }
}

TEST_CASE("a container is prepared before its cgroup is there, and runs only then", "[shim]") {
  Bundle bundle;
  shim_client::LaunchedShim shim = bundle.Launch(ShellSpec("echo ran"));
  auto pending = shim_client::PendingStart::Ask(std::move(shim.operation), bundle.request());
  REQUIRE(pending.ok());
  CHECK(Eventually([&] { return WaitingBuilder(shim) != 0; }));
  CHECK(Processes(bundle).empty());
  CHECK(bundle.RawLog().empty());
  const auto started = pending->Run(DeadlineIn(20'000));
  INFO(started.status());
  REQUIRE(started.ok());
  siginfo_t info;
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
  CHECK(bundle.LogText() == "ran\n");
}

TEST_CASE("a start that is given up before its cgroup is there leaves nothing", "[shim]") {
  for (const bool killed : {false, true}) {
    Bundle bundle;
    shim_client::LaunchedShim shim = bundle.Launch(ShellSpec("echo ran"));
    auto pending = shim_client::PendingStart::Ask(std::move(shim.operation), bundle.request());
    REQUIRE(pending.ok());
    pid_t builder = 0;
    CHECK(Eventually([&] { return (builder = WaitingBuilder(shim)) != 0; }));
    if (killed) {
      REQUIRE(linux::SendSignal(shim.pidfd.get(), SIGKILL) == 0);
    } else {
      pending = absl::CancelledError("given up");
    }
    siginfo_t info;
    REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
    CHECK(Eventually([&] { return kill(builder, 0) != 0; }));
    CHECK(Processes(bundle).empty());
    CHECK(absl::IsNotFound(shim_client::ReadInit(bundle.path()).status()));
  }
}

TEST_CASE("a cgroup that is not there though crispd says so is the error of the start", "[shim]") {
  Bundle bundle;
  shim_client::LaunchedShim shim = bundle.Launch(ShellSpec("echo ran"));
  bundle.request().set_cgroup_v2(bundle.group() + "-gone");
  const auto started = bundle.StartBy(shim);
  CHECK_THAT(std::string(started.status().message()), Catch::StartsWith("cgroup: "));
  CHECK_THAT(std::string(started.status().message()), Catch::Contains(bundle.group() + "-gone"));
  siginfo_t info;
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim.pidfd.get()), &info, WEXITED) == 0);
}

TEST_CASE("the error of a failed start names the step, the object and the errno", "[shim]") {
  CHECK(FailureOf(DefaultSpec({"nope"})) ==
        "exec: \"nope\": executable file not found in $PATH: no such file or directory (ENOENT)");
  CHECK(FailureOf(DefaultSpec({"/bin/nope"})) ==
        "exec: \"/bin/nope\": no such file or directory (ENOENT)");
  CHECK(FailureOf(DefaultSpec({"/etc/passwd"})) ==
        "exec: \"/etc/passwd\": permission denied (EACCES)");
  CHECK(FailureOf(DefaultSpec({"/script"}), [](Bundle& b) { b.AddFile("script", "no head"); }) ==
        "exec: \"/script\": exec format error (ENOEXEC)");
  CHECK(FailureOf(DefaultSpec({"true", std::string(200'000, 'x')})) ==
        "exec: \"true\": argument list too long (E2BIG)");

  oci::Spec spec = ShellSpec("true");
  spec.mounts.push_back({"/data", "bind", "/nowhere/at/all", {"rbind"}, {}, {}});
  CHECK(FailureOf(spec) == "mount sources: /nowhere/at/all: no such file or directory (ENOENT)");
  spec.mounts.back() = {"/data", "tmpfs", "tmpfs", {"size=lots"}, {}, {}};
  CHECK(FailureOf(spec) == "mounts: /data: tmpfs: Bad value for 'size': invalid argument (EINVAL)");
  spec.mounts.back() = {"/etc/passwd/x", "tmpfs", "tmpfs", {}, {}, {}};
  CHECK(FailureOf(spec) == "mounts: /etc/passwd/x: not a directory (ENOTDIR)");
  spec.mounts.back() = {"/data", "nfs", "somewhere", {}, {}, {}};
  CHECK(FailureOf(spec) == "spec: /data: file system type \"nfs\" is not supported");
  spec.mounts.pop_back();

  spec.process.cwd = "/etc/passwd";
  CHECK(FailureOf(spec) == "working directory: /etc/passwd: not a directory (ENOTDIR)");
  spec.process.cwd = "/";
  spec.linux_.sysctl = {{"kernel.msgmax", "not a number"}};
  CHECK(FailureOf(spec) == "sysctls: kernel.msgmax = not a number: invalid argument (EINVAL)");
  spec.linux_.sysctl = {{"kernel.core_pattern", "|/bin/evil"}};
  CHECK(FailureOf(spec) ==
        "spec: linux.sysctl: \"kernel.core_pattern\" does not belong to a namespace of the "
        "container");
  spec.linux_.sysctl.clear();
  spec.linux_.namespaces[1].path = "/proc/self/ns/uts";
  CHECK(FailureOf(spec) ==
        "namespaces: /proc/self/ns/uts is not a namespace of the type the spec says: invalid "
        "argument (EINVAL)");
  spec.linux_.namespaces[1].path = "/proc/1/ns/gone";
  CHECK(FailureOf(spec) == "namespaces: /proc/1/ns/gone: no such file or directory (ENOENT)");
  spec = ShellSpec("true");
  spec.process.apparmor_profile = "no-such-profile";
  CHECK(absl::StartsWith(FailureOf(spec), "apparmor: no-such-profile"));
  spec = ShellSpec("true");
  CHECK(FailureOf(spec, [](Bundle& b) {
          b.request().mutable_rootfs()->set_lowers(0, "missing");
        }) == "rootfs: overlay of 1 layers: no such file or directory (ENOENT)");
  CHECK(FailureOf(spec, [](Bundle& b) { b.request().set_log_path("/no/such/directory/log"); }) ==
        "log: /no/such/directory/log: no such file or directory (ENOENT)");
  CHECK(FailureOf(spec, [](Bundle& b) {
          b.request().set_sandbox_pid(getpid());
          b.request().set_sandbox_start_ticks(1);
        }) == absl::StrCat("namespaces: process ", getpid(), " is gone"));
  CHECK(FailureOf(spec, [](Bundle& b) {
          b.request().set_target_pid(getpid());
          b.request().set_target_start_ticks(1);
        }) == "namespaces: the target container has ended: no such process (ESRCH)");
}

TEST_CASE("a container joins the namespaces of its sandbox", "[shim]") {
  Bundle pause;
  oci::Spec spec = DefaultSpec({"sleep", "1000"});
  spec.hostname = "pod-name";
  const auto sandbox = pause.Start(spec);
  REQUIRE(sandbox.ok());
  Bundle bundle;
  oci::Spec inner = ShellSpec(
      "hostname; cat /proc/1/cmdline | tr '\\0' ' '; readlink /proc/self/ns/net; cat "
      "/dev/shm/word");
  const char* names[] = {"pid", "net", "ipc", "uts"};
  for (int i = 0; i < 4; ++i) {
    inner.linux_.namespaces[static_cast<size_t>(i)].path =
        absl::StrCat("/proc/", sandbox->pid(), "/ns/", names[i]);
  }
  bundle.request().set_sandbox_pid(sandbox->pid());
  bundle.request().set_sandbox_start_ticks(sandbox->start_ticks());
  // The pod's shared memory is mounted only in the sandbox.
  inner.mounts.back() = {
      "/dev/shm", "bind", absl::StrCat("/proc/", sandbox->pid(), "/root/dev/shm"),
      {"rbind"},  {},     {}};
  REQUIRE(pause.Exec({"sh", "-c", "echo shared > /dev/shm/word"}).ok());
  char net[64] = {};
  REQUIRE(readlink(absl::StrCat("/proc/", sandbox->pid(), "/ns/net").c_str(), net,
                   sizeof(net) - 1) > 0);
  CHECK(bundle.Run(inner) == absl::StrCat("pod-name\nsleep 1000 ", net, "\nshared\n"));
}

TEST_CASE("in a shared PID namespace all processes are killed before the exit is recorded",
          "[shim]") {
  Bundle bundle;
  oci::Spec spec =
      ShellSpec("sleep 1000 & sh -c 'trap \"\" TERM HUP; sleep 1000' & echo started; exit 5");
  spec.linux_.namespaces.erase(spec.linux_.namespaces.begin());
  spec.mounts.erase(spec.mounts.begin());
  CHECK(bundle.Run(spec, 5) == "started\n");
  CHECK(Processes(bundle).empty());
}

TEST_CASE("a process outside that has the output open does not delay the exit record", "[shim]") {
  Bundle bundle;
  const auto started =
      bundle.Start(ShellSpec("echo first; while ! test -e /stop; do sleep 0.01; done; exit 4"));
  REQUIRE(started.ok());
  // A node agent may have opened the stream through /proc.
  const base::UniqueFd held(
      open(absl::StrCat("/proc/", started->pid(), "/fd/1").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(held.valid());
  REQUIRE(bundle.Exec({"touch", "/stop"}).ok());
  const int64_t begin_ns = base::MonotonicNanos();
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 4);
  CHECK(base::MonotonicNanos() - begin_ns < 5'000'000'000);
  CHECK(bundle.LogText() == "first\n");
}

TEST_CASE("a process outside that never stops writing does not delay the exit record", "[shim]") {
  Bundle bundle;
  const auto started =
      bundle.Start(ShellSpec("while ! test -e /stop; do sleep 0.01; done; exit 4"));
  REQUIRE(started.ok());
  // Ends by SIGPIPE when the shim does, and after 10 s at the latest: its output fills the log.
  REQUIRE(system(absl::StrCat("timeout 10 yes >/proc/", started->pid(), "/fd/1 &").c_str()) == 0);
  Await(bundle.log_path(), [](const std::string& text) { return !text.empty(); });
  REQUIRE(bundle.Exec({"touch", "/stop"}).ok());
  const int64_t begin_ns = base::MonotonicNanos();
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 4);
  CHECK(base::MonotonicNanos() - begin_ns < 5'000'000'000);
}

}  // namespace crisp::test
