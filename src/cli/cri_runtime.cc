#include "cli/cri_runtime.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "cli/pod_instance.h"
#include "client/cri_client.h"

namespace crisp::cli {
namespace {

namespace v1 = ::runtime::v1;
using client::CriClient;

// As kubelet waits (runtimeRequestTimeout); a pod's network may take longer.
constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr absl::Duration kSandboxPatience = absl::Minutes(4);
// A pull ends by itself when nothing arrives any more, and a hook may take as long as it takes:
// this only keeps a broken call from staying for ever.
constexpr absl::Duration kEndlessPatience = absl::Hours(24);

absl::Status FromGrpc(absl::string_view what, const grpc::Status& status) {
  return base::Prefix(
      absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()),
      what);
}

absl::Status Gone(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

ContainerInfo::State StateOf(v1::ContainerState state) {
  switch (state) {
    case v1::ContainerState::CONTAINER_CREATED:
      return ContainerInfo::State::kCreated;
    case v1::ContainerState::CONTAINER_RUNNING:
      return ContainerInfo::State::kRunning;
    case v1::ContainerState::CONTAINER_EXITED:
      return ContainerInfo::State::kExited;
    default:
      return ContainerInfo::State::kUnknown;
  }
}

}  // namespace

struct CriRuntime::Connection {
  explicit Connection(const std::string& socket_path) : client(socket_path) {}

  // A call on the runtime service.
  template <typename Request, typename Response, typename Method>
  absl::Status Call(absl::string_view what, Method method, const Request& request,
                    Response& response, absl::Duration patience = kPatience) {
    return FromGrpc(what, CriClient::Call(client.runtime(), method, request, &response, patience));
  }

  // The same for what may take very long: Interrupt() ends it.
  template <typename Stub, typename Request, typename Response, typename Method>
  absl::Status CallLong(absl::string_view what, Stub& stub, Method method, const Request& request,
                        Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoNanoseconds(kEndlessPatience));
    context.set_wait_for_ready(true);
    if (!Enter(context)) return absl::CancelledError(absl::StrCat(what, ": interrupted"));
    const grpc::Status status = (stub.*method)(&context, request, &response);
    Leave(context);
    return FromGrpc(what, status);
  }

  // False once interrupted; otherwise Leave() is owed.
  bool Enter(grpc::ClientContext& context) {
    const absl::MutexLock lock(&mutex);
    if (!is_interrupted) running.insert(&context);
    return !is_interrupted;
  }
  void Leave(grpc::ClientContext& context) {
    const absl::MutexLock lock(&mutex);
    running.erase(&context);
  }

  CriClient client;
  absl::Mutex mutex;
  std::set<grpc::ClientContext*> running ABSL_GUARDED_BY(mutex);
  bool is_interrupted ABSL_GUARDED_BY(mutex) = false;
};

using Service = v1::RuntimeService::Stub;

CriRuntime::CriRuntime(const std::string& socket_path)
    : connection_(std::make_unique<Connection>(socket_path)) {}
CriRuntime::~CriRuntime() = default;

absl::StatusOr<RuntimeFacts> CriRuntime::Facts() {
  RuntimeFacts facts;
  v1::RuntimeConfigResponse config;
  const absl::Status answer = connection_->Call("RuntimeConfig", &Service::RuntimeConfig,
                                                v1::RuntimeConfigRequest(), config);
  // Of an older runtime: cgroupfs then, as for kubelet without a configuration.
  if (!absl::IsUnimplemented(answer)) CRISP_RETURN_IF_ERROR(answer);
  facts.has_systemd_cgroups =
      config.has_linux() && config.linux().cgroup_driver() == v1::CgroupDriver::SYSTEMD;
  v1::StatusResponse status;
  CRISP_RETURN_IF_ERROR(connection_->Call("Status", &Service::Status, v1::StatusRequest(), status));
  for (const auto& handler : status.runtime_handlers()) {
    if (handler.name().empty())
      facts.has_recursive_read_only = handler.features().recursive_read_only_mounts();
  }
  return facts;
}

