#include "rpc/grpc_service.h"

#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "rpc/batches.h"
#include "rpc/call_budget.h"
#include "rpc/call_watch.h"
#include "rpc/grpc_events.h"
#include "rpc/listener.h"
#include "rpc/status_codes.h"
#include "runtime/v1/api.grpc.pb.h"

namespace crisp::rpc {
namespace {

namespace v1 = ::runtime::v1;

// As clients and other runtimes have it; larger requests are refused by gRPC.
constexpr int kMaxMessage = 16 << 20;

// gRPC would only cancel the call.
absl::Status CheckSize(size_t bytes) {
  if (bytes <= size_t{kMaxMessage}) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("the answer has ", bytes,
                                                   " bytes, clients take at most ", kMaxMessage,
                                                   ": a Stream call, where there is one, sends"
                                                   " it in parts"));
}

// What every call needs.
struct Front {
  const runtime::Api runtime;
  events::Hub& events;
  CallBudgets budgets;
  CallWatch watch = {};
};

// The one place where the wall clock of a client's deadline becomes monotonic.
base::Call CallOf(grpc::ServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return base::Call();
  return base::Call::Until(base::Deadline::In(absl::FromChrono(deadline) - absl::Now()));
}

// The object a request is about, as the log names those everywhere; empty when it names none.
template <typename Request>
base::LogField ObjectOf(const Request& request) {
  if constexpr (requires { request.container_id(); }) {
    return {"container", request.container_id()};
  } else if constexpr (requires { request.pod_sandbox_id(); }) {
    return {"sandbox", request.pod_sandbox_id()};
  } else if constexpr (requires { request.image().image(); }) {
    return {"image", request.image().image()};
  } else if constexpr (requires { request.config().metadata().uid(); }) {
    const auto& pod = request.config().metadata();
    return {"pod", absl::StrCat(pod.namespace_(), "/", pod.name(), "/", pod.uid())};
  } else {
    return {"id", ""};
  }
}

template <typename Request, typename Response>
using Handler = absl::StatusOr<Response> (*)(const runtime::Api&, const Request&,
                                             const base::Call&);

// Runs one RPC: its arguments to the handler if it has a place among the calls of its kind, its
// result or error to the wire, one log line. `one_message`: the result must fit into one.
template <typename Request, typename Response>
grpc::Status Handle(const char* name, grpc::ServerContext* context, const Request& request,
                    Response* response, Front& front,
                    const absl::StatusOr<CallBudget::Place>& place,
                    Handler<Request, Response> handler, bool one_message) {
  const int64_t begin = base::MonotonicNanos();
  const base::Call call = CallOf(*context);
  absl::StatusOr<Response> result = absl::InternalError("");
  if (!place.ok()) {
    result = place.status();
  } else {
    const CallWatch::InFlight watched(front.watch, call,
                                      [context] { return context->IsCancelled(); });
    base::Failpoint(name, ": asked");
    result = handler(front.runtime, request, call);
    base::Failpoint(name, ": to be answered");
    const absl::Status fits =
        result.ok() && one_message ? CheckSize(result->ByteSizeLong()) : absl::OkStatus();
    if (!fits.ok()) result = fits;
  }
  const std::string took = absl::StrCat((base::MonotonicNanos() - begin) / 1000, "us");
  const base::LogField object = ObjectOf(request);
  if (result.ok()) {
    base::Log(base::LogLevel::kDebug, name, {object, {"took", took}});
    *response = *std::move(result);
    return grpc::Status::OK;
  }
  const bool expected = result.status().code() == absl::StatusCode::kNotFound;
  base::Log(expected ? base::LogLevel::kDebug : base::LogLevel::kWarning, name,
            {object,
             {"took", took},
             {"code", absl::StatusCodeToString(result.status().code())},
             {"error", std::string(result.status().message())}});
  const WireStatus wire = ToWire(result.status());
  return grpc::Status(static_cast<grpc::StatusCode>(wire.code), wire.message);
}

// An RPC of the kind `budget`, a member of CallBudgets.
#define CRISP_RPC(Name, budget)                                                                 \
  grpc::Status Name(grpc::ServerContext* context, const v1::Name##Request* request,             \
                    v1::Name##Response* response) override {                                    \
    return Handle<v1::Name##Request, v1::Name##Response>(#Name, context, *request, response,    \
                                                         front_, front_.budgets.budget.Enter(), \
                                                         &cri::Name, /*one_message=*/true);     \
  }

