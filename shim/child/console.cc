// Terminals: a pty of the container's own devpts. The master is sent to the shim. The slave is
// opened through the master (TIOCGPTPEER): its path could be replaced by a hostile image or
// process.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"
#include "shim/child/target.h"

namespace crisp::shim {
namespace {

bool IsDevice(int fd, unsigned major, unsigned minor) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(major, minor);
}

bool SendMaster(int socket, int master) {
  char byte = 'm';
  iovec io = {.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &master, sizeof(int));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

bool OpenPty(Child& child) {
  const base::UniqueFd master(
      linux::OpenAt2(child.root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC,
                     RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
  if (!master.valid()) return child.Fail("/dev/pts/ptmx");
  constexpr unsigned kPtmxMajor = 5, kPtmxMinor = 2;
  if (!IsOnFilesystem(master.get(), DEVPTS_SUPER_MAGIC) ||
      !IsDevice(master.get(), kPtmxMajor, kPtmxMinor)) {
    return child.Refuse(ENODEV, "/dev/pts/ptmx is not on devpts");
  }
  int unlock = 0;
  if (ioctl(master.get(), TIOCSPTLCK, &unlock) != 0) return child.Fail("unlock the pty");
  child.terminal = ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (child.terminal < 0) return child.Fail("open the slave of the pty");
  // The container's user must be able to open the terminal again. The group stays the one devpts
  // sets ("gid=5").
  if (fchown(child.terminal, child.process.uid, static_cast<gid_t>(-1)) != 0)
    return child.Fail("chown the pty");
  return SendMaster(child.process.console_socket, master.get()) ||
         child.Fail("send the pty to the shim");
}

}  // namespace

bool ApplyContainerConsole(Child& child) {
  if (!child.process.terminal) return true;
  if (!OpenPty(child)) return false;
  if (!child.launch->populate_dev) return true;
  const base::UniqueFd place(OpenOrMakeInside(child.root, "/dev/console", TargetType::kFile));
  if (!place.valid()) return child.Fail("/dev/console");
  const base::UniqueFd tree(
      open_tree(child.terminal, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  return (tree.valid() && AttachTree(tree.get(), place.get())) || child.Fail("/dev/console");
}

bool ApplyExecConsole(Child& child) {
  if (!child.process.terminal) return true;
  child.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return child.root >= 0 ? OpenPty(child) : child.Fail("open /");
}

}  // namespace crisp::shim
