// Whatever crispd was started with, a container and its execs have what a process has after boot.
#include "inherited.h"

#include <linux/keyctl.h>
#include <linux/mempolicy.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bundle.h"

namespace crisp::test {
namespace {

// glibc refuses its own two signals, 32 and 33. `action` is the kernel's struct sigaction.
void SetAction(int number, const uint64_t (&action)[4], uint64_t (*before)[4]) {
  REQUIRE(syscall(SYS_rt_sigaction, number, action, before == nullptr ? nullptr : *before, 8) == 0);
}

// What crispd may have been started with, of the calling thread. Signal actions and the umask are
// of the whole process: the destructor sets them back.
class StrangeThread {
 public:
  StrangeThread() {
    constexpr uint64_t kIgnore[4] = {1, 0, 0, 0};
    for (const int number : kIgnored) SetAction(number, kIgnore, &actions_[number]);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &blocked, nullptr) == 0);
    // Not 0022, but one with which the container's cgroup, made in this process, is open to a user
    // namespace. crispd has set its own before it makes any (main.cc).
    umask_ = umask(0);
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    REQUIRE(sched_setaffinity(0, sizeof(first), &first) == 0);
    const sched_param none = {.sched_priority = 0};
    REQUIRE(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
    REQUIRE(setpriority(PRIO_PROCESS, 0, 5) == 0);
    REQUIRE(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)) == 0);
    const unsigned long node = 1;
    if (syscall(SYS_set_mempolicy, MPOL_BIND, &node, 8) != 0) WARN("no NUMA in this kernel");
    REQUIRE(prctl(PR_SET_TIMERSLACK, 1'000'000, 0, 0, 0) == 0);
    REQUIRE(personality(ADDR_NO_RANDOMIZE) >= 0);
    REQUIRE(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0);
    REQUIRE(syscall(SYS_add_key, "user", "of-init", "host", 4, KEY_SPEC_SESSION_KEYRING) >= 0);
  }
  ~StrangeThread() {
    umask(umask_);
    for (const int number : kIgnored) SetAction(number, actions_[number], nullptr);
  }

 private:
  static constexpr int kIgnored[] = {SIGUSR1, SIGPIPE, 32, 33, 40};
  uint64_t actions_[65][4] = {};
  mode_t umask_ = 0;
};

template <typename Run>
void InThread(Run run) {
  std::thread thread(run);
  thread.join();
}

std::string AfterBoot() {
  std::string text;
  InThread([&] {
    unsigned char all[1024];
    memset(all, 0xff, sizeof(all));
    REQUIRE(syscall(SYS_sched_setaffinity, 0, sizeof(all), all) == 0);
    REQUIRE(setpriority(PRIO_PROCESS, 0, 0) == 0);
    REQUIRE(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_NONE, 0)) == 0);
    text = Affinity() + Priorities(SCHED_OTHER, 0, IoPriority()) +
           Others(MPOL_DEFAULT, 50'000, PER_LINUX, 0022) +
           "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" + Limits();
  });
  return text;
}

void CheckSame(const std::string& found, const std::string& expected) {
  const std::vector<std::string> a = absl::StrSplit(found, '\n');
  const std::vector<std::string> b = absl::StrSplit(expected, '\n');
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
}

oci::Spec Wait(bool user_namespace) {
  oci::Spec spec = DefaultSpec({"/inherited", "wait"});
  if (!user_namespace) return spec;
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = spec.linux_.gid_mappings = {{0, 200000, 65536}};
  return spec;
}

void AddProgram(Bundle& bundle) { bundle.AddFile("inherited", Slurp(CRISP_INHERITED)); }

void StartInherited(Bundle& bundle, const oci::Spec& spec) {
  const auto started = bundle.Start(spec);
  INFO(started.status());
  REQUIRE(started.ok());
  (void)Await(bundle.log_path(),
              [](const std::string& text) { return absl::StrContains(text, " end\n"); });
}

std::string Exec(Bundle& bundle) {
  const auto result = bundle.Exec({"/inherited"});
  INFO(result.status());
  REQUIRE(result.ok());
  return result->out;
}

}  // namespace

TEST_CASE("a container and its execs inherit nothing that crispd was started with",
          "[shim][isolation]") {
  const std::string after_boot = AfterBoot();
  for (const bool user_namespace : {false, true}) {
    CAPTURE(user_namespace);
    Bundle bundle;
    AddProgram(bundle);  // with the umask of this thread
    std::string of_init, of_exec;
    InThread([&] {
      const StrangeThread strange;
      StartInherited(bundle, Wait(user_namespace));
      of_init = bundle.LogText();
      of_exec = Exec(bundle);
    });
    const std::string expected =
        absl::StrCat(after_boot, "keyring _ses.", bundle.id(), "\nkey yes\nend\n");
    CheckSame(of_init, expected);
    CheckSame(of_exec, expected);
  }
}

TEST_CASE("the session keyring is shared by a container and its execs, and by nobody else",
          "[shim][isolation]") {
  Bundle one;
  Bundle other;
  AddProgram(one);
  AddProgram(other);
  StartInherited(one, Wait(false));
  REQUIRE(other.Start(DefaultSpec({"sleep", "1000"})).ok());
  CHECK(absl::StrContains(Exec(one), absl::StrCat("keyring _ses.", one.id(), "\nkey yes\n")));
  CHECK(absl::StrContains(Exec(other), absl::StrCat("keyring _ses.", other.id(), "\nkey no\n")));
}

}  // namespace crisp::test
