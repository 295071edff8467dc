#include "integration/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/id.h"
#include "linux/spawn.h"

namespace crisp::test {
namespace {

std::string Env(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr)
    throw std::runtime_error(absl::StrCat(name, " is not set: run this through test/run"));
  return value;
}

void MustOk(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string Shell(const std::string& script) {
  const absl::StatusOr<linux::RunResult> result =
      linux::Run({.path = "/bin/sh",
                  .args = {"sh", "-c", script},
                  .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}},
                 "", {});
  return result.ok() ? result->out : "";
}

// CNI plugins change the host and do not undo it: they switch forwarding on, and portmap makes
// shared chains. The first daemon of the program remembers the state before, and the last one
// restores it.
class PluginTraces {
 public:
  static void Enter() {
    if (live_++ > 0) return;
    forward_ = Shell(absl::StrCat("head -qn 1 ", kForwarding));
    chains_ = Shell(absl::StrCat(kChains, "echo \"$found\""));
  }
  static void Leave() {
    if (--live_ > 0) return;
    Shell(absl::StrCat("before='", chains_, "'\n", kChains, R"(
      for entry in $found; do
        case "$before" in *"$entry"*) continue ;; esac
        table=${entry%/*} chain=${entry#*/}
        $table -w -t nat -S | grep -e "-j $chain\$" | sed 's/^-A/-D/' | while read -r rule; do
          eval "$table -w -t nat $rule"
        done
        $table -w -t nat -F "$chain"
        $table -w -t nat -X "$chain"
      done)"));
    Shell(absl::StrCat("set -- ", kForwarding, "; for value in ",
                       absl::StrReplaceAll(forward_, {{"\n", " "}}),
                       "; do echo $value >$1; shift; done"));
  }

 private:
  static constexpr char kForwarding[] =
      "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
  static constexpr char kChains[] = R"(
    found=
    for table in iptables ip6tables; do
      for chain in CNI-HOSTPORT-DNAT CNI-HOSTPORT-SETMARK CNI-HOSTPORT-MASQ; do
        $table -w -t nat -n -L $chain >/dev/null 2>&1 && found="$found $table/$chain"
      done
    done
  )";
  static inline int live_ = 0;
  static inline std::string forward_;  // one line for each setting
  static inline std::string chains_;
};

std::string NewDirectory() {
  char name[] = "/var/lib/crisp-test-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

constexpr char kConflist[] = R"({
  "cniVersion": "1.0.0", "name": "NAME",
  "plugins": [
    {"type": "bridge", "bridge": "NAME", "isGateway": true, "ipMasq": true,
     "ipam": {"type": "host-local", "dataDir": "DIR/ipam", "ranges": [[{"subnet": "SUBNET"}]],
              "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}
  ]
})";

}  // namespace

std::string MakeNetwork(const std::string& directory) {
  const std::string id = base::NewId();
  const std::string bridge = absl::StrCat("crt", id.substr(0, 8));
  // A separate subnet and bridge, so that daemons side by side, or remains of a killed test, do not
  // get each other's packets.
  const std::string subnet =
      absl::StrCat("10.", 192 + id[8] % 32, ".", (id[9] * 7 + id[10]) % 64 * 4, ".0/22");
  MustOk(base::MakeDirs(directory + "/net.d", 0755));
  MustOk(base::WriteFileAtomic(
      directory + "/net.d/10-test.conflist",
      absl::StrReplaceAll(kConflist, {{"NAME", bridge}, {"DIR", directory}, {"SUBNET", subnet}}),
      0644));
  return bridge;
}

void RemoveBridge(const std::string& bridge) {
  (void)linux::Run({.path = "/usr/sbin/ip", .args = {"ip", "link", "delete", bridge}, .env = {}},
                   "", {});
}

Daemon::Daemon(std::vector<std::string> flags) : Daemon(std::move(flags), NewDirectory()) {}

Daemon::Daemon(std::vector<std::string> flags, const std::string& directory)
    : Endpoint(directory + "/crisp.sock", directory), flags_(std::move(flags)) {
  PluginTraces::Enter();
  bridge_ = MakeNetwork(dir());
  MustOk(base::MakeDirs(dir() + "/logs", 0755));
  try {
    Start();
  } catch (...) {
    (void)base::RemoveTree(dir());
    PluginTraces::Leave();
    throw;
  }
}

