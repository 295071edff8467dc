#include "integration/endpoint.h"

#include <stdexcept>

#include "absl/strings/str_cat.h"

namespace crisp::test {

Endpoint::Endpoint(std::string socket, std::string directory, std::string image_socket)
    : dir_(std::move(directory)),
      socket_(std::move(socket)),
      image_socket_(std::move(image_socket)) {
  Connect();
}

std::shared_ptr<grpc::Channel> Endpoint::NewChannel() const {
  return client::CriClient::NewChannel(socket_);
}

void Endpoint::Connect() {
  client_ = std::make_shared<client::CriClient>(socket_);
  image_client_ =
      image_socket_.empty() ? client_ : std::make_shared<client::CriClient>(image_socket_);
}

void Endpoint::Check(const grpc::Status& status) const {
  if (status.ok()) return;
  throw std::runtime_error(
      absl::StrCat("code ", static_cast<int>(status.error_code()), ": ", status.error_message()));
}

std::string Endpoint::Pull(const std::string& image) {
  v1::ImageStatusRequest wanted;
  wanted.mutable_image()->set_image(image);
  const v1::ImageStatusResponse present =
      Call(images(), &v1::ImageService::Stub::ImageStatus, wanted);
  if (present.has_image()) return present.image().id();
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image(image);
  // In the emulated machine a layer takes a third of a second, and one image has 300.
  constexpr int kSeconds = 600;
  v1::PullImageResponse pulled;
  Check(Try(images(), &v1::ImageService::Stub::PullImage, pull, &pulled, kSeconds));
  return pulled.image_ref();
}

}  // namespace crisp::test
