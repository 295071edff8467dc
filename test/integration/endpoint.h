// A CRI runtime behind a socket, and the directory where its pods' logs go. Calls throw
// std::runtime_error with the runtime's message, which ends the test.
#pragma once

#include <memory>
#include <string>

#include "client/cri_client.h"

namespace crisp::test {

namespace v1 = ::runtime::v1;

class Endpoint {
 public:
  // `directory` exists. Image calls go to `image_socket` unless it is empty.
  Endpoint(std::string socket, std::string directory, std::string image_socket = "");
  virtual ~Endpoint() = default;
  Endpoint(const Endpoint&) = delete;

  const std::string& dir() const { return dir_; }
  const std::string& socket() const { return socket_; }
  // The parent of all its pods' cgroups.
  std::string cgroup_parent() const { return dir_.substr(dir_.rfind('/')); }
  // A new connection, for another thread; it survives restarts of the runtime.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  v1::RuntimeService::Stub& runtime() { return client_->runtime(); }
  v1::ImageService::Stub& images() { return image_client_->images(); }

  // Calls `stub.Method(context, request, response)` with a 60 s deadline and returns the response;
  // throws on an error.
  template <typename Stub, typename Request, typename Response>
  Response Call(Stub& stub,
                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request) {
    Response response;
    Check(Try(stub, method, request, &response));
    return response;
  }
  template <typename Stub, typename Request, typename Response>
  grpc::Status Try(Stub& stub,
                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response, int seconds = 60) {
    return client::CriClient::Call(stub, method, request, response, absl::Seconds(seconds));
  }
  void Check(const grpc::Status& status) const;

  // Pulls the image unless it exists; returns its id.
  std::string Pull(const std::string& image);

 protected:
  // A new client, so that it does not wait out the back-off of the old one's connection.
  void Connect();

 private:
  const std::string dir_;
  const std::string socket_;
  const std::string image_socket_;
  std::shared_ptr<client::CriClient> client_;
  std::shared_ptr<client::CriClient> image_client_;  // the same unless there are two sockets
};

}  // namespace crisp::test
