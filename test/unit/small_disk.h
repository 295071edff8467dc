// Runs test code on a small file system that it may fill up or make read-only: a tmpfs in a mount
// namespace of its own, which ends with the child process that the code runs in. The host does not
// see it.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::test {

// Takes every block and, with empty files, every inode.
inline void FillUp(const std::string& dir) {
  const base::UniqueFd ballast(
      open((dir + "/ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string page(4096, 'x');
  while (base::WriteAll(ballast.get(), page).ok()) {
  }
  for (int i = 0;; ++i) {
    const base::UniqueFd file(
        open(absl::StrCat(dir, "/inode-", i).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!file.valid()) return;
  }
}

inline void FreeSpace(const std::string& dir) {
  const std::vector<std::string> names = *base::ListDir(dir);
  for (const std::string& name : names) {
    if (name == "ballast" || name.rfind("inode-", 0) == 0) unlink((dir + "/" + name).c_str());
  }
}

inline bool SetReadOnly(const std::string& dir, bool on) {
  return mount("", dir.c_str(), "", MS_REMOUNT | (on ? MS_RDONLY : 0), nullptr) == 0;
}

inline bool MountSmallDisk(const std::string& dir) {
  const std::string user = absl::StrCat("0 ", geteuid(), " 1");
  const std::string group = absl::StrCat("0 ", getegid(), " 1");
  const bool root = geteuid() == 0;
  if (unshare(root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
  if (!root && !(base::WriteExisting("/proc/self/uid_map", user).ok() &&
                 base::WriteExisting("/proc/self/setgroups", "deny").ok() &&
                 base::WriteExisting("/proc/self/gid_map", group).ok()))
    return false;
  return mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("crisp-test", dir.c_str(), "tmpfs", 0, "size=256k,nr_inodes=100") == 0;
}

// `body` gets the directory and returns what went wrong, "" if nothing did: a failed REQUIRE would
// not be heard of.
inline void OnSmallDisk(const std::function<std::string(const std::string& dir)>& body) {
  char dir[] = "/tmp/crisp-disk-XXXXXX";
  REQUIRE(mkdtemp(dir) != nullptr);
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  base::UniqueFd in(fds[0]), out(fds[1]);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string wrong = MountSmallDisk(dir) ? body(dir) : "skipped";
    (void)base::WriteAll(out.get(), wrong);
    _exit(0);
  }
  out.reset();
  const std::string wrong = *base::ReadAll(in.get());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  rmdir(dir);
  REQUIRE(status == 0);
  if (wrong == "skipped") {
    printf("skipped: a small disk: mount namespaces cannot be made here\n");
    return;
  }
  CHECK(wrong == "");
}

}  // namespace crisp::test
