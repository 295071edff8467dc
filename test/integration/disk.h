// A disk that a test can fill up or make read-only: a tmpfs on the host.
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::test {

// A file system of its own, which exists longer than the daemon that uses it.
class Disk {
 public:
  Disk() {
    REQUIRE(mkdtemp(path_) != nullptr);
    REQUIRE(mount("crisp-test", path_, "tmpfs", 0, kRoomy) == 0);
  }
  ~Disk() {
    umount2(path_, MNT_DETACH);
    rmdir(path_);
  }
  Disk(const Disk&) = delete;

  std::string path() const { return path_; }
  // Takes what is free away, without using memory for it. Who uses the disk may do so meanwhile:
  // then the size is too small by the time that the kernel gets it, or a file finds room.
  void Fill() {
    // A size of 0 would mean that there is no limit.
    REQUIRE(base::WriteFileAtomic(path() + "/ballast", "x", 0600).ok());
    int tries = 0;
    while (!Shrink() || base::WriteFileAtomic(path() + "/probe", "x", 0600).ok())
      REQUIRE(++tries < 100);
  }
  void Free() { CHECK(mount("", path_, "", MS_REMOUNT, kRoomy) == 0); }
  void SetReadOnly(bool on) {
    const unsigned long flags = MS_REMOUNT | MS_BIND | (on ? MS_RDONLY : 0);
    CHECK(mount("", path_, "", flags, nullptr) == 0);
  }

 private:
  // To what is in use. False when that has grown since it was asked for.
  bool Shrink() {
    struct statvfs now;
    REQUIRE(statvfs(path_, &now) == 0);
    const std::string exact = absl::StrCat("size=", (now.f_blocks - now.f_bfree) * now.f_frsize,
                                           ",nr_inodes=", now.f_files - now.f_ffree);
    if (mount("", path_, "", MS_REMOUNT, exact.c_str()) == 0) return true;
    REQUIRE(errno == EINVAL);
    return false;
  }

  static constexpr char kRoomy[] = "size=400m,nr_inodes=20000,mode=755";
  char path_[64] = "/var/lib/crisp-test-disk-XXXXXX";
};

}  // namespace crisp::test
