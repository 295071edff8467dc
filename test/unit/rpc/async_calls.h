// Many CRI calls at once, for tests of what the server does with them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <memory>

#include "runtime/v1/api.grpc.pb.h"

namespace crisp::test {

// Calls that run at the same time, on no thread of the test.
template <typename Response>
class AsyncCalls {
 public:
  ~AsyncCalls() {
    for (Call& call : calls_) call.context.TryCancel();
    Finish();
  }
  template <typename Method, typename Request>
  void Begin(::runtime::v1::RuntimeService::Stub& stub, Method method, const Request& request,
             int seconds = 120) {
    Call& call = calls_.emplace_back();
    call.context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
    call.reader = (stub.*method)(&call.context, request, &queue_);
    call.reader->Finish(&call.response, &call.status, &call);
    ++open_;
  }
  // Waits until one more call has ended and returns its status.
  grpc::Status Next() {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(queue_.Next(&tag, &ok));
    --open_;
    return static_cast<Call*>(tag)->status;
  }
  // Waits for all that run; the number of those with this code.
  int Finish(grpc::StatusCode code = grpc::StatusCode::OK) {
    int count = 0;
    while (open_ > 0) count += Next().error_code() == code ? 1 : 0;
    return count;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    Response response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  };
  grpc::CompletionQueue queue_;
  std::deque<Call> calls_;
  int open_ = 0;
};

}  // namespace crisp::test
