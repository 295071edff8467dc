#include "client/health_client.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace crisp::client {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// Answers every call in the same way, and says what it was asked last.
class Server final : public grpc::CallbackGenericService {
 public:
  Server(const std::string& answer, const grpc::Status& status) : answer_(answer), status_(status) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    REQUIRE(server_ != nullptr);
  }
  ~Server() override { server_->Shutdown(); }

  absl::Status Check(const std::string& service) {
    return CheckHealth(absl::StrCat("127.0.0.1:", port_), service, kTimeout);
  }
  // The method and the bytes of the request.
  std::string asked() {
    const absl::MutexLock lock(&mu_);
    return asked_;
  }

 private:
  // One call; it deletes itself, as gRPC wants it.
  class Call final : public grpc::ServerGenericBidiReactor {
   public:
    Call(Server& server, const std::string& method) : server_(server), method_(method) {
      StartRead(&request_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request"));
      {
        const absl::MutexLock lock(&server_.mu_);
        server_.asked_ = absl::StrCat(method_, " ", BytesOf(request_));
      }
      if (!server_.status_.ok()) return Finish(server_.status_);
      const grpc::Slice slice(server_.answer_);
      response_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    Server& server_;
    const std::string method_;
    grpc::ByteBuffer request_, response_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Call(*this, context->method());
  }

  const std::string answer_;
  const grpc::Status status_;
  int port_ = 0;
  absl::Mutex mu_;
  std::string asked_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Server> server_;
};

constexpr char kMethod[] = "/grpc.health.v1.Health/Check ";

}  // namespace

TEST_CASE("a program that serves is healthy, and is asked for the service by its name") {
  Server server("\x08\x01", grpc::Status::OK);
  CHECK(server.Check("web") == absl::OkStatus());
  CHECK(server.asked() == absl::StrCat(kMethod, "\x0a\x03web"));
  const std::string name(200, 'a');  // whose length takes two bytes
  CHECK(server.Check(name) == absl::OkStatus());
  CHECK(server.asked() == absl::StrCat(kMethod, "\x0a\xc8\x01", name));
}

TEST_CASE("a program that says anything else is not healthy") {
  for (const char* answer : {"", "\x08\x02", "\x08\x03"}) {
    Server server(answer, grpc::Status::OK);
    CHECK(absl::IsFailedPrecondition(server.Check("")));
  }
  Server server("", grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "nothing here"));
  const absl::Status unknown = server.Check("web");
  CHECK(absl::IsUnavailable(unknown));
  CHECK_THAT(std::string(unknown.message()), Catch::EndsWith("nothing here"));
}

TEST_CASE("where nobody listens a program is not healthy") {
  CHECK(absl::IsUnavailable(CheckHealth("127.0.0.1:1", "", kTimeout)));
}

}  // namespace crisp::client
