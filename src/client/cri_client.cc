#include "client/cri_client.h"

#include <atomic>
#include <chrono>

#include "absl/strings/str_cat.h"

namespace crisp::client {
namespace {

// A runtime answers with at most 16 MiB; the rest is for the message around it.
constexpr int kMaxMessageBytes = 17 << 20;

}  // namespace

std::shared_ptr<grpc::Channel> CriClient::NewChannel(const std::string& socket_path) {
  static std::atomic<int> serial{0};
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // Channels with equal arguments would share one connection, and its back-off.
  arguments.SetInt("crisp.client.channel", serial++);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return grpc::CreateCustomChannel(absl::StrCat("unix://", socket_path),
                                   grpc::InsecureChannelCredentials(), arguments);
}

CriClient::CriClient(const std::string& socket_path) {
  const std::shared_ptr<grpc::Channel> channel = NewChannel(socket_path);
  runtime_ = ::runtime::v1::RuntimeService::NewStub(channel);
  images_ = ::runtime::v1::ImageService::NewStub(channel);
}

void CriClient::SetPatience(grpc::ClientContext& context, absl::Duration patience) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(patience));
  context.set_wait_for_ready(true);
}

}  // namespace crisp::client
