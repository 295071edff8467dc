#include "cni/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::cni {
namespace {

bool IsNetns(int fd) { return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET; }

// Makes `dir` a shared mount, as `ip netns add` does: mounting and unmounting a pin then propagates
// to every mount namespace that is a peer or slave of the host's.
absl::Status ShareNetnsDir(const std::string& dir) {
  if (mount("", dir.c_str(), "none", MS_SHARED, nullptr) == 0) return absl::OkStatus();
  if (errno != EINVAL) return base::Errno("make shared", dir);
  // Not a mount yet. iproute2 takes this lock for the same two calls: without it two processes
  // could both bind the directory, and the second mount would hide the pins below it.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd lock, base::Open(dir, O_RDONLY | O_DIRECTORY));
  if (flock(lock.get(), LOCK_EX) != 0) return base::Errno("lock", dir);
  if (mount("", dir.c_str(), "none", MS_SHARED, nullptr) == 0) return absl::OkStatus();
  if (errno != EINVAL) return base::Errno("make shared", dir);
  if (mount(dir.c_str(), dir.c_str(), "none", MS_BIND | MS_REC, nullptr) != 0) {
    return base::Errno("bind", dir);
  }
  if (mount("", dir.c_str(), "none", MS_SHARED, nullptr) != 0) {
    return base::Errno("make shared", dir);
  }
  return absl::OkStatus();
}

absl::StatusOr<InterfaceStats> ParseLine(absl::string_view line) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits(':', 1));
  InterfaceStats stats;
  // A container may have chosen it, and kubelet reads no answer with bytes that are not UTF-8.
  stats.name = base::Printable(absl::StripAsciiWhitespace(parts.first));
  const std::vector<absl::string_view> columns =
      absl::StrSplit(parts.second, ' ', absl::SkipEmpty());
  // bytes packets errs drop fifo frame compressed multicast | bytes packets errs drop ...
  const std::pair<size_t, uint64_t*> wanted[] = {
      {0, &stats.rx_bytes}, {1, &stats.rx_packets}, {2, &stats.rx_errors},  {3, &stats.rx_dropped},
      {8, &stats.tx_bytes}, {9, &stats.tx_packets}, {10, &stats.tx_errors}, {11, &stats.tx_dropped},
  };
  for (const auto& [column, value] : wanted) {
    if (stats.name.empty() || column >= columns.size() ||
        !absl::SimpleAtoi(columns[column], value)) {
      return absl::InvalidArgumentError(
          "interface statistics: line is not in the format of /proc/net/dev");
    }
  }
  return stats;
}

}  // namespace

std::string NetnsPath(absl::string_view sandbox_id) {
  return absl::StrCat(kNetnsDir, "/cni-", sandbox_id.substr(0, 8), "-", sandbox_id.substr(8, 4),
                      "-", sandbox_id.substr(12, 4), "-", sandbox_id.substr(16, 4), "-",
                      sandbox_id.substr(20, 12));
}

absl::StatusOr<base::UniqueFd> OpenNetns(const std::string& path) {
  // O_NONBLOCK: open(2) must not block when a FIFO is in the place of the pin.
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd fd, base::Open(path, O_RDONLY | O_NONBLOCK));
  if (!IsNetns(fd.get())) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a network namespace"));
  }
  return fd;
}

absl::StatusOr<base::UniqueFd> FindNetns(const std::string& path) {
  absl::StatusOr<base::UniqueFd> fd = OpenNetns(path);
  const bool gone = absl::IsNotFound(fd.status()) || absl::IsFailedPrecondition(fd.status());
  return gone ? base::UniqueFd() : std::move(fd);
}

absl::StatusOr<std::string> PinNetns(int netns_fd, absl::string_view name, const std::string& dir) {
  if (name.empty() || name == "." || name == ".." || absl::StrContains(name, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("pin netns: name \"", name, "\": must be a plain file name"));
  }
  if (!IsNetns(netns_fd)) {
    return absl::InvalidArgumentError("pin netns: the descriptor is not a network namespace");
  }
  CRISP_RETURN_IF_ERROR(base::MakeDirs(dir, 0755));
  CRISP_RETURN_IF_ERROR(base::Prefix(ShareNetnsDir(dir), "pin netns"));
  const std::string path = base::JoinPath(dir, name);
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd target, base::Open(path, O_RDONLY | O_CREAT | O_EXCL, 0));
  target.reset();
  base::Failpoint("netns pin: file made");
  const std::string source = absl::StrCat("/proc/self/fd/", netns_fd);
  if (mount(source.c_str(), path.c_str(), "none", MS_BIND, nullptr) != 0) {
    const absl::Status status = base::Errno("pin netns: bind", path);
    unlink(path.c_str());
    return status;
  }
  return path;
}

absl::Status UnpinNetns(const std::string& path) {
  // EINVAL: nothing is mounted there, because the file was replaced or an earlier call was
  // interrupted after this step.
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
      errno != ENOENT) {
    return base::Errno("unpin netns: umount", path);
  }
  base::Failpoint("netns pin: unmounted");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::Errno("unpin netns: unlink", path);
  return absl::OkStatus();
}

absl::Status RunInNetns(int netns_fd, const std::function<absl::Status()>& work) {
  absl::Status status;
  // A new thread, because the change of namespace cannot be undone reliably.
  CRISP_ASSIGN_OR_RETURN(base::Thread thread, base::StartThread("netns", [&] {
                           status = setns(netns_fd, CLONE_NEWNET) == 0
                                        ? work()
                                        : base::Errno("setns", "network namespace");
                         }));
  thread.Join();
  return status;
}

absl::Status SetLoopbackUp(int netns_fd) {
  return RunInNetns(netns_fd, [] {
    const base::UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control.valid()) return base::Errno("socket", "AF_INET");
    ifreq request = {};
    memcpy(request.ifr_name, "lo", 3);
    if (ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) return base::Errno("get flags of", "lo");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return base::Errno("set up", "lo");
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<InterfaceStats>> ReadInterfaceStats(int process) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd file, base::OpenAt(process, "net/dev", O_RDONLY));
  constexpr size_t kMaxBytes = 64 << 10;
  std::string text(kMaxBytes, '\0');
  size_t size = 0;
  for (ssize_t n = 1; n > 0 && size < kMaxBytes; size += static_cast<size_t>(n)) {
    n = read(file.get(), &text[size], kMaxBytes - size);
    if (n < 0) return base::Errno("read", "net/dev");
  }
  text.resize(size);
  text.resize(text.rfind('\n') + 1);  // npos + 1 is 0
  return ParseInterfaceStats(text);
}

absl::StatusOr<std::vector<InterfaceStats>> ParseInterfaceStats(absl::string_view text) {
  std::vector<InterfaceStats> interfaces;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++line_number <= 2) continue;  // two header lines
    CRISP_ASSIGN_OR_RETURN(InterfaceStats stats, ParseLine(line));
    interfaces.push_back(std::move(stats));
  }
  return interfaces;
}

}  // namespace crisp::cni
