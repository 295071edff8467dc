// What a process of a container can get from one that crisp-shim starts beside it, while that is
// still crisp-shim's own code: nothing that the container does not have. See spy.cc.
#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "bundle.h"
#include "linux/capabilities.h"
#include "spec/seccomp.h"

namespace crisp::test {
namespace {

void Give(oci::Spec& spec, std::vector<std::string> capabilities) {
  for (auto* set : {&spec.process.capabilities->bounding, &spec.process.capabilities->effective,
                    &spec.process.capabilities->permitted}) {
    set->insert(set->end(), capabilities.begin(), capabilities.end());
  }
}

oci::Spec SpySpec(const char* mode, std::vector<std::string> capabilities) {
  oci::Spec spec = DefaultSpec({"/spy", mode});
  Give(spec, std::move(capabilities));
  return spec;
}

void FilterAll(const Bundle& bundle) {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  const absl::StatusOr<std::string> filter = spec::CompileSeccomp(profile);
  REQUIRE(filter.ok());
  REQUIRE(base::WriteFileAtomic(bundle.path() + "/seccomp.bpf", *filter, 0600).ok());
}

shim::v1::Started StartSpy(Bundle& bundle, const oci::Spec& spec) {
  bundle.AddFile("spy", Slurp(CRISP_SPY));
  const auto started = bundle.Start(spec);
  INFO(started.status());
  REQUIRE(started.ok());
  (void)Await(bundle.log_path(),
              [](const std::string& text) { return absl::StrContains(text, "ready"); });
  return *started;
}

// Ends the spy. It must have caught some processes in time, or the test has shown nothing.
void CheckFindings(Bundle& bundle, pid_t spy) {
  REQUIRE(kill(spy, SIGTERM) == 0);
  REQUIRE(bundle.WaitExit().ok());
  const std::string text = bundle.LogText();
  INFO(text.substr(0, 4000));
  CHECK_FALSE(absl::StrContains(text, "found"));
  CHECK(absl::StrContains(text, "caught "));
  CHECK_FALSE(absl::StrContains(text, "caught 0\n"));
}

void ExecBesideSpy(oci::Spec spec, int execs) {
  Bundle bundle;
  FilterAll(bundle);
  const pid_t spy = StartSpy(bundle, spec).pid();
  constexpr int kMissed = 10;  // a busy machine may keep it from running for a while
  REQUIRE(kill(spy, SIGSTOP) == 0);
  for (int i = 0; i < execs + kMissed; ++i) {
    if (i == kMissed) REQUIRE(kill(spy, SIGCONT) == 0);
    const auto result = bundle.Exec({"true"});
    INFO(i << ": " << result.status());
    REQUIRE(result.ok());
    REQUIRE(result->exit_code == 0);
  }
  CheckFindings(bundle, spy);
}

// Traces the shim until it ends, and writes to `out` the process group of each process that the
// container sees and that is still the shim's own code, as it is at its birth. A process of its
// own, because the test's is the shim's parent and waits for it, too.
[[noreturn]] void TraceGroups(pid_t shim, int out) {
  constexpr long kFollow = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
  if (ptrace(PTRACE_SEIZE, shim, nullptr, kFollow) != 0) _exit(1);
  pid_t group = 0;
  if (write(out, &group, sizeof(group)) != sizeof(group)) _exit(1);  // it traces
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (!WIFSTOPPED(status)) continue;
    const int event = status >> 16;
    if (event == PTRACE_EVENT_STOP && pid != shim) {  // just born
      const std::string text = Slurp(absl::StrCat("/proc/", pid, "/status"));
      const size_t at = text.find("NSpid:");
      const std::string line = text.substr(at, text.find('\n', at) - at);
      group = getpgid(pid);
      // Two numbers: one of them in the PID namespace of the container.
      if (std::count(line.begin(), line.end(), '\t') == 2 &&
          write(out, &group, sizeof(group)) != sizeof(group))
        _exit(1);
    }
    ptrace(PTRACE_CONT, pid, nullptr, event == 0 ? WSTOPSIG(status) : 0);
  }
  _exit(0);
}

std::vector<std::string> AllCapabilities() {
  std::vector<std::string> names;
  for (const std::string& name : linux::CapabilityNames(~linux::CapabilityMask{0}))
    if (linux::ParseCapabilities({name}).ok()) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("an exec has nothing to take for a process with every capability", "[shim][hostile]") {
  ExecBesideSpy(SpySpec("look", AllCapabilities()), 1000);
}

TEST_CASE("an exec has no more rights than the container while it is started", "[shim][hostile]") {
  for (const bool no_new_privileges : {false, true}) {
    oci::Spec spec = SpySpec("look", {"CAP_SYS_PTRACE"});
    spec.process.no_new_privileges = no_new_privileges;
    ExecBesideSpy(spec, 500);
  }
}

TEST_CASE("an exec in a user namespace has nothing to take", "[shim][hostile]") {
  oci::Spec spec = SpySpec("look", AllCapabilities());
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = {{0, 200000, 65536}};
  spec.linux_.gid_mappings = {{0, 200000, 65536}};
  ExecBesideSpy(spec, 500);
}

TEST_CASE("a container that starts in a shared PID namespace has nothing to take",
          "[shim][hostile]") {
  for (const bool user_namespace : {false, true}) {
    Bundle bundle;
    FilterAll(bundle);
    oci::Spec spec = SpySpec("look", AllCapabilities());
    if (user_namespace) {
      spec.linux_.namespaces.push_back({"user", ""});
      spec.linux_.uid_mappings = {{0, 200000, 65536}};
      spec.linux_.gid_mappings = {{0, 200000, 65536}};
    }
    const shim::v1::Started spy = StartSpy(bundle, spec);
    for (int i = 0; i < 100; ++i) {
      Bundle other;
      FilterAll(other);
      oci::Spec inner = DefaultSpec({"cat", "/proc/1/cmdline"});
      inner.linux_.namespaces = spec.linux_.namespaces;
      inner.linux_.uid_mappings = spec.linux_.uid_mappings;
      inner.linux_.gid_mappings = spec.linux_.gid_mappings;
      for (oci::Namespace& entry : inner.linux_.namespaces) {
        if (entry.type == "pid" || entry.type == "user" || entry.type == "ipc")
          entry.path = absl::StrCat("/proc/", spy.pid(), "/ns/", entry.type);
      }
      other.request().set_sandbox_pid(spy.pid());
      other.request().set_sandbox_start_ticks(spy.start_ticks());
      const auto started = other.Start(inner);
      INFO(started.status());
      REQUIRE(started.ok());
      REQUIRE(other.WaitExit().ok());
      REQUIRE(absl::StartsWith(other.LogText(), "/spy"));
    }
    CheckFindings(bundle, spy.pid());
  }
}

// A process with CAP_SYS_PTRACE could make it signal its group before it has one of its own.
TEST_CASE("an exec is not in the shim's process group when the container first sees it",
          "[shim][hostile]") {
  Bundle bundle;
  REQUIRE(bundle.Start(DefaultSpec({"sleep", "1000"})).ok());
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const base::UniqueFd from(ends[0]);
  base::UniqueFd to(ends[1]);
  const pid_t tracer = fork();
  if (tracer == 0) TraceGroups(bundle.shim_pid(), to.get());
  to.reset();
  pid_t group = -1;
  REQUIRE(read(from.get(), &group, sizeof(group)) == sizeof(group));
  for (int i = 0; i < 3; ++i) CHECK(bundle.Exec({"true"}).ok());
  bundle.Kill();
  CHECK(bundle.WaitExit().ok());
  int seen = 0;
  for (; read(from.get(), &group, sizeof(group)) == sizeof(group); ++seen)
    CHECK(group != bundle.shim_pid());
  CHECK(seen == 3);
  CHECK(waitpid(tracer, nullptr, 0) == tracer);
}

TEST_CASE("a target that has something else or nothing at /proc does not get a container beside it",
          "[shim][hostile]") {
  const bool removed = GENERATE(false, true);
  Bundle target;
  oci::Spec spec =
      ShellSpec(removed ? "umount /proc; rmdir /proc; mount -t tmpfs x /dev; exec sleep 1000"
                        : "umount /proc; mount -t tmpfs x /proc; exec sleep 1000");
  Give(spec, {"CAP_SYS_ADMIN"});
  spec.linux_.masked_paths.clear();
  spec.linux_.readonly_paths.clear();
  const auto started = target.Start(spec);
  REQUIRE(started.ok());
  const std::string mounts = absl::StrCat("/proc/", started->pid(), "/mountinfo");
  (void)Await(mounts,
              [](const std::string& text) { return absl::StrContains(text, "- tmpfs x "); });
  Bundle bundle;
  oci::Spec inner = DefaultSpec({"true"});
  inner.linux_.namespaces[0].path = absl::StrCat("/proc/", started->pid(), "/ns/pid");
  bundle.request().set_target_pid(started->pid());
  bundle.request().set_target_start_ticks(started->start_ticks());
  const auto refused = bundle.Start(inner);
  CHECK(refused.status().message() ==
        (removed
             ? "mount sources: /proc: open the target's /proc: no such file or directory (ENOENT)"
             : "mount sources: /proc: the target has no procfs there: invalid argument (EINVAL)"));
}

TEST_CASE("what a container writes into an exec's memory reaches only that exec",
          "[shim][hostile]") {
  Bundle bundle;
  const pid_t spy = StartSpy(bundle, SpySpec("write", {"CAP_SYS_PTRACE"})).pid();
  for (int i = 0; i < 300; ++i) (void)bundle.Exec({"true"});
  REQUIRE(kill(spy, SIGSTOP) == 0);  // or it writes into this one as well
  const auto undisturbed = bundle.Exec({"true"});
  REQUIRE(kill(spy, SIGCONT) == 0);
  INFO(undisturbed.status());
  REQUIRE(undisturbed.ok());
  CHECK(undisturbed->exit_code == 0);
  CHECK(bundle.ShimIsAlive());
  CheckFindings(bundle, spy);
}

}  // namespace crisp::test
