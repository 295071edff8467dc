// Filters as the kernel runs them: a child process of the test installs one and tries system calls.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "ipc/seccomp_file.h"
#include "spec/seccomp.h"
#include "spec/seccomp_default.h"
#include "spec/seccomp_profile_codec.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

struct Call {
  long number;
  uint64_t args[4] = {};
};

// errno of each call under the filter, 0 when it succeeded; empty when the child was killed.
std::vector<int> Try(const std::string& filter, const std::vector<Call>& calls) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = fork();
  if (child == 0) {
    sock_fprog program = {static_cast<unsigned short>(filter.size() / sizeof(sock_filter)),
                          reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()))};
    const pid_t self = getpid();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
      _exit(9);
    }
    for (const Call& call : calls) {
      errno = 0;
      const long result =
          syscall(call.number, call.args[0], call.args[1], call.args[2], call.args[3]);
      const int error = result < 0 ? errno : 0;
      if (syscall(SYS_getpid) != self) _exit(0);  // the child of a clone that succeeded
      if (write(ends[1], &error, sizeof(error)) != sizeof(error)) _exit(8);
    }
    _exit(0);
  }
  REQUIRE(child > 0);
  close(ends[1]);
  std::vector<int> errors;
  int error = 0;
  while (read(ends[0], &error, sizeof(error)) == sizeof(error)) errors.push_back(error);
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return {};
  REQUIRE(WEXITSTATUS(status) == 0);
  return errors;
}

std::string FilterOf(const oci::Seccomp& profile) {
  const absl::StatusOr<std::string> file = CompileSeccomp(profile);
  INFO(file.status());
  REQUIRE(file.ok());
  REQUIRE(file->size() > sizeof(ipc::SeccompHead));
  CHECK((file->size() - sizeof(ipc::SeccompHead)) % sizeof(sock_filter) == 0);
  return file->substr(sizeof(ipc::SeccompHead));
}

std::string FilterOf(const std::string& text) {
  const absl::StatusOr<oci::Seccomp> profile =
      DecodeSeccompProfile(text, oci::Capabilities(), ThisSeccompHost());
  INFO(profile.status());
  REQUIRE(profile.ok());
  return FilterOf(*profile);
}

oci::Seccomp DefaultWith(const std::vector<std::string>& capabilities) {
  oci::Capabilities held;
  held.bounding = capabilities;
  return DefaultSeccomp(held);
}

// From the kernel's unistd.h; Debian 12's does not have them.
constexpr long kFchmodat2 = 452;  // libseccomp knows it
constexpr long kMseal = 462;      // libseccomp does not know this and the following
constexpr long kLsmListModules = 461;
constexpr long kFileGetattr = 468;

constexpr uint64_t kHigh = uint64_t{1} << 32;

TEST_CASE("the default profile lets programs work") {
  const auto here = reinterpret_cast<uint64_t>("/nonexistent-crisp");
  const std::vector<Call> calls = {
      {SYS_getpid},
      {SYS_umask, {022}},
      {SYS_socket, {AF_INET, SOCK_DGRAM}},
      {SYS_socket, {AF_UNIX, SOCK_STREAM}},
      {SYS_socket, {AF_NETLINK, SOCK_RAW}},
      {SYS_socket, {AF_INET6, SOCK_STREAM}},
      {SYS_personality, {0xffffffff}},
      {SYS_ptrace, {16 /* attach */, 0x7fffffff}},
      {SYS_access, {here}},
      {kFchmodat2, {static_cast<uint64_t>(AT_FDCWD), here}},
      {SYS_clone, {SIGCHLD}},
      {SYS_prctl, {PR_GET_DUMPABLE}},
      {kMseal, {1, 1, 1}},
  };
  const std::vector<int> errors = Try(FilterOf(DefaultWith({})), calls);
  REQUIRE(errors.size() == calls.size());
  for (size_t i = 0; i < 7; ++i) {
    CAPTURE(i);
    // A host may have no AF_INET6; the filter is not the cause then.
    CHECK((errors[i] == 0 || errors[i] == EAFNOSUPPORT));
  }
  CHECK(errors[7] == ESRCH);
  CHECK(errors[8] == ENOENT);
  CHECK((errors[9] == ENOENT || errors[9] == ENOSYS));  // since Linux 6.6
  CHECK(errors[10] == 0);
  CHECK(errors[11] == 0);
  CHECK((errors[12] == EINVAL || errors[12] == ENOSYS));  // since Linux 6.10
}

