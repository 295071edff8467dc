// Seccomp filters, from the profile to the running program.
#include "spec/seccomp.h"

#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "base/file.h"
#include "bundle.h"

namespace crisp::test {
namespace {

void WriteSeccomp(const Bundle& bundle, const oci::Seccomp& profile) {
  const absl::StatusOr<std::string> file = spec::CompileSeccomp(profile);
  INFO(file.status());
  REQUIRE(file.ok());
  REQUIRE(base::WriteFileAtomic(bundle.path() + "/seccomp.bpf", *file, 0600).ok());
}

// The system calls of the steps after the filter is loaded, and those a shell needs.
oci::Seccomp AllowList() {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  oci::SeccompSyscall& rule = profile.syscalls.emplace_back();
  rule.action = "SCMP_ACT_ALLOW";
  rule.names = {"prctl",          "setgroups",       "setresgid",       "setresuid",  "umask",
                "capget",         "capset",          "execve",          "arch_prctl", "brk",
                "mmap",           "mprotect",        "munmap",          "openat",     "open",
                "read",           "pread64",         "write",           "close",      "fstat",
                "stat",           "lstat",           "newfstatat",      "access",     "faccessat",
                "getuid",         "geteuid",         "getgid",          "getegid",    "getpid",
                "getppid",        "set_tid_address", "set_robust_list", "rseq",       "prlimit64",
                "getrandom",      "rt_sigaction",    "rt_sigprocmask",  "getcwd",     "exit_group",
                "clock_nanosleep"};
  return profile;
}

}  // namespace

TEST_CASE("a profile that allows only what follows the seccomp step does not break start or exec",
          "[shim][seccomp]") {
  for (const bool no_new_privileges : {false, true}) {
    Bundle bundle;
    WriteSeccomp(bundle, AllowList());
    oci::Spec spec = DefaultSpec({"sleep", "1000"});
    spec.process.no_new_privileges = no_new_privileges;
    spec.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {}};
    const auto started = bundle.Start(spec);
    INFO(started.status());
    REQUIRE(started.ok());
    const auto result = bundle.Exec({"grep", "Seccomp:", "/proc/self/status", "/proc/1/status"});
    INFO(result.status());
    REQUIRE(result.ok());
    CHECK(result->out == "/proc/self/status:Seccomp:\t2\n/proc/1/status:Seccomp:\t2\n");
    CHECK(bundle.Exec({"mkdir", "/tmp/x"})->err.find("not permitted") != std::string::npos);
  }
}

TEST_CASE("the flags of a profile are given to the kernel", "[shim][seccomp]") {
  for (const bool log : {false, true}) {
    Bundle bundle;
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ALLOW";
    profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
    if (log) profile.flags.push_back("SECCOMP_FILTER_FLAG_LOG");
    WriteSeccomp(bundle, profile);
    const auto started = bundle.Start(DefaultSpec({"sleep", "1000"}));
    INFO(started.status());
    REQUIRE(started.ok());
    const pid_t pid = started->pid();
    REQUIRE(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0);
    REQUIRE(ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0);
    REQUIRE(waitpid(pid, nullptr, __WALL) == pid);
    // The only flag that the kernel reports.
    struct {
      uint64_t filter;
      uint64_t flags;
    } metadata = {};
    CHECK(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(metadata), &metadata) ==
          sizeof(metadata));
    CHECK(metadata.flags == (log ? SECCOMP_FILTER_FLAG_LOG : 0));
    CHECK(ptrace(PTRACE_DETACH, pid, nullptr, nullptr) == 0);
  }
}

TEST_CASE("a damaged filter file fails the start", "[shim][seccomp]") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  const std::string file = spec::CompileSeccomp(profile).value();
  // Empty, cut off, only the head, without the head.
  for (const std::string& bad : {std::string(), file.substr(0, 5), file.substr(0, 8),
                                 file.substr(0, file.size() - 1), file.substr(8)}) {
    Bundle bundle;
    REQUIRE(base::WriteFileAtomic(bundle.path() + "/seccomp.bpf", bad, 0600).ok());
    const auto started = bundle.Start(ShellSpec("true"));
    INFO(started.status());
    CHECK(started.status().message().find("seccomp.bpf: ") != std::string::npos);
    (void)bundle.WaitExit();
  }
}

}  // namespace crisp::test
