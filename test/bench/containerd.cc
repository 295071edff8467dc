#include "bench/containerd.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/file.h"
#include "bench/peer.h"
#include "integration/daemon.h"
#include "linux/spawn.h"

namespace crisp::bench {
namespace {

namespace v1 = ::runtime::v1;
using Runtime = v1::RuntimeService::Stub;

constexpr absl::Duration kStartTime = absl::Seconds(60);

constexpr char kConfig[] = R"(version = 3
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/containerd.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "registry.k8s.io/pause:3.9"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "DIR/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "DIR/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "PROGRAMS/runc"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
)";

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
  return *std::move(value);
}

void Must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string NewDirectory() {
  char name[] = "/var/lib/crisp-bench-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

// The shims of this containerd, which outlive it, have its address among their arguments.
std::vector<pid_t> Shims(const std::string& directory) {
  std::vector<pid_t> shims;
  for (const std::string& name : base::ListDir("/proc").value_or(std::vector<std::string>())) {
    const auto arguments = base::ReadFile(absl::StrCat("/proc/", name, "/cmdline"));
    if (!arguments.ok() || !absl::StrContains(*arguments, "containerd-shim-runc-v2")) continue;
    if (absl::StrContains(*arguments, directory + "/")) shims.push_back(atoi(name.c_str()));
  }
  return shims;
}

// Innermost first.
void UnmountBelow(const std::string& directory) {
  std::vector<std::string> points;
  const std::string mounts = base::ReadFile("/proc/self/mountinfo", 16 << 20).value_or("");
  for (const absl::string_view line : absl::StrSplit(mounts, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 4 && absl::StartsWith(fields[4], directory + "/"))
      points.emplace_back(fields[4]);
  }
  for (auto point = points.rbegin(); point != points.rend(); ++point)
    umount2(point->c_str(), MNT_DETACH);
}

}  // namespace

Containerd::Containerd(const std::string& programs, const std::string& certs)
    : Containerd(programs, certs, NewDirectory()) {}

Containerd::Containerd(const std::string& programs, const std::string& certs,
                       const std::string& directory)
    : Endpoint(directory + "/containerd.sock", directory),
      programs_(programs),
      bridge_(test::MakeNetwork(directory)) {
  Must(linux::Run({"/bin/cp", {"cp", "-a", certs, this->certs()}, {}}, "", {}).status());
  const std::string config = absl::StrReplaceAll(kConfig, {{"DIR", dir()}, {"PROGRAMS", programs}});
  Must(base::WriteFileAtomic(dir() + "/config.toml", config, 0644));
  try {
    Start();
  } catch (...) {
    RemoveAll();
    throw;
  }
}

Containerd::~Containerd() {
  try {
    RemovePods(*this);
  } catch (const std::exception& error) {
    fprintf(stderr, "containerd: %s\n", error.what());
  }
  RemoveAll();
}

// Containers that could not be removed end with their cgroups.
void Containerd::RemoveAll() {
  Kill();
  for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    const std::string kill_file = root + cgroup_parent() + "/cgroup.kill";
    (void)base::WriteExisting(kill_file, "1");
  }
  for (const pid_t shim : Shims(dir())) kill(shim, SIGKILL);
  UnmountBelow(dir());
  test::RemoveBridge(bridge_);
  (void)base::RemoveTree(dir());
  // runc makes the pods' parent, which containerd leaves.
  for (const std::string& hierarchy :
       base::ListDir("/sys/fs/cgroup").value_or(std::vector<std::string>())) {
    rmdir(absl::StrCat("/sys/fs/cgroup/", hierarchy, cgroup_parent()).c_str());
  }
  rmdir(absl::StrCat("/sys/fs/cgroup", cgroup_parent()).c_str());
}

void Containerd::Start() {
  const base::UniqueFd log = Must(base::Open(dir() + "/log", O_WRONLY | O_CREAT | O_APPEND, 0644));
  const linux::Child child = Must(linux::Spawn(
      {.path = programs_ + "/containerd",
       .args = {"containerd", "--config", dir() + "/config.toml", "--log-level", "warn"},
       .env = {absl::StrCat("PATH=", programs_, ":/usr/sbin:/usr/bin:/sbin:/bin")}},
      {-1, log.get(), log.get()}));
  pid_ = child.pid;
  Connect();
  const base::Deadline give_up = base::Deadline::In(kStartTime);
  while (!give_up.Passed()) {
    v1::VersionResponse response;
    if (Try(runtime(), &Runtime::Version, v1::VersionRequest(), &response, 1).ok()) return;
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      break;
    }
    absl::SleepFor(absl::Milliseconds(5));  // it serves before it has found its pods again
  }
  throw std::runtime_error("containerd does not serve:\n" + LogEnd());
}

void Containerd::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void Containerd::Restart() {
  Kill();
  Start();
}

std::string Containerd::LogEnd() const {
  const std::string log = base::ReadFile(dir() + "/log", 64 << 20).value_or("");
  return log.substr(log.size() - std::min<size_t>(log.size(), 4096));
}

std::string Containerd::Version(const std::string& programs) {
  std::string versions;
  for (const char* program : {"containerd", "runc"}) {
    const linux::RunResult result =
        Must(linux::Run({programs + "/" + program, {program, "--version"}, {}}, "", {}));
    absl::StrAppend(&versions, versions.empty() ? "" : ", ",
                    result.out.substr(0, result.out.find('\n')));
  }
  return versions;
}

}  // namespace crisp::bench