TEST_CASE("the default profile denies what containers must not do") {
  const std::vector<Call> denied = {
      {SYS_unshare, {0}},
      {SYS_setns, {static_cast<uint64_t>(-1)}},
      {SYS_clone, {CLONE_NEWUSER | SIGCHLD}},
      {SYS_clone, {CLONE_NEWNET | SIGCHLD}},
      {SYS_clone, {CLONE_NEWCGROUP | SIGCHLD}},
      {SYS_mount},
      {SYS_umount2},
      {SYS_open_tree, {static_cast<uint64_t>(-1)}},
      {SYS_bpf, {static_cast<uint64_t>(-1)}},
      {SYS_perf_event_open},
      {SYS_keyctl, {0}},
      {SYS_add_key},
      {SYS_request_key},
      {SYS_userfaultfd, {static_cast<uint64_t>(-1)}},
      {SYS_io_uring_setup, {1}},
      {SYS_io_uring_enter, {static_cast<uint64_t>(-1)}},
      {SYS_io_uring_register, {static_cast<uint64_t>(-1)}},
      {SYS_kexec_load},
      {SYS_open_by_handle_at},
      {SYS_chroot},
      {SYS_reboot},
      {SYS_swapon},
      {SYS_pivot_root},
      {SYS_init_module},
      {SYS_acct},
      {SYS_syslog, {10}},
      {SYS_mbind},
      {SYS_kcmp},
      {SYS_pidfd_getfd, {static_cast<uint64_t>(-1)}},
      {SYS_personality, {0x0040000 /* ADDR_NO_RANDOMIZE */}},
      {SYS_personality, {kHigh}},
      {SYS_socket, {AF_VSOCK, SOCK_STREAM}},
      {SYS_socket, {kHigh + AF_VSOCK, SOCK_STREAM}},
      {SYS_socket, {AF_ALG, SOCK_SEQPACKET}},
      {SYS_socket, {kHigh + AF_ALG, SOCK_SEQPACKET}},
      {kLsmListModules},
  };
  const std::vector<int> errors = Try(FilterOf(DefaultWith({})), denied);
  REQUIRE(errors.size() == denied.size());
  for (size_t i = 0; i < denied.size(); ++i) {
    CAPTURE(i, denied[i].number, denied[i].args[0]);
    CHECK(errors[i] == EPERM);
  }
  // Programs fall back to older calls only on ENOSYS.
  CHECK(Try(FilterOf(DefaultWith({})), {{SYS_clone3}, {kFileGetattr}, {4000}}) ==
        std::vector<int>{ENOSYS, ENOSYS, ENOSYS});
}

TEST_CASE("capabilities allow the system calls that need them") {
  const std::vector<Call> calls = {{SYS_unshare, {0}},
                                   {SYS_setns, {static_cast<uint64_t>(-1)}},
                                   {SYS_clone3},
                                   {SYS_chroot, {0}},
                                   {SYS_open_by_handle_at, {static_cast<uint64_t>(-1)}}};
  CHECK(Try(FilterOf(DefaultWith({})), calls) ==
        std::vector<int>{EPERM, EPERM, ENOSYS, EPERM, EPERM});
  const std::vector<int> admin = Try(FilterOf(DefaultWith({"CAP_SYS_ADMIN"})), calls);
  CHECK(admin == std::vector<int>{0, EBADF, EINVAL, EPERM, EPERM});
  CHECK(Try(FilterOf(DefaultWith({"CAP_SYS_CHROOT"})), calls)[3] == EFAULT);
  CHECK(Try(FilterOf(DefaultWith({"CAP_DAC_READ_SEARCH"})), calls)[4] != EPERM);
}

TEST_CASE("critest's profiles deny chmod and nothing else") {
  CHECK(Try(FilterOf(R"({"defaultAction": "SCMP_ACT_ALLOW",
                         "syscalls": [{"names": ["chmod", "fchmodat", "unheard_of"],
                                       "action": "SCMP_ACT_ERRNO"}]})"),
            {{SYS_getpid}, {SYS_fchmodat}, {SYS_chmod}}) == std::vector<int>{0, EPERM, EPERM});
}

