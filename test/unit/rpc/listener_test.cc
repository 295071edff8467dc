// The CRI socket itself.
#include "rpc/listener.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

#include "server_fixture.h"

namespace crisp::rpc {
namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

// Another program's socket at `path`.
base::UniqueFd Bind(const std::string& path, int type) {
  base::UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

// A client's sockets, made before the descriptors are taken away, which connect afterwards.
struct Client {
  base::UniqueFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};

  bool Connect(const std::string& path) const {
    const sockaddr_un address = AddressOf(path);
    return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  // gRPC speaks first, with its SETTINGS (RFC 9113, 3.4).
  bool IsServed() const {
    pollfd readable = {.fd = fd.get(), .events = POLLIN, .revents = 0};
    return poll(&readable, 1, 10'000) == 1;
  }
};

}  // namespace

TEST_CASE("connections are accepted again after a time without descriptors") {
  ServerFixture fixture;
  const std::string path = fixture.directory + "/socket";
  rlimit usual = {};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &usual) == 0);
  for (int round = 0; round < 40; ++round) {
    std::vector<Client> clients(20);
    const rlimit none = {.rlim_cur = 1, .rlim_max = usual.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    bool connected = true;
    for (const Client& client : clients) connected &= client.Connect(path);
    std::this_thread::yield();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    CHECK(connected);
    for (const Client& client : clients) REQUIRE(client.IsServed());
  }
}

TEST_CASE("every socket is served, has mode 0600, and its file goes with the server") {
  ServerFixture fixture;
  const std::string paths[] = {fixture.directory + "/socket", fixture.directory + "/second"};
  for (const std::string& path : paths) {
    struct stat info;
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
    const Client client;
    REQUIRE(client.Connect(path));
    CHECK(client.IsServed());
  }
  fixture.server->Stop();
  for (const std::string& path : paths) CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a socket that another process serves is not taken over, a stale one is") {
  ServerFixture fixture;
  const std::string path = fixture.directory + "/socket";
  const absl::Status taken = Listener::Open(path).status();
  CHECK(absl::IsAlreadyExists(taken));
  // This process: its name is the test program's, cut off at 15 bytes.
  CHECK_THAT(std::string(taken.message()),
             Catch::StartsWith("another process serves " + path + " (") &&
                 Catch::EndsWith(", pid " + std::to_string(getpid()) + ")"));
  const std::string stale = fixture.directory + "/stale";
  {
    const auto first = Listener::Open(stale);
    REQUIRE(first.ok());
    REQUIRE(link(stale.c_str(), (stale + "2").c_str()) == 0);
  }
  CHECK(Listener::Open(stale + "2").ok());
}

TEST_CASE("a socket of another type that a process has open is not taken over") {
  ServerFixture fixture;
  const std::string path = fixture.directory + "/datagrams";
  const base::UniqueFd other = Bind(path, SOCK_DGRAM);
  const absl::Status taken = Listener::Open(path).status();
  CHECK(absl::IsAlreadyExists(taken));
  CHECK(taken.message() == "another process serves " + path);
  CHECK(access(path.c_str(), F_OK) == 0);
}

TEST_CASE("a socket that another process has put in the place of this one stays") {
  ServerFixture fixture;
  const std::string path = fixture.directory + "/socket";
  REQUIRE(unlink(path.c_str()) == 0);
  const base::UniqueFd other = Bind(path, SOCK_STREAM);
  fixture.server->Stop();
  CHECK(access(path.c_str(), F_OK) == 0);
  CHECK(access((fixture.directory + "/second").c_str(), F_OK) != 0);
}

TEST_CASE("a server with one address that is taken listens on none") {
  ServerFixture fixture;
  const std::string mine = fixture.directory + "/mine";
  const absl::Status refused =
      GrpcServer::Start({mine, fixture.directory + "/socket"}, fixture.fake.api(), fixture.hub)
          .status();
  CHECK(absl::IsAlreadyExists(refused));
  CHECK(access(mine.c_str(), F_OK) != 0);
  CHECK(fixture.Version().ok());
}

TEST_CASE("a file that is not a socket is refused and stays") {
  ServerFixture fixture;
  const std::string path = fixture.directory + "/file";
  REQUIRE(base::WriteFileAtomic(path, "precious", 0600).ok());
  const absl::Status refused = Listener::Open(path).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK(refused.message() == "address \"" + path + "\": is not a socket");
  CHECK(*base::ReadFile(path) == "precious");
}

}  // namespace crisp::rpc