// A Stream call: the answer of its List twin, in batches.
template <typename ListRequest, typename ListResponse, typename Request, typename Response,
          typename Item>
grpc::Status HandleStream(const char* name, grpc::ServerContext* context, const Request& request,
                          grpc::ServerWriter<Response>* writer, Front& front,
                          Handler<ListRequest, ListResponse> list,
                          google::protobuf::RepeatedPtrField<Item>* (ListResponse::*items)(),
                          google::protobuf::RepeatedPtrField<Item>* (Response::*batch_items)()) {
  ListRequest list_request;
  if constexpr (requires { request.filter(); }) {
    if (request.has_filter()) *list_request.mutable_filter() = request.filter();
  }
  ListResponse all;
  // Held while the batches are sent: that takes as long as the client takes to read them.
  const absl::StatusOr<CallBudget::Place> place = front.budgets.others.Enter();
  const grpc::Status status =
      Handle(name, context, list_request, &all, front, place, list, /*one_message=*/false);
  if (!status.ok()) return status;
  SendBatches(*(all.*items)(), [&](google::protobuf::RepeatedPtrField<Item> batch) {
    Response response;
    *(response.*batch_items)() = std::move(batch);
    return writer->Write(response);
  });
  return grpc::Status::OK;
}

#define CRISP_STREAM(Name, List, items, batch_items)                                       \
  grpc::Status Name(grpc::ServerContext* context, const v1::Name##Request* request,        \
                    grpc::ServerWriter<v1::Name##Response>* writer) override {             \
    return HandleStream<v1::List##Request, v1::List##Response>(                            \
        #Name, context, *request, writer, front_, &cri::List,                              \
        &v1::List##Response::mutable_##items, &v1::Name##Response::mutable_##batch_items); \
  }

// An RPC that crisp does not have. `what` follows "crisp does not".
#define CRISP_UNIMPLEMENTED(Name, what)                                                  \
  grpc::Status Name(grpc::ServerContext*, const v1::Name##Request*, v1::Name##Response*) \
      override {                                                                         \
    return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "crisp does not " what);        \
  }

// Everything on gRPC's synchronous interface but the events, whose streams may stay open for ever.
using RuntimeBase =
    v1::RuntimeService::WithCallbackMethod_GetContainerEvents<v1::RuntimeService::Service>;

