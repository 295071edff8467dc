// ExecSync, Exec, Attach, PortForward.
#include <catch2/catch.hpp>

#include "fake_runtime.h"

namespace crisp::cri {
namespace {

using Calls = std::vector<std::string>;

TEST_CASE("ExecSync passes output and exit code on; no timeout means none") {
  FakeRuntime fake;
  FakeRuntime::Start(*fake.AddContainer('c', 'a'));
  v1::ExecSyncRequest request;
  request.set_container_id(Id('c'));
  request.add_cmd("ls");
  const auto response = ExecSync(fake.api(), request, fake.call);
  REQUIRE(response.ok());
  CHECK(response->exit_code() == 3);
  CHECK(response->stdout() == "out");
  CHECK(response->stderr() == "err");
  request.set_timeout(2);
  CHECK(ExecSync(fake.api(), request, fake.call).ok());
  CHECK(fake.actions.calls == Calls{"exec " + Id('c') + " ls inf", "exec " + Id('c') + " ls 2s"});
}

TEST_CASE("ExecSync refuses an empty command, a negative timeout and what does not run") {
  FakeRuntime fake;
  fake.AddContainer('c', 'a');
  FakeRuntime::Start(*fake.AddContainer('d', 'a'));
  const auto code = [&](const std::string& id, bool with_command, int64_t timeout) {
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    if (with_command) request.add_cmd("ls");
    request.set_timeout(timeout);
    return ExecSync(fake.api(), request, fake.call).status().code();
  };
  CHECK(code(Id('d'), false, 0) == absl::StatusCode::kInvalidArgument);
  CHECK(code(Id('d'), true, -1) == absl::StatusCode::kInvalidArgument);
  CHECK(code(Id('c'), true, 0) == absl::StatusCode::kFailedPrecondition);
  CHECK(code(Id('9'), true, 0) == absl::StatusCode::kNotFound);
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("Exec, Attach and PortForward answer with a URL for the full id") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  FakeRuntime::Start(*fake.AddContainer('c', 'a'));
  v1::ExecRequest exec;
  exec.set_container_id("cc");
  v1::AttachRequest attach;
  attach.set_container_id("cc");
  v1::PortForwardRequest forward;
  forward.set_pod_sandbox_id("aa");
  forward.add_port(80);
  CHECK(Exec(fake.api(), exec, fake.call)->url() == "http://127.0.0.1:1/token");
  CHECK(Attach(fake.api(), attach, fake.call)->url() == "http://127.0.0.1:1/token");
  CHECK(PortForward(fake.api(), forward, fake.call)->url() == "http://127.0.0.1:1/token");
  CHECK(fake.actions.calls ==
        Calls{"url exec " + Id('c'), "url attach " + Id('c'), "url forward " + Id('a')});
}

TEST_CASE("Exec and Attach need a container that runs") {
  FakeRuntime fake;
  const runtime::ContainerPtr container = fake.AddContainer('c', 'a');
  v1::ExecRequest exec;
  v1::AttachRequest attach;
  exec.set_container_id(Id('c'));
  attach.set_container_id(Id('c'));
  CHECK(absl::IsFailedPrecondition(Exec(fake.api(), exec, fake.call).status()));
  CHECK(absl::IsFailedPrecondition(Attach(fake.api(), attach, fake.call).status()));
  exec.set_container_id(Id('9'));
  CHECK(absl::IsNotFound(Exec(fake.api(), exec, fake.call).status()));
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("Attach need not know whether the container has a terminal") {
  FakeRuntime fake;
  FakeRuntime::Start(*fake.AddContainer('c', 'a'));
  v1::AttachRequest attach;
  attach.set_container_id(Id('c'));
  attach.set_tty(true);
  CHECK(Attach(fake.api(), attach, fake.call).ok());
}

TEST_CASE("PortForward refuses ports that are not ports and sandboxes that are not ready") {
  FakeRuntime fake;
  fake.AddSandbox('a');
  fake.AddSandbox('b')->MarkStopped();
  const auto code = [&](const std::string& id, int port) {
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(id);
    request.add_port(port);
    return PortForward(fake.api(), request, fake.call).status().code();
  };
  for (const int port : {-1, 0, 65536})
    CHECK(code(Id('a'), port) == absl::StatusCode::kInvalidArgument);
  CHECK(code(Id('a'), 65535) == absl::StatusCode::kOk);
  CHECK(code(Id('b'), 80) == absl::StatusCode::kFailedPrecondition);
  CHECK(code(Id('9'), 80) == absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace crisp::cri
