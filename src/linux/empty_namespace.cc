#include "linux/empty_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "linux/syscalls.h"

namespace crisp::linux {
namespace {

absl::StatusOr<base::UniqueFd> Make() {
  // This thread's own, until it ends; so are the root and working directory.
  if (unshare(CLONE_NEWNS) != 0) return base::Errno("unshare", "mount namespace");
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd made, base::Open("/proc/thread-self/ns/mnt", O_RDONLY));
  // Those who join begin at the root of the namespace, which is not this thread's own when crispd
  // runs in a chroot.
  if (setns(made.get(), CLONE_NEWNS) != 0) return base::Errno("setns", "mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return base::Errno("make private", "/");
  // Any directory would do.
  constexpr char kPlace[] = "/proc";
  constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("crisp-empty", kPlace, "tmpfs", kFlags, "size=4k,nr_inodes=1,mode=0555") != 0) {
    return base::Errno("mount tmpfs", kPlace);
  }
  if (chdir(kPlace) != 0) return base::Errno("chdir", kPlace);
  // With "." for both, the old root is stacked on top of the new one (pivot_root(2)).
  if (PivotRoot(".", ".") != 0) return base::Errno("pivot_root", kPlace);
  if (umount2(".", MNT_DETACH) != 0) return base::Errno("detach", "the host's root");
  return made;
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakeEmptyMountNamespace() {
  absl::StatusOr<base::UniqueFd> made = absl::InternalError("");
  CRISP_ASSIGN_OR_RETURN(base::Thread thread,
                         base::StartThread("empty mounts", [&] { made = Make(); }));
  thread.Join();
  return made;
}

}  // namespace crisp::linux
