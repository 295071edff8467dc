// A container whose mount of cgroup2 is writable: it divides its own group, and no more.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bundle.h"

namespace crisp::test {
namespace {

// Prints the owner of its group, of a file for processes and of a limit; then it divides the group.
constexpr char kDivide[] =
    "exec 2>&1; cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.max.depth; "
    "mkdir own && echo 0 >own/cgroup.procs && grep ^0:: /proc/self/cgroup; "
    "(echo 1 >cgroup.max.depth) 2>/dev/null || echo refused";

oci::Spec WithWritableCgroups(uint32_t uid) {
  oci::Spec spec = ShellSpec(kDivide);
  spec.process.user = {.uid = uid, .gid = uid, .umask = {}, .additional_gids = {}};
  for (oci::Mount& mount : spec.mounts) {
    if (mount.type == "cgroup") mount.options.back() = "rw";
  }
  return spec;
}

// Clock ticks (proc_pid_stat(5), utime and stime).
int64_t CpuTicks(pid_t pid) {
  const std::string stat = Slurp(absl::StrCat("/proc/", pid, "/stat"));
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(stat.rfind(')') + 2), ' ');
  int64_t user = 0;
  int64_t system = 0;
  REQUIRE(absl::SimpleAtoi(fields.at(11), &user));
  REQUIRE(absl::SimpleAtoi(fields.at(12), &system));
  return user + system;
}

}  // namespace

TEST_CASE("a writable mount of its own cgroup2 group is the user's to divide, its limits are not",
          "[shim][cgroups]") {
  Bundle bundle;
  bundle.UseOnlyCgroup2();
  CHECK(bundle.Run(WithWritableCgroups(1000)) == "1000\n1000\n0\n0::/own\nrefused\n");

  // A user namespace has no id for root of the host.
  for (const uint32_t uid : {0, 1000}) {
    Bundle mapped;
    mapped.UseOnlyCgroup2();
    oci::Spec spec = WithWritableCgroups(uid);
    spec.linux_.namespaces.push_back({"user", ""});
    spec.linux_.uid_mappings = {{0, 200000, 65536}};
    spec.linux_.gid_mappings = {{0, 200000, 65536}};
    CHECK(mapped.Run(spec) == absl::StrCat(uid, "\n", uid, "\n65534\n0::/own\nrefused\n"));
    struct stat info;
    REQUIRE(stat(mapped.group().c_str(), &info) == 0);
    CHECK(info.st_uid == 200'000 + uid);
    CHECK(info.st_gid == 200'000);
  }
}

TEST_CASE("a container with writable cgroups can make 4,096 groups, whoever it runs as",
          "[shim][cgroups]") {
  for (const uint32_t uid : {0, 1000}) {
    CAPTURE(uid);
    Bundle bundle;
    bundle.UseOnlyCgroup2();
    oci::Spec spec = WithWritableCgroups(uid);
    spec.process.args = {"true"};
    bundle.Run(spec);
    CHECK(Slurp(bundle.group() + "/cgroup.max.descendants") == "4096\n");
  }
}

TEST_CASE("an exec that moves itself out of its cgroup is killed all the same", "[shim][cgroups]") {
  Bundle bundle;
  bundle.UseOnlyCgroup2();
  oci::Spec spec = WithWritableCgroups(0);
  spec.process.args = {"sleep", "1000"};
  REQUIRE(bundle.Start(spec).ok());
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto session = shim_client::ExecSession::Open(
      bundle.path(),
      {"sh", "-c", "cd /sys/fs/cgroup; mkdir own; echo 0 >own/cgroup.procs; exec sleep 1000"},
      false, {null.get(), null.get(), null.get()}, DeadlineIn(20'000));
  INFO(session.status());
  REQUIRE(session.ok());
  const std::string moved = bundle.group() + "/own/cgroup.procs";
  Await(moved, [](const std::string& pids) { return !pids.empty(); });
  REQUIRE(session->Kill().ok());
  CHECK(session->Wait(DeadlineIn(20'000)).value_or(-1) == 137);
  CHECK(Slurp(moved).empty());
}

TEST_CASE("an exec that removes its own cgroup does not keep the shim busy", "[shim][cgroups]") {
  Bundle bundle;
  bundle.UseOnlyCgroup2();
  oci::Spec spec = WithWritableCgroups(0);
  spec.process.args = {"sleep", "1000"};
  REQUIRE(bundle.Start(spec).ok());
  const base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  const base::UniqueFd given(fds[0]), go(fds[1]);
  const auto session = shim_client::ExecSession::Open(
      bundle.path(),
      {"sh", "-c",
       "cd /sys/fs/cgroup; mkdir own; read go; echo 0 >own/cgroup.procs; rmdir execb && "
       "mkdir gone; exec sleep 1"},
      false, {given.get(), null.get(), null.get()}, DeadlineIn(20'000));
  INFO(session.status());
  REQUIRE(session.ok());
  const std::string group = bundle.group();
  Await(group + "/own/cgroup.type", [](const std::string& type) { return !type.empty(); });
  // The kernel puts off a second event within 10 ms, and forgets it when the group is removed.
  poll(nullptr, 0, 20);
  // Stopped, so that it finds the event and the group gone.
  REQUIRE(kill(bundle.shim_pid(), SIGSTOP) == 0);
  REQUIRE(write(go.get(), "\n", 1) == 1);
  Await(group + "/gone/cgroup.type", [](const std::string& type) { return !type.empty(); });
  const int64_t before = CpuTicks(bundle.shim_pid());
  REQUIRE(kill(bundle.shim_pid(), SIGCONT) == 0);
  CHECK(session->Wait(DeadlineIn(20'000)).value_or(-1) == 0);
  CHECK(CpuTicks(bundle.shim_pid()) - before < sysconf(_SC_CLK_TCK) / 4);
}

TEST_CASE("a read-only mount of its cgroups, or the host's cgroups, leave the group root's",
          "[shim][cgroups]") {
  for (const bool own_namespace : {true, false}) {
    CAPTURE(own_namespace);
    Bundle bundle;
    bundle.UseOnlyCgroup2();
    oci::Spec spec = WithWritableCgroups(1000);
    spec.process.args = {"true"};
    if (own_namespace) {
      for (oci::Mount& mount : spec.mounts) {
        if (mount.type == "cgroup") mount.options.back() = "ro";
      }
    } else {
      spec.linux_.namespaces.pop_back();  // "cgroup"
    }
    bundle.Run(spec);
    struct stat info;
    REQUIRE(stat(bundle.group().c_str(), &info) == 0);
    CHECK(info.st_uid == 0);
    CHECK(Slurp(bundle.group() + "/cgroup.max.descendants") == "max\n");
  }
}

}  // namespace crisp::test
