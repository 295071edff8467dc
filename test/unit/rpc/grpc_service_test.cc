// A real gRPC server on a socket of the test, in front of a runtime whose long calls wait until the
// test lets them go on.
#include "rpc/grpc_service.h"

#include <grpc/grpc.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "async_calls.h"
#include "base/file.h"
#include "base/wait.h"
#include "client/cri_client.h"
#include "fake_runtime.h"
#include "no_threads.h"

// gRPC leaks what it kept for a timer thread that it did not get (lsan_interface.h).
extern "C" const char* __lsan_default_suppressions() { return "leak:gpr_malloc\n"; }

namespace crisp::rpc {
namespace {

namespace v1 = ::runtime::v1;
using Code = grpc::StatusCode;
using Runtime = v1::RuntimeService::Stub;

// What long calls wait for.
class Gate {
 public:
  ~Gate() { Open(); }
  void Open() { open_.Set(); }
  absl::Status Pass(const base::Call& call) {
    ++waiting;
    return open_.Wait(call);
  }
  std::atomic<int> waiting = 0;

 private:
  base::Latch open_;
};

class SlowContainers final : public runtime::ContainerApi {
 public:
  explicit SlowContainers(Gate& gate) : gate_(gate) {}
  absl::StatusOr<base::ContainerId> Create(const runtime::SandboxPtr&, const v1::ContainerConfig&,
                                           const base::Call& call) override {
    return gate_.Pass(call);
  }
  absl::Status Start(const runtime::ContainerPtr&, const base::Call& call) override {
    return gate_.Pass(call);
  }
  absl::Status Stop(const runtime::ContainerPtr&, absl::Duration, const base::Call& call) override {
    return gate_.Pass(call);
  }
  absl::Status Remove(const runtime::ContainerPtr&, const base::Call& call) override {
    return gate_.Pass(call);
  }
  absl::Status Update(const runtime::ContainerPtr&, const v1::LinuxContainerResources&) override {
    return absl::OkStatus();
  }
  absl::Status ReopenLog(const runtime::ContainerPtr&, const base::Call& call) override {
    return gate_.Pass(call);
  }

 private:
  Gate& gate_;
};

class SlowExec final : public runtime::ExecApi {
 public:
  explicit SlowExec(Gate& gate) : gate_(gate) {}
  absl::StatusOr<runtime::ExecOutput> Sync(const runtime::ContainerPtr&,
                                           const std::vector<std::string>&, absl::Duration,
                                           const base::Call& call) override {
    const absl::Status passed = gate_.Pass(call);
    if (!passed.ok()) return passed;
    return runtime::ExecOutput();
  }
  absl::StatusOr<std::string> Url(const streaming::Request&) override { return "http://x"; }

 private:
  Gate& gate_;
};

struct Fixture {
  explicit Fixture(const CallLimits& limits = {}) {
    char name[] = "/tmp/crisp-rpc-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    directory = name;
    cri::FakeRuntime::Start(*fake.AddContainer('c', 'a'));
    const runtime::Api real = fake.api();
    const runtime::Api slow = {.config = real.config,
                               .paths = real.paths,
                               .handlers = real.handlers,
                               .objects = real.objects,
                               .network = real.network,
                               .sandboxes = real.sandboxes,
                               .containers = containers,
                               .exec = exec,
                               .images = real.images,
                               .stats = real.stats};
    absl::StatusOr<std::unique_ptr<GrpcServer>> started =
        GrpcServer::Start(directory + "/socket", slow, hub, limits);
    INFO(started.status().message());
    REQUIRE(started.ok());
    server = *std::move(started);
    client = std::make_unique<client::CriClient>(directory + "/socket");
  }
  ~Fixture() {
    gate.Open();
    server.reset();
    REQUIRE(base::RemoveTree(directory).ok());
  }

  grpc::Status Version() {
    v1::VersionResponse response;
    return client::CriClient::Call(client->runtime(), &Runtime::Version, v1::VersionRequest(),
                                   &response, absl::Seconds(20));
  }
  grpc::Status ExecSync() {
    v1::ExecSyncRequest request;
    request.set_container_id(cri::Id('c'));
    request.add_cmd("sleep");
    v1::ExecSyncResponse response;
    return client::CriClient::Call(client->runtime(), &Runtime::ExecSync, request, &response,
                                   absl::Seconds(60));
  }
  bool AwaitWaiting(int count) {
    const base::Deadline deadline = base::Deadline::In(absl::Seconds(60));
    while (gate.waiting < count && !deadline.Passed()) std::this_thread::yield();
    return gate.waiting >= count;
  }

  std::string directory;
  Gate gate;
  SlowContainers containers{gate};
  SlowExec exec{gate};
  cri::FakeRuntime fake;
  events::Hub hub;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<client::CriClient> client;
};

v1::ExecSyncRequest ExecRequest() {
  v1::ExecSyncRequest request;
  request.set_container_id(cri::Id('c'));
  request.add_cmd("sleep");
  return request;
}

v1::StopContainerRequest StopRequest() {
  v1::StopContainerRequest request;
  request.set_container_id(cri::Id('c'));
  request.set_timeout(30);
  return request;
}

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

TEST_CASE("ExecSync beyond its budget leaves stops, starts and short calls alone") {
  Fixture fixture({.execs = 20});
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
  Fixture fixture;
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

// gRPC's own limit counts each thread that it did not get, for ever.
TEST_CASE("the server outlives a time without threads, however many calls it refuses then") {
  // Never undone: gRPC would wait at its end for a timer thread that it counted but did not get.
  grpc_init();
  Fixture fixture;
  REQUIRE(fixture.Version().ok());
  test::AsyncCalls<v1::ExecSyncResponse> execs;
  execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  REQUIRE(fixture.AwaitWaiting(1));
  {
    const test::NoThreads none;
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
      // Takes the threads that still wait for calls, but for the last one.
      if (i < 3) execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
      refused += fixture.Version().error_code() == Code::RESOURCE_EXHAUSTED;
    }
    CHECK(refused > 2900);
  }
  const int taken = fixture.gate.waiting;
  for (int i = 0; i < 10; ++i) {
    execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  }
  REQUIRE(fixture.AwaitWaiting(taken + 10));
  CHECK(fixture.Version().ok());
  fixture.gate.Open();
  CHECK(execs.Finish() == taken + 10);
}

}  // namespace
}  // namespace crisp::rpc
