// A pod under test and the calls that a test makes on it. The destructor removes the pod.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "integration/daemon.h"

namespace crisp::test {

inline constexpr char kBusybox[] = "registry.k8s.io/e2e-test-images/busybox:1.29-2";

// A configuration with a new name and uid and the test's log directory; `change` may alter it.
v1::PodSandboxConfig PodConfig(Endpoint& daemon,
                               const std::function<void(v1::PodSandboxConfig&)>& change = nullptr);

// A user namespace of the pod's own, for PodConfig() and Pod.
void OwnUsers(v1::PodSandboxConfig& config);

// The pid of the shim of a container's first process.
int ShimOf(int pid);

// How many processes have the word in their arguments, such as a shim its container's id.
size_t CountProcesses(const std::string& word);

struct ExecResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

class Pod {
 public:
  explicit Pod(Endpoint& daemon,
               const std::function<void(v1::PodSandboxConfig&)>& change = nullptr);
  ~Pod();
  Pod(const Pod&) = delete;

  Endpoint& daemon() { return daemon_; }
  const std::string& id() const { return id_; }
  const v1::PodSandboxConfig& config() const { return config_; }
  v1::PodSandboxStatus Status();
  std::string Ip() { return Status().network().ip(); }
  void Stop();
  void Remove();

  // The configuration of a busybox container that runs `command` in its own pid namespace and the
  // pod's user namespace; `change` may alter it.
  v1::ContainerConfig ContainerConfig(
      const std::vector<std::string>& command,
      const std::function<void(v1::ContainerConfig&)>& change = nullptr);
  std::string Create(const v1::ContainerConfig& config);
  void Start(const std::string& container);
  // CreateContainer and StartContainer.
  std::string Run(const std::vector<std::string>& command,
                  const std::function<void(v1::ContainerConfig&)>& change = nullptr);
  grpc::Status TryCreate(const v1::ContainerConfig& config, std::string* container = nullptr);
  grpc::Status TryStart(const std::string& container);

  v1::ContainerStatus ContainerStatus(const std::string& container);
  // Waits until it has exited (at most 120 s, as emulated machines are slow); its status then.
  v1::ContainerStatus WaitExited(const std::string& container);
  void StopContainer(const std::string& container, int seconds);
  void RemoveContainer(const std::string& container);
  ExecResult Exec(const std::string& container, const std::vector<std::string>& command,
                  int timeout_seconds = 10);
  // Waits until a whole line of the log has `word` in it; throws after 120 s.
  void AwaitLog(const std::string& container, const std::string& word);
  // The content of the container's log file.
  std::string Log(const std::string& container);
  // The text of all log lines, without time, stream and tag.
  std::string LogText(const std::string& container);
  // info.pid of the container or, for the pod's id, of pause.
  int HostPid(const std::string& container);
  // The directory of its cgroup in the hierarchy that has `controller`.
  std::string CgroupDirectory(const std::string& container, const std::string& controller);

 private:
  Endpoint& daemon_;
  v1::PodSandboxConfig config_;
  std::string id_;
};

}  // namespace crisp::test