TEST_CASE("actions, errno values and conditions of a profile are applied") {
  const std::string allow = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)";
  CHECK(Try(FilterOf(allow + R"({"name": "umask", "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
                                {"name": "fchmodat2", "action": "SCMP_ACT_ERRNO", "errnoRet": 6},
                                {"name": "mseal", "action": "SCMP_ACT_ERRNO", "errnoRet": 7}
                               ]})"),
            {{SYS_umask}, {kFchmodat2}, {kMseal}, {SYS_getpid}}) == std::vector<int>{5, 6, 7, 0});
  CHECK(Try(FilterOf(allow + R"({"name": "umask", "action": "SCMP_ACT_KILL_PROCESS"}]})"),
            {{SYS_umask}})
            .empty());
  CHECK(Try(FilterOf(allow + R"({"name": "umask", "action": "SCMP_ACT_LOG"}]})"), {{SYS_umask}}) ==
        std::vector<int>{0});
  // Conditions on one argument are alternatives; on different arguments all must hold.
  CHECK(Try(FilterOf(allow + R"({"name": "umask", "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                 {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]})"),
            {{SYS_umask, {1}}, {SYS_umask, {2}}, {SYS_umask, {3}}}) == std::vector<int>{5, 5, 0});
  CHECK(Try(FilterOf(allow + R"({"name": "getpriority", "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
        "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
                 {"index": 1, "value": 1, "op": "SCMP_CMP_GE"}]}]})"),
            {{SYS_getpriority, {0, 0}}, {SYS_getpriority, {0, 1}}}) == std::vector<int>{0, 5});
  // An allow list: EPERM for calls it does not have, ENOSYS for calls newer than all of its own.
  // (sigaltstack, mmap, munmap: a sanitizer calls them when a process exits.)
  const std::string deny = R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["write", "exit_group", "getpid", "seccomp", "sigaltstack", "mmap", "munmap"],
       "action": "SCMP_ACT_ALLOW"},
      {"name": "umask", "action": "SCMP_ACT_ERRNO"}]})";
  CHECK(Try(FilterOf(deny), {{SYS_getpid}, {SYS_umask}, {SYS_openat2}, {kFchmodat2}}) ==
        std::vector<int>{0, EPERM, ENOSYS, ENOSYS});
}

TEST_CASE("a program newer than its profile falls back where the profile would kill it") {
  // sigaltstack, mmap, munmap: as above.
  for (const char* action : {"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"}) {
    CAPTURE(action);
    const std::string deny = absl::StrCat(R"({"defaultAction": ")", action, R"(", "syscalls": [
        {"names": ["write", "exit_group", "getpid", "seccomp", "sigaltstack", "mmap", "munmap"],
         "action": "SCMP_ACT_ALLOW"}]})");
    CHECK(Try(FilterOf(deny), {{SYS_openat2}, {kFchmodat2}}) == std::vector<int>{ENOSYS, ENOSYS});
    CHECK(Try(FilterOf(deny), {{SYS_umask}}).empty());
  }
}

TEST_CASE("a system call that a profile names with its default action is not taken for a new one") {
  const std::string deny = R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["write", "exit_group", "getpid", "seccomp", "sigaltstack", "mmap", "munmap"],
       "action": "SCMP_ACT_ALLOW"},
      {"names": ["openat2", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]})";
  CHECK(Try(FilterOf(deny), {{SYS_openat2}, {kFchmodat2}, {kMseal}}) ==
        std::vector<int>{EPERM, EPERM, ENOSYS});
  // Conditions, which need a libseccomp that knows the call, change nothing then.
  CHECK_FALSE(FilterOf(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
      {"names": ["setxattrat"], "action": "SCMP_ACT_ERRNO",
       "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]})")
                  .empty());
}

// The filter of the default profile and an artifact.
std::string MergedFilter(const std::string& artifact) {
  const absl::StatusOr<oci::Seccomp> profile =
      DecodeSeccompProfile(artifact, oci::Capabilities(), ThisSeccompHost());
  INFO(profile.status());
  REQUIRE(profile.ok());
  const absl::StatusOr<std::string> file = CompileSeccomp(DefaultWith({}), *profile);
  INFO(file.status());
  REQUIRE(file.ok());
  return file->substr(sizeof(ipc::SeccompHead));
}

