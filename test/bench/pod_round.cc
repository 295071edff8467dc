#include "bench/pod_round.h"

#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "base/clock.h"
#include "base/file.h"
#include "bench/memory.h"
#include "integration/pod.h"

namespace crisp::bench {
namespace {

using Runtime = v1::RuntimeService::Stub;

void Expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("expected: " + what);
}

}  // namespace

template <typename Request, typename Response>
Response TimedPod::Timed(grpc::Status (Runtime::*method)(grpc::ClientContext*, const Request&,
                                                         Response*),
                         const Request& request, int64_t& nanos) {
  const int64_t begin = base::MonotonicNanos();
  Response response = daemon_.Call(daemon_.runtime(), method, request);
  nanos = base::MonotonicNanos() - begin;
  return response;
}

v1::CreateContainerRequest TimedPod::CreateRequest(const v1::PodSandboxConfig& config) const {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_id_);
  *request.mutable_sandbox_config() = config;
  v1::ContainerConfig& container = *request.mutable_config();
  container.mutable_metadata()->set_name("bench");
  container.mutable_image()->set_image(test::kBusybox);
  for (const char* word : {"sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"}) {
    container.add_command(word);
  }
  container.set_log_path("bench.log");
  v1::LinuxContainerConfig& linux = *container.mutable_linux();
  linux.mutable_resources()->set_cpu_shares(102);
  linux.mutable_resources()->set_memory_limit_in_bytes(128 << 20);
  v1::NamespaceOption& options = *linux.mutable_security_context()->mutable_namespace_options();
  options.set_pid(v1::CONTAINER);
  if (host_network_) options.set_network(v1::NODE);
  return request;
}

void TimedPod::Up() {
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = test::PodConfig(daemon_, [&](v1::PodSandboxConfig& config) {
    if (!host_network_) return;
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  // kubelet makes this directory too.
  Expect(base::MakeDirs(run.config().log_directory(), 0755).ok(), "a log directory");
  pod_id_ = Timed(&Runtime::RunPodSandbox, run, times_.run_pod).pod_sandbox_id();
  const v1::CreateContainerRequest create = CreateRequest(run.config());
  container_id_ = Timed(&Runtime::CreateContainer, create, times_.create).container_id();
  v1::StartContainerRequest start;
  start.set_container_id(container_id_);
  Timed(&Runtime::StartContainer, start, times_.start);
  Inspect();
}

void TimedPod::Inspect() {
  v1::PodSandboxStatusRequest pod;
  pod.set_pod_sandbox_id(pod_id_);
  pod.set_verbose(true);
  const auto pod_status = daemon_.Call(daemon_.runtime(), &Runtime::PodSandboxStatus, pod);
  Expect(pod_status.status().state() == v1::SANDBOX_READY, "a ready sandbox");
  Expect(host_network_ || !pod_status.status().network().ip().empty(), "an address on the bridge");
  pod_ = DecodeInfo(pod_status.info().at("info"));
  v1::ContainerStatusRequest container;
  container.set_container_id(container_id_);
  container.set_verbose(true);
  const auto status = daemon_.Call(daemon_.runtime(), &Runtime::ContainerStatus, container);
  Expect(status.status().state() == v1::CONTAINER_RUNNING, "a running container");
  container_ = DecodeInfo(status.info().at("info"));
  times_.pod_phases = pod_.phases;
  times_.container_phases = container_.phases;
}

void TimedPod::Exec() {
  v1::ExecSyncRequest exec;
  exec.set_container_id(container_id_);
  exec.add_cmd("true");
  // Shorter than the client's deadline, so that a stalled machine does not count as a failure.
  exec.set_timeout(50);
  Expect(Timed(&Runtime::ExecSync, exec, times_.exec).exit_code() == 0,
         "exec of true exits with 0");
}

void TimedPod::Down() {
  // PID 1 of a namespace ignores SIGTERM until it has a handler, which no event announces.
  for (int i = 0; !Catches(container_.pid, SIGTERM); ++i) {
    if (i == 10'000) throw std::runtime_error("the container installs no handler of SIGTERM");
    usleep(1000);
  }
  v1::StopContainerRequest stop;
  stop.set_container_id(container_id_);
  stop.set_timeout(10);
  Timed(&Runtime::StopContainer, stop, times_.stop);
  CheckEnded();
  v1::RemoveContainerRequest remove;
  remove.set_container_id(container_id_);
  Timed(&Runtime::RemoveContainer, remove, times_.remove);
  v1::StopPodSandboxRequest stop_pod;
  stop_pod.set_pod_sandbox_id(pod_id_);
  Timed(&Runtime::StopPodSandbox, stop_pod, times_.stop_pod);
  v1::RemovePodSandboxRequest remove_pod;
  remove_pod.set_pod_sandbox_id(pod_id_);
  Timed(&Runtime::RemovePodSandbox, remove_pod, times_.remove_pod);
  v1::PodSandboxStatusRequest gone;
  gone.set_pod_sandbox_id(pod_id_);
  v1::PodSandboxStatusResponse response;
  Expect(daemon_.Try(daemon_.runtime(), &Runtime::PodSandboxStatus, gone, &response).error_code() ==
             grpc::StatusCode::NOT_FOUND,
         "a removed sandbox is not found");
}

void TimedPod::CheckEnded() {
  v1::ContainerStatusRequest request;
  request.set_container_id(container_id_);
  const v1::ContainerStatus status =
      daemon_.Call(daemon_.runtime(), &Runtime::ContainerStatus, request).status();
  Expect(status.state() == v1::CONTAINER_EXITED && status.exit_code() == 0,
         "the container ended by TERM with exit code 0");
}

}  // namespace crisp::bench