Daemon::~Daemon() {
  try {
    v1::ListPodSandboxResponse pods =
        Call(runtime(), &v1::RuntimeService::Stub::ListPodSandbox, {});
    for (const v1::PodSandbox& pod : pods.items()) {
      v1::RemovePodSandboxRequest remove;
      remove.set_pod_sandbox_id(pod.id());
      Call(runtime(), &v1::RuntimeService::Stub::RemovePodSandbox, remove);
    }
    Terminate();
  } catch (const std::exception& error) {
    fprintf(stderr, "daemon fixture: %s\n", error.what());
    Kill9();
  }
  RemoveBridge(bridge_);
  (void)base::RemoveTree(dir());
  PluginTraces::Leave();
}

Daemon& Daemon::Shared() {
  static Daemon daemon;
  return daemon;
}

void Daemon::Start() {
  Spawn("");
  AwaitService();
}

void Daemon::StartWith(int descriptors, size_t first) {
  Spawn(absl::StrCat("ulimit -n ", descriptors, "; "), first);
  AwaitService();
}

bool Daemon::ServesWith(int descriptors) {
  const size_t before = Log().size();
  // libcgroup 2.0's cgroup_init leaks 40 bytes when it cannot open a file.
  Spawn(absl::StrCat("ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0; ulimit -n ", descriptors, "; "));
  for (int i = 0; i < 12'000; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = 0;
      return false;
    }
    if (Log().find("serving", before) != std::string::npos) {
      Kill9();
      return true;
    }
    usleep(5000);
  }
  Kill9();
  throw std::runtime_error("crispd does not serve:\n" + Log());
}

void Daemon::Spawn(const std::string& shell_setup, size_t first) {
  const std::string program = Env("CRISP_TEST_BIN_DIR") + "/crispd";
  std::vector<std::string> args = {"sh",
                                   "-c",
                                   shell_setup + "exec \"$0\" \"$@\"",
                                   program,
                                   "--address",
                                   socket(),
                                   "--log-level",
                                   "debug",
                                   "--cni-conf-dir",
                                   dir() + "/net.d",
                                   "--cni-bin-dir",
                                   "/usr/lib/cni"};
  // Flags that a test may want to override.
  for (const auto& [flag, value] :
       {std::pair<std::string, std::string>{"--config", "/dev/null"},
        {"--root", root()},
        {"--state", state()},
        {"--cni-native", getenv("CRISP_TEST_NATIVE") ? "true" : "false"},
        {"--registry-config-path", Env("CRISP_TEST_CERTS_DIR")}}) {
    if (std::find(flags_.begin(), flags_.end(), flag) == flags_.end())
      args.insert(args.end(), {flag, value});
  }
  args.insert(args.end(), flags_.begin(), flags_.end());
  const absl::StatusOr<base::UniqueFd> log =
      base::Open(dir() + "/crispd.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
  MustOk(log.status());
  std::vector<std::string> environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "CRISP_FAILPOINT_FILE",
                           "NOTIFY_SOCKET", "WATCHDOG_USEC"}) {
    if (const char* value = getenv(name)) environment.push_back(absl::StrCat(name, "=", value));
  }
  std::vector<int> descriptors = {-1, log->get(), log->get()};
  descriptors.resize(first, -1);
  const absl::StatusOr<linux::Child> child =
      linux::Spawn({.path = "/bin/sh", .args = args, .env = environment}, descriptors);
  MustOk(child.status());
  pid_ = child->pid;
}

std::string Daemon::Flag(const std::string& name, const std::string& otherwise) const {
  const auto flag = std::find(flags_.begin(), flags_.end(), name);
  return flag != flags_.end() ? *std::next(flag) : otherwise;
}

void Daemon::AwaitService() {
  Connect();
  for (int i = 0; i < 120; ++i) {
    v1::VersionResponse response;
    if (Try(runtime(), &v1::RuntimeService::Stub::Version, v1::VersionRequest(), &response, 1).ok())
      return;
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      break;
    }
  }
  Kill9();
  throw std::runtime_error("crispd does not serve:\n" + Log());
}

void Daemon::Kill9() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void Daemon::Terminate() {
  if (pid_ == 0) return;
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  pid_ = 0;
  // A sanitizer report or another abnormal end must fail the test program even if all cases passed.
  if (exit_status != 0) {
    fprintf(stderr, "crispd ended with status %d\n%s\n", exit_status, Log().c_str());
    _exit(1);
  }
}

std::string Daemon::Log() const {
  return base::ReadFile(dir() + "/crispd.log", 256 << 20).value_or("no log");
}

}  // namespace crisp::test
