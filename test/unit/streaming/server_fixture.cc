#include "server_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/id.h"

namespace crisp::streaming {
namespace {

size_t CountEntries(const char* path) {
  DIR* dir = opendir(path);
  size_t count = 0;
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

}  // namespace

bool Stays(const std::function<bool()>& condition) {
  for (int i = 0; i < 100; ++i) {
    if (!condition()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool IsFull(const Connection& client, Direction direction) {
  sockaddr_in ends[2] = {};  // the sender's, the receiver's
  socklen_t size = sizeof(ends[0]);
  const bool from_server = direction == Direction::kToClient;
  auto* own = reinterpret_cast<sockaddr*>(&ends[from_server ? 1 : 0]);
  auto* peer = reinterpret_cast<sockaddr*>(&ends[from_server ? 0 : 1]);
  REQUIRE(getsockname(client.fd(), own, &size) == 0);
  REQUIRE(getpeername(client.fd(), peer, &size) == 0);
  constexpr unsigned kZeroWindowProbe = 4;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  while (std::getline(table, line)) {
    unsigned from = 0, to = 0, timer = 0;
    if (sscanf(line.c_str(), "%*d: %*x:%x %*x:%x %*x %*x:%*x %x:", &from, &to, &timer) == 3 &&
        from == ntohs(ends[0].sin_port) && to == ntohs(ends[1].sin_port)) {
      return timer == kZeroWindowProbe;
    }
  }
  return false;
}

Gate::Gate() : path_("/tmp/crisp-streaming-test-" + base::NewId()) {}
Gate::~Gate() { unlink(path_.c_str()); }
void Gate::Open() const { REQUIRE(std::ofstream(path_).good()); }

size_t OpenDescriptors() { return CountEntries("/proc/self/fd"); }
size_t Threads() { return CountEntries("/proc/self/task"); }

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

Target::Target(int family) : fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address = {};
  address.any.sa_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    address.v6.sin6_addr = in6addr_loopback;
  }
  socklen_t size = sizeof(address);
  REQUIRE(bind(fd.get(), &address.any, size) == 0);
  REQUIRE(listen(fd.get(), 128) == 0);
  const timeval timeout = {10, 0};  // of Accept()
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  getsockname(fd.get(), &address.any, &size);
  port = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

base::UniqueFd Target::Accept() {
  base::UniqueFd client(accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const timeval timeout = {10, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  return client;
}

Command::Command(const std::string& url, const Streams& streams, const std::string& protocol)
    : client(url) {
  const std::string answer = client.Upgrade({protocol});
  REQUIRE(answer.find("101 Switching Protocols") != std::string::npos);
  REQUIRE(answer.find("X-Stream-Protocol-Version: " + protocol + "\r\n") != std::string::npos);
  error = client.Open({{"streamtype", "error"}});
  if (streams.in) in = client.Open({{"streamtype", "stdin"}});
  if (streams.out) out = client.Open({{"streamtype", "stdout"}});
  if (streams.err) err = client.Open({{"streamtype", "stderr"}});
  if (streams.tty) resize = client.Open({{"streamtype", "resize"}});
}

}  // namespace crisp::streaming
