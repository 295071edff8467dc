// A real gRPC server on a socket of the test, in front of a runtime whose long calls wait until the
// test lets them go on.
#pragma once

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "async_calls.h"
#include "base/file.h"
#include "base/wait.h"
#include "client/cri_client.h"
#include "fake_runtime.h"
#include "rpc/grpc_service.h"

namespace crisp::rpc {

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
  absl::StatusOr<base::ContainerId> Create(const runtime::SandboxPtr&, const v1::PodSandboxConfig&,
                                           const v1::ContainerConfig&,
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

struct ServerFixture {
  explicit ServerFixture(const CallLimits& limits = {}) {
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
                               .profiles = real.profiles,
                               .stats = real.stats};
    absl::StatusOr<std::unique_ptr<GrpcServer>> started =
        GrpcServer::Start({directory + "/socket", directory + "/second"}, slow, hub, limits);
    INFO(started.status().message());
    REQUIRE(started.ok());
    server = *std::move(started);
    client = std::make_unique<client::CriClient>(directory + "/socket");
  }
  ~ServerFixture() {
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

inline v1::ExecSyncRequest ExecRequest() {
  v1::ExecSyncRequest request;
  request.set_container_id(cri::Id('c'));
  request.add_cmd("sleep");
  return request;
}

inline v1::StopContainerRequest StopRequest() {
  v1::StopContainerRequest request;
  request.set_container_id(cri::Id('c'));
  request.set_timeout(30);
  return request;
}

}  // namespace crisp::rpc
