#include "integration/pod.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"

namespace crisp::test {

using Runtime = v1::RuntimeService::Stub;

v1::PodSandboxConfig PodConfig(Endpoint& daemon,
                               const std::function<void(v1::PodSandboxConfig&)>& change) {
  v1::PodSandboxConfig config;
  const std::string uid = base::NewId().substr(0, 32);
  config.mutable_metadata()->set_name("pod-" + uid.substr(0, 8));
  config.mutable_metadata()->set_uid(uid);
  config.mutable_metadata()->set_namespace_("test");
  config.set_log_directory(daemon.dir() + "/logs/" + uid);
  // crispd makes this parent and removes it with the last pod; it would keep the default parent.
  config.mutable_linux()->set_cgroup_parent(daemon.cgroup_parent());
  if (change) change(config);
  return config;
}

void OwnUsers(v1::PodSandboxConfig& config) {
  v1::UserNamespace& users = *config.mutable_linux()
                                  ->mutable_security_context()
                                  ->mutable_namespace_options()
                                  ->mutable_userns_options();
  users.set_mode(v1::POD);
  for (v1::IDMapping* map : {users.add_uids(), users.add_gids()}) {
    map->set_host_id(200'000);
    map->set_length(65'536);
  }
}

int ShimOf(int pid) {
  const std::string stat = base::ReadFile(absl::StrCat("/proc/", pid, "/stat")).value();
  return atoi(stat.c_str() + stat.rfind(')') + 4);  // the parent's pid
}

size_t CountProcesses(const std::string& word) {
  size_t count = 0;
  for (const std::string& name : base::ListDir("/proc").value_or(std::vector<std::string>())) {
    const auto arguments = base::ReadFile(absl::StrCat("/proc/", name, "/cmdline"));
    count += arguments.ok() && absl::StrContains(*arguments, word);
  }
  return count;
}

Pod::Pod(Endpoint& daemon, const std::function<void(v1::PodSandboxConfig&)>& change)
    : daemon_(daemon), config_(PodConfig(daemon, change)) {
  if (!config_.log_directory().empty() && !base::MakeDirs(config_.log_directory(), 0755).ok()) {
    throw std::runtime_error("log directory");
  }
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config_;
  id_ = daemon_.Call(daemon_.runtime(), &Runtime::RunPodSandbox, request).pod_sandbox_id();
}

Pod::~Pod() {
  try {
    Remove();
  } catch (const std::exception& error) {
    fprintf(stderr, "remove pod %s: %s\n", id_.c_str(), error.what());
  }
}

v1::PodSandboxStatus Pod::Status() {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id_);
  return daemon_.Call(daemon_.runtime(), &Runtime::PodSandboxStatus, request).status();
}

void Pod::Stop() {
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id_);
  daemon_.Call(daemon_.runtime(), &Runtime::StopPodSandbox, request);
}

void Pod::Remove() {
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id_);
  daemon_.Call(daemon_.runtime(), &Runtime::RemovePodSandbox, request);
}

v1::ContainerConfig Pod::ContainerConfig(const std::vector<std::string>& command,
                                         const std::function<void(v1::ContainerConfig&)>& change) {
  v1::ContainerConfig config;
  const std::string name = base::NewId().substr(0, 8);
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(kBusybox);
  for (const std::string& word : command) config.add_command(word);
  config.set_log_path(name + ".log");
  v1::NamespaceOption& namespaces =
      *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  namespaces.set_pid(v1::CONTAINER);
  const v1::NamespaceOption& of_pod = config_.linux().security_context().namespace_options();
  if (of_pod.has_userns_options()) *namespaces.mutable_userns_options() = of_pod.userns_options();
  if (change) change(config);
  return config;
}

grpc::Status Pod::TryCreate(const v1::ContainerConfig& config, std::string* container) {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(id_);
  *request.mutable_config() = config;
  *request.mutable_sandbox_config() = config_;
  v1::CreateContainerResponse response;
  grpc::Status status =
      daemon_.Try(daemon_.runtime(), &Runtime::CreateContainer, request, &response);
  if (container != nullptr) *container = response.container_id();
  return status;
}

std::string Pod::Create(const v1::ContainerConfig& config) {
  std::string container;
  daemon_.Pull(config.image().image());
  daemon_.Check(TryCreate(config, &container));
  return container;
}

grpc::Status Pod::TryStart(const std::string& container) {
  v1::StartContainerRequest request;
  request.set_container_id(container);
  v1::StartContainerResponse response;
  return daemon_.Try(daemon_.runtime(), &Runtime::StartContainer, request, &response);
}

