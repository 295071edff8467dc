#include "test/fault/hostile/watch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/file.h"

namespace crisp::hostile {
namespace {

using Runtime = v1::RuntimeService::Stub;

constexpr absl::Duration kPeriod = absl::Milliseconds(250);
constexpr int kSlower = 20;

// "VmHWM" and the like of /proc/<pid>/status, in KiB; 0 when the process has gone.
int64_t StatusKib(pid_t pid, const std::string& name) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, name.size() + 1, name + ":") == 0) return atoll(&line[name.size() + 1]);
  }
  return 0;
}

// Field `number` of /proc/<pid>/stat, see proc(5), from 3 on; 0 when the process has gone.
uint64_t StatField(pid_t pid, size_t number) {
  const absl::StatusOr<std::string> text = base::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return 0;
  // The name before it may have spaces and parentheses.
  const std::vector<std::string> fields = absl::StrSplit(text->substr(text->rfind(')') + 2), ' ');
  uint64_t value = 0;
  return fields.size() > number - 3 && absl::SimpleAtoi(fields[number - 3], &value) ? value : 0;
}
constexpr size_t kParent = 4;
constexpr size_t kStartTime = 22;

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t child = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &child)) continue;
    if (StatField(child, kParent) == static_cast<uint64_t>(pid)) children.push_back(child);
  }
  return children;
}

}  // namespace

pid_t ListenerOf(const std::string& path) {
  const base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return 0;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return 0;
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

Watch::Watch(Target& target, WatchOptions options)
    : options_(options), client_(target.endpoint().socket()), socket_(target.endpoint().socket()) {
  const v1::PodSandboxConfig wanted = target.NeighbourConfig();
  pod_ = std::make_unique<test::Pod>(target.endpoint(),
                                     [&](v1::PodSandboxConfig& config) { config = wanted; });
  container_ = pod_->Create(target.ContainerConfig(target.ProbeImage(), {"sleep"}));
  pod_->Start(container_);
  pod_->AwaitLog(container_, "ready");
  for (int i = 0; i < 5; ++i) at_rest_ = std::max(at_rest_, Exec());
  absl::StatusOr<base::Thread> thread = base::StartThread("watch", [this] { Loop(); });
  if (!thread.ok()) throw std::runtime_error(thread.status().ToString());
  thread_ = *std::move(thread);
}

Watch::~Watch() {
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
  }
  thread_.Join();
}

void Watch::Begin() {
  pid_ = options_.pid != 0 ? options_.pid : ListenerOf(socket_);
  start_time_ = StatField(pid_, kStartTime);
  (void)base::WriteExisting(absl::StrCat("/proc/", pid_, "/clear_refs"), "5");  // resets VmHWM
  memory_before_ = StatusKib(pid_, "VmRSS");
  absl::MutexLock lock(&mu_);
  wrong_.clear();
  running_ = true;
}

std::string Watch::End() {
  {
    absl::MutexLock lock(&mu_);
    running_ = false;
    const auto at_rest = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !busy_; };
    mu_.Await(absl::Condition(&at_rest));
  }
  Look();
  absl::MutexLock lock(&mu_);
  return wrong_;
}

void Watch::Loop() {
  absl::MutexLock lock(&mu_);
  while (!ended_) {
    if (running_) {
      busy_ = true;
      mu_.Unlock();
      Look();
      mu_.Lock();
      busy_ = false;
    }
    mu_.AwaitWithTimeout(absl::Condition(&ended_), kPeriod);
  }
}

void Watch::Look() {
  Exec();
  Weigh();
}

absl::Duration Watch::Exec() {
  v1::ExecSyncRequest request;
  request.set_container_id(container_);
  request.add_cmd("/probe");
  request.add_cmd("exit");
  request.add_cmd("7");
  request.set_timeout(60);
  v1::ExecSyncResponse response;
  const absl::Time begin = absl::Now();
  const grpc::Status status = client::CriClient::Call(client_.runtime(), &Runtime::ExecSync,
                                                      request, &response, absl::Seconds(90));
  const absl::Duration took = absl::Now() - begin;
  absl::MutexLock lock(&mu_);
  if (!status.ok()) {
    wrong_ = "an exec in another pod: " + Words(status);
  } else if (response.exit_code() != 7) {
    wrong_ = absl::StrCat("an exec in another pod ended with ", response.exit_code());
  } else if (took > std::max(options_.patience, kSlower * at_rest_)) {
    wrong_ = "an exec in another pod took " + absl::FormatDuration(took);
  }
  return took;
}

void Watch::Weigh() {
  std::string wrong;
  if (StatField(pid_, kStartTime) != start_time_ || pid_ == 0) wrong = "the runtime has ended";
  if (options_.memory_kib != 0) {
    const int64_t growth = StatusKib(pid_, "VmHWM") - memory_before_;
    if (growth > options_.memory_kib) wrong = absl::StrCat("the runtime took ", growth, " KiB");
    for (const pid_t child : ChildrenOf(pid_)) {
      const int64_t peak = StatusKib(child, "VmHWM");
      if (peak > options_.memory_kib) {
        wrong = absl::StrCat("a program of the runtime took ", peak, " KiB");
      }
    }
  }
  if (wrong.empty()) return;
  absl::MutexLock lock(&mu_);
  wrong_ = wrong;
}

}  // namespace crisp::hostile