TEST_CASE("what the default profile or the artifact denies is denied, and nothing else") {
  constexpr long kNewest = 5000;
  const std::vector<Call> calls = {{SYS_umask, {022}},
                                   {SYS_umask, {027}},
                                   {SYS_unshare, {0}},
                                   {SYS_socket, {AF_UNIX, SOCK_STREAM}},
                                   {SYS_socket, {AF_VSOCK, SOCK_STREAM}},
                                   {kNewest}};
  const auto tried = [&](const std::string& text) { return Try(MergedFilter(text), calls); };
  using Errors = std::vector<int>;
  const Errors alone = Try(FilterOf(DefaultWith({})), calls);
  CHECK(alone == Errors{0, 0, EPERM, 0, EPERM, ENOSYS});
  // A laxer artifact changes nothing.
  CHECK(tried(R"({"defaultAction": "SCMP_ACT_ALLOW"})") == alone);
  // One that denies some calls, also by their arguments.
  CHECK(tried(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
       "args": [{"index": 0, "value": 18, "op": "SCMP_CMP_EQ"}]},
      {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]})") ==
        Errors{EIO, 0, EPERM, 0, EPERM, ENOSYS});
  // One that allows some: the default profile's own denials keep their error. (sigaltstack, mmap,
  // munmap: as below.)
  CHECK(tried(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
      {"names": ["getpid", "write", "exit_group", "unshare", "sigaltstack", "mmap", "munmap"],
       "action": "SCMP_ACT_ALLOW"},
      {"names": ["umask"], "action": "SCMP_ACT_ALLOW",
       "args": [{"index": 0, "value": 18, "op": "SCMP_CMP_EQ"}]}]})") ==
        Errors{0, EACCES, EPERM, EACCES, EPERM, ENOSYS});
  // An action above the default profile's counts also where that denies.
  CHECK(tried(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["unshare"], "action": "SCMP_ACT_KILL_PROCESS"}]})")
            .empty());
  CHECK(tried(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["umask"], "action": "SCMP_ACT_LOG"}]})") == alone);
}

TEST_CASE("an artifact is for the architectures of the profile that it is merged with") {
  oci::Seccomp base = DefaultWith({});
  oci::Seccomp artifact;
  artifact.default_action = "SCMP_ACT_ALLOW";
  oci::Seccomp named = artifact;
  named.architectures = base.architectures;
  CHECK(*CompileSeccomp(base, artifact) == *CompileSeccomp(base, named));
  base.architectures = {};
  CHECK(CompileSeccomp(base, artifact).ok());
}

