// Real groups with processes in them, for tests that check the kernel's behaviour. Needs root.
#pragma once

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/id.h"
#include "cgroup/cgroups.h"
#include "cgroup/join.h"

namespace crisp::cgroup_test {

using cgroup::Resources;

inline constexpr int64_t kMiB = 1 << 20;
inline constexpr absl::Duration kPatience = absl::Seconds(20);
// Every child has an alarm, in case the test dies before it has killed the group.
inline constexpr unsigned kChildSeconds = 60;

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }
inline bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Makes groups below /crisp-test-<pid> and checks at the end that none is left.
struct Kernel {
  const std::string root = absl::StrCat("/crisp-test-", getpid());
  std::unique_ptr<cgroup::Cgroups> groups;
  Kernel() {
    auto opened = cgroup::Cgroups::Open({});
    REQUIRE(opened.ok());
    groups = std::move(*opened);
    // Makes this process the parent of orphans in the groups, so that it can reap them.
    REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  }
  ~Kernel() {
    const bool left = ExistsAnywhere(root);
    CHECK_FALSE(left);
    if (left) (void)groups->Kill(root);
    while (waitpid(-1, nullptr, left ? 0 : WNOHANG) > 0) {
    }
    if (left) (void)groups->Remove(root, kPatience);
  }
  const cgroup::Layout& layout() const { return groups->layout(); }
  bool ExistsAnywhere(const std::string& path) const {
    cgroup::Directories directories = layout().At(path);
    bool found = Exists(directories.v2);
    for (const std::string& directory : directories.v1) found = found || Exists(directory);
    return found;
  }
  std::string NewPath() const { return *groups->Path(root + "/pods", base::NewId()); }
  std::string Read(const std::string& path, absl::string_view controller,
                   absl::string_view file) const {
    const auto text =
        base::ReadFile(absl::StrCat(layout().Find(controller)->mount_point, path, "/", file));
    return text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : "<missing>";
  }
  // The content of `v1_file` on v1, or of `v2_file` on v2.
  std::string Read(const std::string& path, absl::string_view controller, absl::string_view v1_file,
                   absl::string_view v2_file) const {
    return Read(path, controller, layout().v2_only() ? v2_file : v1_file);
  }
};

// Clones a child into the cgroup2 group and the v1 groups; it exits with the result of `run`.
inline pid_t Start(const cgroup::JoinFds& join, int v2_fd, const std::function<int()>& run) {
  clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(v2_fd);
  const pid_t pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid == 0) {
    alarm(kChildSeconds);
    _exit(cgroup::JoinSelf(join.tasks).ok() ? run() : 99);
  }
  REQUIRE(pid > 0);
  return pid;
}

inline int Wait(pid_t pid) {
  int status = -1;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status;
}

struct Pipe {
  int fds[2];
  Pipe() { REQUIRE(pipe2(fds, O_CLOEXEC) == 0); }
  ~Pipe() {
    close(fds[0]);
    close(fds[1]);
  }
  void Tell() const { (void)!write(fds[1], "x", 1); }
  // False when nothing is told within the time limit.
  bool Hear() const {
    pollfd poll_fd = {fds[0], POLLIN, 0};
    char byte;
    return poll(&poll_fd, 1, 20'000) == 1 && read(fds[0], &byte, 1) == 1;
  }
};

inline void KillAndRemove(Kernel& kernel, const std::string& path) {
  CHECK(kernel.groups->Kill(path).ok());
  const absl::Status removed = kernel.groups->Remove(path, kPatience);
  INFO(removed);
  CHECK(removed.ok());
  CHECK_FALSE(kernel.ExistsAnywhere(path));
}

}  // namespace crisp::cgroup_test
