#include "fault/loop_disk.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "linux/spawn.h"

namespace crisp::test {
namespace {

std::string Shell(const std::string& script) {
  const absl::StatusOr<linux::RunResult> result =
      linux::Run({.path = "/bin/sh",
                  .args = {"sh", "-ec", script},
                  .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}},
                 "", {});
  if (!result.ok() || result->exit_code != 0) {
    throw std::runtime_error(absl::StrCat(script, ": ", result.status().ToString(), " ",
                                          result.ok() ? result->err : ""));
  }
  return std::string(absl::StripAsciiWhitespace(result->out));
}

[[noreturn]] void Fail(const std::string& what) {
  throw std::runtime_error(absl::StrCat(what, ": error ", errno));
}

}  // namespace

LoopDisk::LoopDisk() {
  char name[] = "/var/lib/crisp-test-power-XXXXXX";
  if (mkdtemp(name) == nullptr) Fail("mkdtemp");
  directory_ = name;
  path_ = directory_ + "/mnt";
  if (mkdir(path_.c_str(), 0755) != 0) Fail("mkdir");
  const std::string file = directory_ + "/disk";
  // Nothing is initialized in the background, and there are no more inodes than the tests need.
  Shell(absl::StrCat("truncate -s 2G ", file, "; mkfs.ext4 -q -b 4096 -m 0 -N 65536 -J size=16 ",
                     "-E lazy_itable_init=0,lazy_journal_init=0 ", file));
  device_ = Shell("losetup --find --show " + file);
  Mount();
}

LoopDisk::~LoopDisk() {
  try {
    Detach();
    Shell(absl::StrCat("losetup --detach ", device_));
  } catch (const std::exception& error) {
    fprintf(stderr, "loop disk: %s\n", error.what());
  }
  (void)base::RemoveTree(directory_);
}

void LoopDisk::CutPower() const {
  constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);  // FS_IOC_SHUTDOWN
  uint32_t no_log_flush = 2;
  const auto root = base::Open(path_, O_RDONLY | O_DIRECTORY);
  if (!root.ok() || ioctl(root->get(), kShutdown, &no_log_flush) != 0) Fail("shut down");
}

void LoopDisk::Detach() const {
  // The kernel gives a mount up a moment after the last process that had it, and says so nowhere
  // but here.
  const std::string used = "/proc/fs/ext4/" + device_.substr(device_.rfind('/') + 1);
  const int64_t give_up = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
  bool mounted = true;
  while (mounted || access(used.c_str(), F_OK) == 0) {
    if (mounted && umount2(path_.c_str(), 0) == 0) mounted = false;
    if (base::MonotonicNanos() > give_up) throw std::runtime_error(path_ + " stays in use");
    usleep(2000);
  }
}

void LoopDisk::Mount() const {
  if (mount(device_.c_str(), path_.c_str(), "ext4", 0, nullptr) != 0) Fail("mount");
}

void LoopDisk::MountAgain() const {
  Detach();
  Mount();
}

uint64_t LoopDisk::UsedInodes() const {
  struct statvfs now;
  if (statvfs(path_.c_str(), &now) != 0) Fail("statvfs");
  return now.f_files - now.f_ffree;
}

}  // namespace crisp::test