TEST_CASE("of two profiles' flags both must have the laxer one, either the stricter one") {
  const auto flags = [](const std::vector<std::string>& of_base,
                        const std::vector<std::string>& of_artifact) {
    oci::Seccomp base = DefaultWith({});
    base.flags = of_base;
    oci::Seccomp artifact;
    artifact.default_action = "SCMP_ACT_ALLOW";
    artifact.flags = of_artifact;
    const absl::StatusOr<std::string> file = CompileSeccomp(base, artifact);
    REQUIRE(file.ok());
    ipc::SeccompHead head;
    memcpy(&head, file->data(), sizeof(head));
    return head.flags;
  };
  const char kLog[] = "SECCOMP_FILTER_FLAG_LOG";
  const char kSpec[] = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";
  CHECK(flags({}, {kLog, kSpec}) == SECCOMP_FILTER_FLAG_LOG);
  CHECK(flags({kLog, kSpec}, {}) == SECCOMP_FILTER_FLAG_LOG);
  CHECK(flags({kSpec}, {kSpec}) == SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

TEST_CASE("the flags of a profile are written before its filter") {
  oci::Seccomp profile = DefaultWith({});
  const auto flags = [&](const std::vector<std::string>& names) {
    profile.flags = names;
    const absl::StatusOr<std::string> file = CompileSeccomp(profile);
    REQUIRE(file.ok());
    ipc::SeccompHead head;
    memcpy(&head, file->data(), sizeof(head));
    return head.flags;
  };
  CHECK(flags({}) == 0);
  CHECK(flags({"SECCOMP_FILTER_FLAG_TSYNC"}) == 0);
  CHECK(flags({"SECCOMP_FILTER_FLAG_LOG"}) == SECCOMP_FILTER_FLAG_LOG);
  CHECK(flags({"SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"}) ==
        (SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_LOG));
  CHECK(flags({}) == 0);  // the cached filter does not bring its flags
}

TEST_CASE("profiles that cannot be compiled") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  CheckRefused(CompileSeccomp(profile).status(), "\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"");
  profile.flags = {};
  profile.default_action = "SCMP_ACT_NOTIFY";
  CheckRefused(CompileSeccomp(profile).status(), "SCMP_ACT_NOTIFY");
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.architectures = {"x86_64"};
  CheckRefused(CompileSeccomp(profile).status(), "architecture \"x86_64\"");
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_AARCH64"};
  CHECK(CompileSeccomp(profile).ok());
  profile.architectures = {"SCMP_ARCH_FLY"};
  CheckRefused(CompileSeccomp(profile).status(), "architecture \"SCMP_ARCH_FLY\"");
  profile.architectures = {};
  oci::SeccompSyscall& rule = profile.syscalls.emplace_back();
  rule.names = {"umask"};
  rule.action = "SCMP_ACT_NOTIFY";
  CheckRefused(CompileSeccomp(profile).status(), "SCMP_ACT_NOTIFY");
  rule.action = "SCMP_ACT_ERRNO";
  rule.args = {{.index = 6, .value = 0, .value_two = 0, .op = "SCMP_CMP_EQ"}};
  CheckRefused(CompileSeccomp(profile).status(), "argument 6");
  rule.args = {{.index = 0, .value = 0, .value_two = 0, .op = "EQ"}};
  CheckRefused(CompileSeccomp(profile).status(), "operator \"EQ\"");
  rule.names = {"mseal"};
  rule.args = {{.index = 0, .value = 0, .value_two = 0, .op = "SCMP_CMP_EQ"}};
  CheckRefused(CompileSeccomp(profile).status(), "\"mseal\": arguments need");
  // More instructions than the kernel takes beside the shim's, and more rules than libseccomp gets
  // through soon.
  rule.names = {"umask"};
  const oci::SeccompSyscall one = rule;
  profile.syscalls.assign(4096, one);
  for (uint64_t i = 0; i < profile.syscalls.size(); ++i) profile.syscalls[i].args[0].value = i;
  CheckRefused(CompileSeccomp(profile).status(), "instructions, at most 4080");
  profile.syscalls.push_back(one);
  CheckRefused(CompileSeccomp(profile).status(), "4097 rules, at most 4096");
  profile.syscalls = {one};
  profile.syscalls[0].names.assign(1000, "umask");
  profile.syscalls[0].args.assign(1000, one.args[0]);
  CheckRefused(CompileSeccomp(profile).status(), "1000000 rules, at most 4096");
}

TEST_CASE("equal profiles have the same filter, different ones do not") {
  oci::Seccomp profile = DefaultWith({});
  const std::string filter = FilterOf(profile);
  CHECK(FilterOf(profile) == filter);
  profile.default_errno_ret = 13;
  CHECK(FilterOf(profile) != filter);
  CHECK(FilterOf(DefaultWith({"CAP_SYS_ADMIN"})) != filter);
}

// Not run by default: the cost of a new pod's profile.
TEST_CASE("measure", "[.measure]") {
  const auto micros = [](auto work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                                 start)
        .count();
  };
  for (uint32_t i = 1; i <= 5; ++i) {
    oci::Seccomp profile = DefaultWith({});
    profile.default_errno_ret = i;  // not in the cache
    size_t size = 0;
    std::cout << "compile " << micros([&] { size = FilterOf(profile).size(); });
    std::cout << " us, cached " << micros([&] { FilterOf(profile); });
    std::cout << " us, select " << micros([&] { DefaultWith({}); });
    std::cout << " us, instructions " << size / sizeof(sock_filter) << "\n";
  }
}

}  // namespace
}  // namespace crisp::spec
