#include "client/answers.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::client {
namespace {

namespace v1 = ::runtime::v1;
using Runtime = v1::RuntimeService::Stub;

template <typename Request, typename Response>
absl::Status Ask(Runtime& stub, const char* name,
                 grpc::Status (Runtime::*method)(grpc::ClientContext*, const Request&, Response*),
                 base::Deadline deadline) {
  Response response;
  const grpc::Status status = CriClient::Call(stub, method, Request(), &response, deadline.Left());
  if (status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
      status.error_code() != grpc::StatusCode::UNAVAILABLE) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(name, ": ", status.error_message()));
}

}  // namespace

absl::Status Answers(CriClient& client, base::Deadline deadline) {
  Runtime& stub = client.runtime();
  CRISP_RETURN_IF_ERROR(Ask(stub, "Version", &Runtime::Version, deadline));
  CRISP_RETURN_IF_ERROR(Ask(stub, "ListPodSandbox", &Runtime::ListPodSandbox, deadline));
  return Ask(stub, "ListContainers", &Runtime::ListContainers, deadline);
}

}  // namespace crisp::client