class RuntimeRpcs final : public RuntimeBase {
 public:
  explicit RuntimeRpcs(Front& front) : front_(front) {}
  grpc::ServerWriteReactor<v1::ContainerEventResponse>* GetContainerEvents(
      grpc::CallbackServerContext*, const v1::GetEventsRequest*) override {
    return NewEventStream(front_.events);
  }
  CRISP_UNIMPLEMENTED(CheckpointContainer, "checkpoint containers")
  CRISP_UNIMPLEMENTED(CheckpointPod, "checkpoint pods")
  CRISP_UNIMPLEMENTED(RestorePod, "restore pods from checkpoints")
  CRISP_RPC(Version, others)
  CRISP_RPC(Status, others)
  CRISP_RPC(RuntimeConfig, others)
  CRISP_RPC(UpdateRuntimeConfig, others)
  CRISP_RPC(RunPodSandbox, starts)
  CRISP_RPC(StopPodSandbox, stops)
  CRISP_RPC(RemovePodSandbox, stops)
  CRISP_RPC(PodSandboxStatus, others)
  CRISP_RPC(ListPodSandbox, others)
  CRISP_RPC(CreateContainer, starts)
  CRISP_RPC(StartContainer, starts)
  CRISP_RPC(StopContainer, stops)
  CRISP_RPC(RemoveContainer, stops)
  CRISP_RPC(ContainerStatus, others)
  CRISP_RPC(ListContainers, others)
  CRISP_RPC(ReopenContainerLog, starts)
  CRISP_RPC(ExecSync, execs)
  CRISP_RPC(Exec, others)
  CRISP_RPC(Attach, others)
  CRISP_RPC(PortForward, others)
  CRISP_RPC(ContainerStats, others)
  CRISP_RPC(ListContainerStats, others)
  CRISP_RPC(UpdateContainerResources, others)
  CRISP_RPC(UpdatePodSandboxResources, others)
  CRISP_RPC(PodSandboxStats, others)
  CRISP_RPC(ListPodSandboxStats, others)
  CRISP_RPC(ListMetricDescriptors, others)
  CRISP_RPC(ListPodSandboxMetrics, others)
  CRISP_STREAM(StreamPodSandboxes, ListPodSandbox, items, pod_sandboxes)
  CRISP_STREAM(StreamContainers, ListContainers, containers, containers)
  CRISP_STREAM(StreamContainerStats, ListContainerStats, stats, container_stats)
  CRISP_STREAM(StreamPodSandboxStats, ListPodSandboxStats, stats, pod_sandbox_stats)
  CRISP_STREAM(StreamPodSandboxMetrics, ListPodSandboxMetrics, pod_metrics, pod_sandbox_metrics)

 private:
  Front& front_;
};

class ImageRpcs final : public v1::ImageService::Service {
 public:
  explicit ImageRpcs(Front& front) : front_(front) {}
  CRISP_RPC(PullImage, pulls)
  CRISP_RPC(ImageStatus, others)
  CRISP_RPC(ListImages, others)
  CRISP_RPC(RemoveImage, stops)
  CRISP_RPC(ImageFsInfo, others)
  CRISP_STREAM(StreamImages, ListImages, images, images)
  CRISP_RPC(PullSecurityProfile, pulls)
  CRISP_RPC(ListSecurityProfiles, others)
  CRISP_RPC(RemoveSecurityProfile, stops)

 private:
  Front& front_;
};

}  // namespace

class GrpcServer::Impl {
 public:
  Impl(const runtime::Api& runtime, events::Hub& events, const CallLimits& limits)
      : front_{.runtime = runtime, .events = events, .budgets = CallBudgets(limits)},
        runtime_(front_),
        image_(front_) {}

  absl::Status Start(const std::vector<std::string>& addresses) {
    CRISP_RETURN_IF_ERROR(front_.watch.Start());
    grpc::ServerBuilder builder;
    // The budgets bound the number of threads. gRPC's own limit (ResourceQuota's threads) knows no
    // kinds of calls, and each thread that the kernel refuses counts in it for ever (1.51).
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    builder.SetMaxSendMessageSize(kMaxMessage);
    builder.RegisterService(&runtime_);
    builder.RegisterService(&image_);
    for (const std::string& address : addresses) {
      CRISP_ASSIGN_OR_RETURN(listeners_.emplace_back(), Listener::Open(address));
    }
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::UnavailableError("gRPC does not start");
    for (const auto& listener : listeners_) CRISP_RETURN_IF_ERROR(listener->Serve(*server_));
    return absl::OkStatus();
  }

  void Stop() {
    if (server_ == nullptr) return;
    for (const auto& listener : listeners_) listener->Stop();
    front_.events.Close();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
    server_.reset();
  }

 private:
  Front front_;
  RuntimeRpcs runtime_;
  ImageRpcs image_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() { Stop(); }
void GrpcServer::Stop() { impl_->Stop(); }

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const std::vector<std::string>& addresses, const runtime::Api& runtime, events::Hub& events,
    const CallLimits& limits) {
  auto impl = std::make_unique<Impl>(runtime, events, limits);
  CRISP_RETURN_IF_ERROR(impl->Start(addresses));
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

}  // namespace crisp::rpc
