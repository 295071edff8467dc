#include "rpc/listener.h"

#include <grpcpp/server_posix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"

namespace crisp::rpc {
namespace {

// Until accept4(2) is tried again after an error, as without a descriptor: no event tells of a free
// one.
constexpr int kRestMs = 100;

base::UniqueFd StreamSocket() {
  return base::UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// " (containerd, pid 812)": who listens at the other end of a connected socket, if that is known.
std::string Peer(int fd) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return "";
  absl::StatusOr<std::string> name = base::ReadFile(absl::StrCat("/proc/", peer.pid, "/comm"));
  if (!name.ok()) return "";
  absl::StripTrailingAsciiWhitespace(&*name);
  return absl::StrCat(" (", base::Printable(*name), ", pid ", peer.pid, ")");
}

// Removes what an earlier process has left. Only a socket: the path may be a mistake.
absl::Status RemoveStale(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? absl::OkStatus() : base::Errno("stat", path);
  if (!S_ISSOCK(info.st_mode))
    return absl::InvalidArgumentError(absl::StrCat("address \"", path, "\": is not a socket"));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::Errno("unlink", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const std::string& path) {
  std::unique_ptr<Listener> listener(new Listener(path));
  CRISP_RETURN_IF_ERROR(listener->Listen());
  return listener;
}

absl::Status Listener::Listen() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", path_, "\" is longer than a socket path can be"));
  }
  path_.copy(address.sun_path, path_.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const base::UniqueFd probe = StreamSocket();
  if (!probe.valid()) return base::Errno("socket", path_);
  // A socket that another process serves must not be taken over. Its queue may be full, and it may
  // be of another type.
  if (connect(probe.get(), generic, sizeof(address)) == 0 || errno == EAGAIN ||
      errno == EPROTOTYPE) {
    return absl::AlreadyExistsError(
        absl::StrCat("another process serves ", path_, Peer(probe.get())));
  }
  CRISP_RETURN_IF_ERROR(RemoveStale(path_));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path_.substr(0, path_.rfind('/')), 0711));
  stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_.valid()) return base::Errno("eventfd", path_);
  base::UniqueFd made = StreamSocket();
  if (!made.valid()) return base::Errno("socket", path_);
  // Before bind(2), which gives the file the socket's mode.
  if (fchmod(made.get(), 0600) != 0) return base::Errno("fchmod", path_);
  if (bind(made.get(), generic, sizeof(address)) != 0) return base::Errno("bind", path_);
  socket_ = std::move(made);
  struct stat info;
  if (lstat(path_.c_str(), &info) != 0) return base::Errno("stat", path_);
  file_ = {info.st_dev, info.st_ino};
  if (listen(socket_.get(), SOMAXCONN) != 0) return base::Errno("listen", path_);
  return absl::OkStatus();
}

absl::Status Listener::Serve(grpc::Server& server) {
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("accept", [this, &server] { Run(server); }));
  return absl::OkStatus();
}

void Listener::Run(grpc::Server& server) {
  pollfd events[] = {{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                     {.fd = socket_.get(), .events = POLLIN, .revents = 0}};
  while (true) {
    (void)poll(events, 2, -1);
    if (events[0].revents != 0) return;
    const int fd = accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      grpc::AddInsecureChannelFromFd(&server, fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
      (void)poll(events, 1, kRestMs);  // the client waits in the queue
    }
  }
}

void Listener::Stop() {
  if (!socket_.valid()) return;
  struct stat info;
  // Another program may have put its own socket there (containerd does so when it starts). The
  // number of the file stays taken as long as the socket is open. It is removed before that is
  // closed: a new crispd may make its own then.
  if (lstat(path_.c_str(), &info) == 0 && file_ == std::pair(info.st_dev, info.st_ino))
    (void)unlink(path_.c_str());
  if (stop_.valid()) (void)eventfd_write(stop_.get(), 1);
  thread_.Join();
  socket_.reset();
}

}  // namespace crisp::rpc
