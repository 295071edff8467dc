// What systemd receives, on a socket of the test's.
#include "service/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

using namespace crisp;
using service::State;

namespace {

// As NOTIFY_SOCKET has it: `@` begins the name of an abstract socket.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& name) : name_(name) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(setenv("NOTIFY_SOCKET", name.c_str(), 1) == 0);
  }
  ~NotifySocket() {
    unsetenv("NOTIFY_SOCKET");
    if (name_[0] != '@') unlink(name_.c_str());
  }
  // What has arrived; empty when nothing has.
  std::string Receive() const {
    char buffer[256];
    const ssize_t n = recv(fd_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  const std::string name_;
  base::UniqueFd fd_{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

}  // namespace

TEST_CASE("systemd is told each state, on a socket with a path and on an abstract one") {
  for (const std::string& name :
       {absl::StrCat("/tmp/crisp-notify-", getpid()), absl::StrCat("@crisp-notify-", getpid())}) {
    INFO(name);
    const NotifySocket socket(name);
    CHECK(service::Tell(State::kReady).ok());
    CHECK(socket.Receive() == "READY=1");
    CHECK(service::Tell(State::kReloading).ok());
    CHECK(absl::StartsWith(socket.Receive(), "RELOADING=1\nMONOTONIC_USEC="));
    CHECK(service::Tell(State::kAlive).ok());
    CHECK(socket.Receive() == "WATCHDOG=1");
    CHECK(service::Tell(State::kStopping).ok());
    CHECK(socket.Receive() == "STOPPING=1");
  }
}

TEST_CASE(
    "without systemd nobody is told, and that is not an error; a socket that is gone is one") {
  unsetenv("NOTIFY_SOCKET");
  CHECK(service::Tell(State::kReady).ok());
  setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
  const absl::Status gone = service::Tell(State::kReady);
  CHECK(gone.message() == "notify systemd: no such file or directory (ENOENT)");
  unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("the watchdog's time is the unit's, and only for the process that it is meant for") {
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  CHECK_FALSE(service::WatchdogTime().has_value());
  setenv("WATCHDOG_USEC", "6000000", 1);
  setenv("WATCHDOG_PID", absl::StrCat(getpid()).c_str(), 1);
  CHECK(service::WatchdogTime() == absl::Seconds(6));
  setenv("WATCHDOG_PID", "1", 1);
  CHECK_FALSE(service::WatchdogTime().has_value());
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}