void Pod::Start(const std::string& container) { daemon_.Check(TryStart(container)); }

std::string Pod::Run(const std::vector<std::string>& command,
                     const std::function<void(v1::ContainerConfig&)>& change) {
  const std::string container = Create(ContainerConfig(command, change));
  Start(container);
  return container;
}

v1::ContainerStatus Pod::ContainerStatus(const std::string& container) {
  v1::ContainerStatusRequest request;
  request.set_container_id(container);
  return daemon_.Call(daemon_.runtime(), &Runtime::ContainerStatus, request).status();
}

v1::ContainerStatus Pod::WaitExited(const std::string& container) {
  const int64_t give_up = base::MonotonicNanos() + int64_t{120} * 1'000'000'000;
  while (base::MonotonicNanos() < give_up) {
    v1::ContainerStatus status = ContainerStatus(container);
    if (status.state() == v1::CONTAINER_EXITED) return status;
    usleep(5000);  // CRI has no call that waits for an exit
  }
  throw std::runtime_error("container did not exit in 120 s");
}

void Pod::StopContainer(const std::string& container, int seconds) {
  v1::StopContainerRequest request;
  request.set_container_id(container);
  request.set_timeout(seconds);
  daemon_.Call(daemon_.runtime(), &Runtime::StopContainer, request);
}

void Pod::RemoveContainer(const std::string& container) {
  v1::RemoveContainerRequest request;
  request.set_container_id(container);
  daemon_.Call(daemon_.runtime(), &Runtime::RemoveContainer, request);
}

ExecResult Pod::Exec(const std::string& container, const std::vector<std::string>& command,
                     int timeout_seconds) {
  v1::ExecSyncRequest request;
  request.set_container_id(container);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_timeout(timeout_seconds);
  const v1::ExecSyncResponse response =
      daemon_.Call(daemon_.runtime(), &Runtime::ExecSync, request);
  return {.exit_code = response.exit_code(), .out = response.stdout(), .err = response.stderr()};
}

void Pod::AwaitLog(const std::string& container, const std::string& word) {
  const int64_t give_up = base::MonotonicNanos() + int64_t{120} * 1'000'000'000;
  while (LogText(container).find(word) == std::string::npos) {
    if (base::MonotonicNanos() > give_up) {
      throw std::runtime_error("the container did not log \"" + word + "\" within 120 s");
    }
    usleep(5000);  // a log has no call that waits
  }
}

std::string Pod::Log(const std::string& container) {
  return base::ReadFile(ContainerStatus(container).log_path(), 64 << 20).value();
}

std::string Pod::LogText(const std::string& container) {
  std::string text;
  std::string log = Log(container);
  log.resize(log.rfind('\n') + 1);  // the shim may still be writing the last line
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (fields.size() != 4) throw std::runtime_error(absl::StrCat("bad log line: ", line));
    absl::StrAppend(&text, fields[3], fields[2] == "F" ? "\n" : "");
  }
  return text;
}

int Pod::HostPid(const std::string& container) {
  std::string info;
  if (container == id_) {
    v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id_);
    request.set_verbose(true);
    info = daemon_.Call(daemon_.runtime(), &Runtime::PodSandboxStatus, request).info().at("info");
  } else {
    v1::ContainerStatusRequest request;
    request.set_container_id(container);
    request.set_verbose(true);
    info = daemon_.Call(daemon_.runtime(), &Runtime::ContainerStatus, request).info().at("info");
  }
  // `"pid":1234` at the top level comes after the phases.
  const size_t at = info.find("],\"pid\":");
  int pid = 0;
  if (at == std::string::npos ||
      !absl::SimpleAtoi(info.substr(at + 8, info.find_first_of(",}", at + 2) - at - 8), &pid)) {
    throw std::runtime_error("no pid in " + info);
  }
  return pid;
}

std::string Pod::CgroupDirectory(const std::string& container, const std::string& controller) {
  const std::string lines =
      base::ReadFile(absl::StrCat("/proc/", HostPid(container), "/cgroup")).value();
  std::string v2;
  for (absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    // <number>:<controllers>:<path>; cgroup2's has no controllers.
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    const std::vector<std::string> names = absl::StrSplit(fields[1], ',');
    if (fields[1].empty()) v2 = fields[2];
    if (std::find(names.begin(), names.end(), controller) != names.end())
      return absl::StrCat("/sys/fs/cgroup/", controller, fields[2]);
  }
  const bool hybrid = access("/sys/fs/cgroup/unified", F_OK) == 0;
  return absl::StrCat("/sys/fs/cgroup", hybrid ? "/unified" : "", v2);
}

}  // namespace crisp::test