absl::StatusOr<std::vector<SandboxInfo>> CriRuntime::Sandboxes(const std::string& uid) {
  v1::ListPodSandboxRequest request;
  (*request.mutable_filter()->mutable_label_selector())[kLabelUid] = uid;
  v1::ListPodSandboxResponse response;
  CRISP_RETURN_IF_ERROR(
      connection_->Call("ListPodSandbox", &Service::ListPodSandbox, request, response));
  std::vector<SandboxInfo> sandboxes;
  for (const auto& item : response.items()) {
    sandboxes.push_back({.id = item.id(),
                         .attempt = item.metadata().attempt(),
                         .is_ready = item.state() == v1::PodSandboxState::SANDBOX_READY});
  }
  return sandboxes;
}

absl::StatusOr<std::vector<ContainerInfo>> CriRuntime::Containers(const std::string& uid) {
  v1::ListContainersRequest request;
  (*request.mutable_filter()->mutable_label_selector())[kLabelUid] = uid;
  v1::ListContainersResponse response;
  CRISP_RETURN_IF_ERROR(
      connection_->Call("ListContainers", &Service::ListContainers, request, response));
  std::vector<ContainerInfo> containers;
  for (const auto& item : response.containers()) {
    ContainerInfo info;
    info.id = item.id();
    info.sandbox_id = item.pod_sandbox_id();
    info.name = item.metadata().name();
    info.attempt = item.metadata().attempt();
    info.state = StateOf(item.state());
    if (info.state == ContainerInfo::State::kExited) {
      v1::ContainerStatusRequest of;
      of.set_container_id(item.id());
      v1::ContainerStatusResponse status;
      const absl::Status answer =
          connection_->Call("ContainerStatus", &Service::ContainerStatus, of, status);
      if (absl::IsNotFound(answer)) continue;  // removed meanwhile
      CRISP_RETURN_IF_ERROR(answer);
      info.exit_code = status.status().exit_code();
      info.finished = absl::FromUnixNanos(status.status().finished_at());
      info.reason = status.status().reason();
      info.message = status.status().message();
    }
    containers.push_back(std::move(info));
  }
  return containers;
}

absl::StatusOr<std::string> CriRuntime::RunSandbox(const v1::PodSandboxConfig& config) {
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  v1::RunPodSandboxResponse response;
  CRISP_RETURN_IF_ERROR(connection_->Call("RunPodSandbox", &Service::RunPodSandbox, request,
                                          response, kSandboxPatience));
  return response.pod_sandbox_id();
}

absl::StatusOr<std::vector<std::string>> CriRuntime::SandboxIps(const std::string& id) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  v1::PodSandboxStatusResponse response;
  CRISP_RETURN_IF_ERROR(
      connection_->Call("PodSandboxStatus", &Service::PodSandboxStatus, request, response));
  std::vector<std::string> ips;
  const auto& network = response.status().network();
  if (!network.ip().empty()) ips.push_back(network.ip());
  for (const auto& more : network.additional_ips()) ips.push_back(more.ip());
  return ips;
}

absl::Status CriRuntime::StopSandbox(const std::string& id) {
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  v1::StopPodSandboxResponse response;
  return Gone(connection_->Call("StopPodSandbox", &Service::StopPodSandbox, request, response));
}

absl::Status CriRuntime::RemoveSandbox(const std::string& id) {
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  v1::RemovePodSandboxResponse response;
  return Gone(connection_->Call("RemovePodSandbox", &Service::RemovePodSandbox, request, response));
}

absl::StatusOr<ImageInfo> CriRuntime::FindImage(const std::string& image) {
  v1::ImageStatusRequest request;
  request.mutable_image()->set_image(image);
  v1::ImageStatusResponse response;
  CRISP_RETURN_IF_ERROR(
      FromGrpc("ImageStatus",
               CriClient::Call(connection_->client.images(), &v1::ImageService::Stub::ImageStatus,
                               request, &response, kPatience)));
  if (!response.has_image())
    return absl::NotFoundError(absl::StrCat("image ", image, " is not present"));
  ImageInfo info;
  info.id = response.image().id();
  if (response.image().has_uid()) info.user.uid = response.image().uid().value();
  info.user.username = response.image().username();
  return info;
}

