#include "test/fault/hostile/host_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "digest/hasher.h"

namespace crisp::hostile {
namespace {

constexpr int64_t kSettleNanos = 10'000'000'000;

// Those that decide what the kernel executes, or that a pod may set for itself.
constexpr const char* kSysctls[] = {"kernel/core_pattern",
                                    "kernel/modprobe",
                                    "kernel/hotplug",
                                    "kernel/hostname",
                                    "kernel/domainname",
                                    "kernel/shm_rmid_forced",
                                    "kernel/shmmax",
                                    "kernel/msgmax",
                                    "kernel/sem",
                                    "kernel/panic",
                                    "kernel/sysrq",
                                    "kernel/yama/ptrace_scope",
                                    "fs/binfmt_misc/status",
                                    "fs/mqueue/msg_max",
                                    "fs/suid_dumpable",
                                    "vm/overcommit_memory",
                                    "vm/panic_on_oom",
                                    "net/ipv4/ip_unprivileged_port_start",
                                    "net/ipv4/ping_group_range",
                                    "net/ipv4/tcp_syncookies"};
constexpr const char* kFiles[] = {"/etc/passwd",        "/etc/group",     "/etc/shadow",
                                  "/etc/hosts",         "/etc/hostname",  "/etc/resolv.conf",
                                  "/etc/ld.so.preload", "/etc/localtime", "/etc/nsswitch.conf"};
constexpr const char* kNodes[] = {"/",         "/etc",         "/root",      "/dev/null",
                                  "/dev/zero", "/dev/console", "/dev/ptmx",  "/dev/pts/ptmx",
                                  "/dev/full", "/dev/urandom", "/dev/random"};

std::string Inode(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) return "missing";
  return absl::StrFormat("%o %d:%d %d:%d", info.st_mode, info.st_uid, info.st_gid,
                         major(info.st_rdev), minor(info.st_rdev));
}

std::string Content(const std::string& path) {
  const absl::StatusOr<std::string> text = base::ReadFile(path);
  return text.ok() ? digest::Sha256(*text) : "missing";
}

void Tree(const std::string& root, std::multiset<std::string>& facts) {
  facts.insert(absl::StrCat("canary . ", Inode(root)));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    struct stat info = {};
    const std::string path = entry.path();
    if (lstat(path.c_str(), &info) != 0) continue;
    facts.insert(absl::StrCat("canary ", path.substr(root.size()), " ", Inode(path), " ",
                              info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, " ", info.st_nlink,
                              S_ISREG(info.st_mode) ? " " + Content(path) : ""));
  }
}

// Without the directories where runtimes, and whoever else uses this host, mount all the time.
bool IsBusy(const std::string& mount_point) {
  return absl::StartsWith(mount_point, "/run/") || absl::StartsWith(mount_point, "/var/lib/") ||
         absl::StartsWith(mount_point, "/tmp/");
}

void Mounts(const std::string& canary, std::multiset<std::string>& facts) {
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const auto separator = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || separator == fields.end()) continue;
    if (IsBusy(fields[4]) && !absl::StartsWith(fields[4], canary)) continue;
    facts.insert(absl::StrCat("mount ", fields[4], " ", fields[3], " ", separator[1]));
  }
}

// Processes with `mark` in their environment, which all containers of the suite have.
void Processes(const std::string& mark, std::multiset<std::string>& facts) {
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    const absl::StatusOr<std::string> environment = base::ReadFile(entry.path() / "environ");
    if (environment.ok() && absl::StrContains(*environment, mark)) {
      facts.insert("a process of a container");
    }
  }
}

}  // namespace

HostState HostState::Take(const std::string& canary, const std::string& mark) {
  HostState state;
  for (const char* name : kSysctls) {
    const absl::StatusOr<std::string> value = base::ReadFile(absl::StrCat("/proc/sys/", name));
    state.facts_.insert(absl::StrCat("sysctl ", name, " ", value.value_or("missing")));
  }
  for (const char* path : kFiles) state.facts_.insert(absl::StrCat(path, " ", Content(path)));
  for (const char* path : kNodes) state.facts_.insert(absl::StrCat(path, " ", Inode(path)));
  Tree(canary, state.facts_);
  Mounts(canary, state.facts_);
  Processes(mark, state.facts_);
  return state;
}

std::string HostState::Changes(const HostState& before, const std::string& canary,
                               const std::string& mark) {
  const int64_t give_up = base::MonotonicNanos() + kSettleNanos;
  while (true) {
    const HostState now = Take(canary, mark);
    if (now.facts_ == before.facts_) return "";
    if (base::MonotonicNanos() > give_up) {
      std::vector<std::string> gone;
      std::vector<std::string> added;
      std::set_difference(before.facts_.begin(), before.facts_.end(), now.facts_.begin(),
                          now.facts_.end(), std::back_inserter(gone));
      std::set_difference(now.facts_.begin(), now.facts_.end(), before.facts_.begin(),
                          before.facts_.end(), std::back_inserter(added));
      std::string changes;
      for (const std::string& fact : gone) absl::StrAppend(&changes, "was: ", fact, "; ");
      for (const std::string& fact : added) absl::StrAppend(&changes, "is: ", fact, "; ");
      return changes;
    }
    usleep(20'000);  // nothing tells when a runtime has tidied up
  }
}

}  // namespace crisp::hostile
