// crispd as a unit of systemd: what it tells the service manager, here the test, what SIGHUP
// changes while it runs, and the ids by which entries of the journal are found.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/deadline.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// The socket that crispd sends to; for daemons that start while it lives.
class Manager {
 public:
  explicit Manager(absl::string_view watchdog_microseconds = "") {
    char name[] = "/tmp/crisp-manager-XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    dir_ = name;
    const std::string path = dir_ + "/notify";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
      throw std::runtime_error("bind " + path);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    if (!watchdog_microseconds.empty())
      setenv("WATCHDOG_USEC", std::string(watchdog_microseconds).c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    (void)base::RemoveTree(dir_);
  }

  // Receives until a message that begins with `what`; false if none has come within `seconds`.
  bool Await(absl::string_view what, int seconds = 60) const {
    const base::Deadline give_up = base::Deadline::In(absl::Seconds(seconds));
    pollfd readable = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    while (poll(&readable, 1, give_up.PollMillis()) == 1) {
      char buffer[256];
      const ssize_t n = recv(fd_.get(), buffer, sizeof(buffer), 0);
      if (n > 0 && absl::StartsWith(absl::string_view(buffer, static_cast<size_t>(n)), what))
        return true;
    }
    return false;
  }
  std::string dir() const { return dir_; }

 private:
  std::string dir_;
  base::UniqueFd fd_{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

void Write(const std::string& path, const std::string& text) {
  REQUIRE(base::WriteFileAtomic(path, text, 0644).ok());
}

// Sends SIGHUP and waits until crispd is ready again.
void Reload(const Daemon& daemon, const Manager& manager) {
  REQUIRE(kill(daemon.pid(), SIGHUP) == 0);
  REQUIRE(manager.Await("RELOADING=1\nMONOTONIC_USEC="));
  REQUIRE(manager.Await("READY=1"));
}

}  // namespace

TEST_CASE("systemd is told when crispd serves, as long as it answers, and when it stops") {
  const Manager manager("4000000");
  Daemon daemon;
  REQUIRE(manager.Await("READY=1"));
  for (int i = 0; i < 3; ++i) CHECK(manager.Await("WATCHDOG=1"));
  // A crispd that does nothing any more says nothing any more: systemd would kill it.
  REQUIRE(kill(daemon.pid(), SIGSTOP) == 0);
  int status = 0;
  REQUIRE(waitpid(daemon.pid(), &status, WUNTRACED) == daemon.pid());
  REQUIRE(WIFSTOPPED(status));
  while (manager.Await("WATCHDOG=1", 0)) continue;  // what it had sent before
  CHECK_FALSE(manager.Await("WATCHDOG=1", 6));
  REQUIRE(kill(daemon.pid(), SIGCONT) == 0);
  CHECK(manager.Await("WATCHDOG=1"));
  daemon.Terminate();
  CHECK(manager.Await("STOPPING=1"));
  daemon.Start();
}

TEST_CASE(
    "SIGHUP: CDI directories count at once, what needs a start is named, mistakes change nothing") {
  const Manager manager;
  const std::string file = manager.dir() + "/config.toml", devices = manager.dir() + "/cdi";
  REQUIRE(base::MakeDirs(devices, 0755).ok());
  Write(devices + "/vendor.json",
        R"({"cdiVersion": "0.6.0", "kind": "crisp.test/device", "devices": [
             {"name": "one", "containerEdits": {"env": ["CDI_DEVICE=one"]}}]})");
  Write(file, "[cdi]\nspec_dirs = []\n");
  Daemon daemon({"--config", file});
  REQUIRE(manager.Await("READY=1"));
  Pod pod(daemon);
  daemon.Pull(kBusybox);
  const auto create = [&] {
    return pod.TryCreate(pod.ContainerConfig({"true"}, [](v1::ContainerConfig& config) {
      config.add_cdi_devices()->set_name("crisp.test/device=one");
    }));
  };
  CHECK(create().error_code() == grpc::StatusCode::INVALID_ARGUMENT);

  Write(file, absl::StrCat("[cdi]\nspec_dirs = ['", devices, "']\n",
                           "[streaming]\naddress = '127.0.0.1:1'\n"));
  Reload(daemon, manager);
  CHECK(create().ok());
  CHECK_THAT(daemon.Log(), Catch::Contains("a changed key counts from the next start on "
                                           "key=streaming.address"));

  Write(file, "[cdi]\nspec_dir = []\n");
  Reload(daemon, manager);
  CHECK(create().ok());
  CHECK_THAT(daemon.Log(), Catch::Contains("configuration not reloaded, going on as before") &&
                               Catch::Contains("line 2: cdi.spec_dir: unknown key"));
}

TEST_CASE("what goes wrong is logged under the container's or the pod's id, as journalctl asks") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  daemon.Pull(kBusybox);
  const size_t before = daemon.Log().size();
  const std::string container =
      pod.Create(pod.ContainerConfig({"/no/such/program"}, [](v1::ContainerConfig& config) {
        config.mutable_linux()
            ->mutable_security_context()
            ->mutable_capabilities()
            ->add_add_capabilities("NO_SUCH_THING");
      }));
  CHECK_FALSE(pod.TryStart(container).ok());
  v1::ContainerConfig nameless = pod.ContainerConfig({"true"});
  nameless.clear_metadata();
  CHECK_FALSE(pod.TryCreate(nameless).ok());
  const std::string log = daemon.Log().substr(before);
  CHECK_THAT(log, Catch::Contains("is not a capability, ignored container=" + container + "\n"));
  CHECK_THAT(log, Catch::Contains(" warn StartContainer container=" + container + " "));
  CHECK_THAT(log, Catch::Contains(" warn CreateContainer sandbox=" + pod.id() + " "));
}