absl::Status CriRuntime::PullImage(const std::string& image, const v1::AuthConfig* auth,
                                   const v1::PodSandboxConfig& sandbox) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  if (auth != nullptr) *request.mutable_auth() = *auth;
  *request.mutable_sandbox_config() = sandbox;
  v1::PullImageResponse response;
  return connection_->CallLong("PullImage", connection_->client.images(),
                               &v1::ImageService::Stub::PullImage, request, response);
}

absl::StatusOr<std::string> CriRuntime::CreateContainer(const std::string& sandbox_id,
                                                        const v1::ContainerConfig& config,
                                                        const v1::PodSandboxConfig& sandbox) {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(sandbox_id);
  *request.mutable_config() = config;
  *request.mutable_sandbox_config() = sandbox;
  v1::CreateContainerResponse response;
  CRISP_RETURN_IF_ERROR(
      connection_->Call("CreateContainer", &Service::CreateContainer, request, response));
  return response.container_id();
}

absl::Status CriRuntime::StartContainer(const std::string& id) {
  v1::StartContainerRequest request;
  request.set_container_id(id);
  v1::StartContainerResponse response;
  return connection_->Call("StartContainer", &Service::StartContainer, request, response);
}

absl::Status CriRuntime::StopContainer(const std::string& id, absl::Duration grace) {
  v1::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(absl::ToInt64Seconds(absl::Ceil(grace, absl::Seconds(1))));
  v1::StopContainerResponse response;
  return Gone(connection_->Call("StopContainer", &Service::StopContainer, request, response,
                                kPatience + grace));
}

absl::Status CriRuntime::RemoveContainer(const std::string& id) {
  v1::RemoveContainerRequest request;
  request.set_container_id(id);
  v1::RemoveContainerResponse response;
  return Gone(connection_->Call("RemoveContainer", &Service::RemoveContainer, request, response));
}

absl::Status CriRuntime::ReopenLog(const std::string& id) {
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  v1::ReopenContainerLogResponse response;
  return connection_->Call("ReopenContainerLog", &Service::ReopenContainerLog, request, response);
}

absl::StatusOr<ExecResult> CriRuntime::ExecSync(const std::string& id,
                                                const std::vector<std::string>& command,
                                                absl::Duration timeout) {
  const bool is_endless = timeout == absl::InfiniteDuration();
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_timeout(is_endless ? 0 : std::max<int64_t>(absl::ToInt64Seconds(timeout), 1));
  v1::ExecSyncResponse response;
  CRISP_RETURN_IF_ERROR(is_endless
                            ? connection_->CallLong("ExecSync", connection_->client.runtime(),
                                                    &Service::ExecSync, request, response)
                            : connection_->Call("ExecSync", &Service::ExecSync, request, response,
                                                kPatience + timeout));
  return ExecResult{.exit_code = response.exit_code(),
                    .output = absl::StrCat(response.stdout(), response.stderr())};
}

void CriRuntime::WatchEvents(const std::string& uid, const std::function<void()>& changed) {
  grpc::ClientContext context;
  if (!connection_->Enter(context)) return;
  const auto reader =
      connection_->client.runtime().GetContainerEvents(&context, v1::GetEventsRequest());
  v1::ContainerEventResponse event;
  while (reader->Read(&event)) {
    const auto& pod = event.pod_sandbox_status();
    // A runtime may leave it out.
    if (!event.has_pod_sandbox_status() || pod.metadata().uid() == uid) changed();
  }
  reader->Finish();
  connection_->Leave(context);
}

void CriRuntime::Interrupt() {
  const absl::MutexLock lock(&connection_->mutex);
  connection_->is_interrupted = true;
  for (grpc::ClientContext* context : connection_->running) context->TryCancel();
}

}  // namespace crisp::cli
