#include "client/health_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"

namespace crisp::client {
namespace {

// HealthCheckRequest: string service = 1.
std::string EncodeRequest(const std::string& service) {
  std::string out = "\x0a";
  size_t left = service.size();
  for (; left >= 0x80; left >>= 7) out += static_cast<char>((left & 0x7f) | 0x80);
  out += static_cast<char>(left);
  return out + service;
}

// HealthCheckResponse: enum status = 1; SERVING is 1.
bool IsServing(const grpc::ByteBuffer& response) {
  std::vector<grpc::Slice> slices;
  if (!response.Dump(&slices).ok()) return false;
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes == "\x08\x01";
}

}  // namespace

absl::Status CheckHealth(const std::string& address, const std::string& service,
                         absl::Duration timeout) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a pod is reached without one
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
  const grpc::Slice slice(EncodeRequest(service));
  const grpc::ByteBuffer request(&slice, 1);
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool is_ok = false;
  queue.Next(&tag, &is_ok);
  if (!status.ok())
    return absl::UnavailableError(
        absl::StrCat("gRPC health of ", address, ": ", status.error_message()));
  if (IsServing(response)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("gRPC health of ", address, ": not serving"));
}

}  // namespace crisp::client
