// How many calls of each kind a real gRPC server takes at once.
#include "absl/strings/match.h"
#include "server_fixture.h"

namespace crisp::rpc {
namespace {

TEST_CASE(
    "calls over the budget of their kind are refused by name, and free a place at their end") {
  CallBudget budget("image pulls", 2);
  absl::StatusOr<CallBudget::Place> first = budget.Enter();
  const absl::StatusOr<CallBudget::Place> second = budget.Enter();
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  const absl::Status refused = budget.Enter().status();
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(refused.message() == "too many image pulls at once: at most 2");
  CHECK(absl::IsResourceExhausted(budget.Enter().status()));
  first->reset();
  CHECK(budget.Enter().ok());
}

TEST_CASE("an answer that is too large for one message is an error that says so, and is streamed") {
  ServerFixture fixture;
  for (const char id : {'d', 'e'})
    fixture.fake.AddContainer(id, 'a', {{"label", std::string(9 << 20, 'x')}});
  v1::ListContainersResponse list;
  const grpc::Status refused =
      client::CriClient::Call(fixture.client->runtime(), &Runtime::ListContainers,
                              v1::ListContainersRequest(), &list, absl::Seconds(60));
  CHECK(refused.error_code() == Code::RESOURCE_EXHAUSTED);
  CHECK_THAT(refused.error_message(), Catch::Contains("clients take at most 16777216"));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto stream =
      fixture.client->runtime().StreamContainers(&context, v1::StreamContainersRequest());
  int containers = 0;
  v1::StreamContainersResponse part;
  while (stream->Read(&part)) containers += part.containers_size();
  CHECK(stream->Finish().ok());
  CHECK(containers == 3);
}

TEST_CASE("ExecSync beyond its budget leaves stops, starts and short calls alone") {
  ServerFixture fixture({.execs = 20});
  test::AsyncCalls<v1::ExecSyncResponse> execs;
  for (int i = 0; i < 60; ++i) {
    execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  }
  for (int i = 0; i < 40; ++i) {
    const grpc::Status refused = execs.Next();
    REQUIRE(refused.error_code() == Code::RESOURCE_EXHAUSTED);
    REQUIRE(refused.error_message() == "too many ExecSync calls at once: at most 20");
  }
  REQUIRE(fixture.AwaitWaiting(20));
  CHECK(fixture.Version().ok());
  test::AsyncCalls<v1::StopContainerResponse> stops;
  stops.Begin(fixture.client->runtime(), &Runtime::AsyncStopContainer, StopRequest());
  REQUIRE(fixture.AwaitWaiting(21));
  fixture.gate.Open();
  CHECK(execs.Finish() == 20);
  CHECK(stops.Finish() == 1);
  CHECK(fixture.ExecSync().ok());
}

TEST_CASE(
    "a drain of 500 pods with three containers at once is taken, and lists answer meanwhile") {
  constexpr int kStops = 1500;
  ServerFixture fixture;
  test::AsyncCalls<v1::StopContainerResponse> stops;
  test::AsyncCalls<v1::ExecSyncResponse> execs;
  for (int i = 0; i < kStops; ++i) {
    stops.Begin(fixture.client->runtime(), &Runtime::AsyncStopContainer, StopRequest());
  }
  REQUIRE(fixture.AwaitWaiting(kStops));
  v1::ListContainersResponse list;
  CHECK(client::CriClient::Call(fixture.client->runtime(), &Runtime::ListContainers,
                                v1::ListContainersRequest(), &list, absl::Seconds(20))
            .ok());
  CHECK(list.containers_size() == 1);
  execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  REQUIRE(fixture.AwaitWaiting(kStops + 1));
  fixture.gate.Open();
  CHECK(stops.Finish() == kStops);
  CHECK(execs.Finish() == 1);
}

// Answers UNIMPLEMENTED with a text that has `what`.
template <typename Stub, typename Request, typename Response>
bool IsUnimplemented(Stub& stub,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const char* what) {
  Response response;
  const grpc::Status status =
      client::CriClient::Call(stub, method, Request(), &response, absl::Seconds(20));
  return status.error_code() == Code::UNIMPLEMENTED &&
         absl::StrContains(status.error_message(), what);
}

TEST_CASE("calls that crisp does not have answer UNIMPLEMENTED and say what is missing") {
  ServerFixture fixture;
  Runtime& runtime = fixture.client->runtime();
  CHECK(IsUnimplemented(runtime, &Runtime::CheckpointContainer, "checkpoint containers"));
  CHECK(IsUnimplemented(runtime, &Runtime::CheckpointPod, "checkpoint pods"));
  CHECK(IsUnimplemented(runtime, &Runtime::RestorePod, "restore pods"));
}

}  // namespace
}  // namespace crisp::rpc
