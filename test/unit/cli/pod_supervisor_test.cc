#include "cli/pod_supervisor.h"

#include <algorithm>
#include <functional>

#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

namespace v1 = ::runtime::v1;
using Texts = std::vector<std::string>;

// A runtime that does what it is told and writes it down. Containers end when the test says so.
class FakeRuntime final : public Runtime {
 public:
  absl::StatusOr<RuntimeFacts> Facts() override { return RuntimeFacts(); }
  absl::StatusOr<std::vector<SandboxInfo>> Sandboxes(const std::string&) override {
    return list_error.ok() ? absl::StatusOr<std::vector<SandboxInfo>>(sandboxes) : list_error;
  }
  absl::StatusOr<std::vector<ContainerInfo>> Containers(const std::string&) override {
    return containers;
  }
  absl::StatusOr<std::string> RunSandbox(const v1::PodSandboxConfig& config) override {
    calls.push_back(absl::StrCat("run ", config.metadata().attempt()));
    if (!sandbox_error.ok()) return sandbox_error;
    const std::string id = absl::StrCat("s", config.metadata().attempt());
    sandboxes.push_back({.id = id, .attempt = config.metadata().attempt(), .is_ready = true});
    return id;
  }
  absl::StatusOr<Texts> SandboxIps(const std::string&) override { return Texts{"10.0.0.2"}; }
  absl::Status StopSandbox(const std::string& id) override {
    calls.push_back(absl::StrCat("stop ", id));
    for (SandboxInfo& sandbox : sandboxes) sandbox.is_ready &= sandbox.id != id;
    return absl::OkStatus();
  }
  absl::Status RemoveSandbox(const std::string& id) override {
    calls.push_back(absl::StrCat("remove ", id));
    return absl::OkStatus();
  }
  absl::StatusOr<ImageInfo> FindImage(const std::string& image) override {
    if (images.count(image) == 0) return absl::NotFoundError("none");
    return ImageInfo{.id = "sha256:" + image, .user = {}};
  }
  absl::Status PullImage(const std::string& image, const v1::AuthConfig* auth,
                         const v1::PodSandboxConfig&) override {
    calls.push_back(absl::StrCat("pull ", image, " ", auth == nullptr ? "" : auth->username()));
    if (auth == nullptr ? is_private : auth->username() != "good")
      return absl::PermissionDeniedError("denied");
    images.insert(image);
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> CreateContainer(const std::string& sandbox,
                                              const v1::ContainerConfig& config,
                                              const v1::PodSandboxConfig&) override {
    ContainerInfo info;
    info.name = config.metadata().name();
    info.attempt = config.metadata().attempt();
    info.id = absl::StrCat(info.name, info.attempt);
    info.sandbox_id = sandbox;
    info.state = ContainerInfo::State::kCreated;
    containers.push_back(info);
    return info.id;
  }
  absl::Status StartContainer(const std::string& id) override {
    calls.push_back(absl::StrCat("start ", id));
    Of(id).state =
        start_error.ok() ? ContainerInfo::State::kRunning : ContainerInfo::State::kExited;
    if (!start_error.ok()) Of(id).exit_code = 128;
    return start_error;
  }
  absl::Status StopContainer(const std::string& id, absl::Duration) override {
    calls.push_back(absl::StrCat("stop ", id));
    End(id, 143, absl::UnixEpoch());
    return absl::OkStatus();
  }
  absl::Status RemoveContainer(const std::string& id) override {
    calls.push_back(absl::StrCat("remove ", id));
    containers.erase(std::remove_if(containers.begin(), containers.end(),
                                    [&](const ContainerInfo& info) { return info.id == id; }),
                     containers.end());
    return absl::OkStatus();
  }

  absl::StatusOr<ExecResult> ExecSync(const std::string&, const Texts&, absl::Duration) override {
    return ExecResult();
  }

  ContainerInfo& Of(const std::string& id) {
    for (ContainerInfo& info : containers) {
      if (info.id == id) return info;
    }
    FAIL("container " << id << " is not there");
    return containers[0];
  }
  void End(const std::string& id, int code, absl::Time at) {
    Of(id).state = ContainerInfo::State::kExited;
    Of(id).exit_code = code;
    Of(id).finished = at;
  }
  // The calls since the last time.
  Texts Calls() { return std::exchange(calls, {}); }

  Texts calls;
  std::vector<SandboxInfo> sandboxes;
  std::vector<ContainerInfo> containers;
  std::set<std::string> images = {"i", "i:1"};
  bool is_private = false;
  absl::Status list_error, sandbox_error, start_error;
};

class FakeFiles final : public PodFiles {
 public:
  absl::Status MakeVolumes() override { return error; }
  absl::Status MakeForContainer(const Container&, uint32_t, const PodInstance& instance) override {
    ips = instance.ips;
    return error;
  }
  void Forget(const Container& container, uint32_t attempt) override {
    forgotten.push_back(absl::StrCat(container.name, attempt));
  }
  absl::Status Remove() override {
    is_removed = true;
    return absl::OkStatus();
  }
  absl::Status error;
  Texts ips, forgotten;
  bool is_removed = false;
};

// Writes hooks down among the calls of the runtime.
class FakeHandlers final : public Handlers {
 public:
  explicit FakeHandlers(Texts& calls) : calls_(calls) {}
  absl::Status Run(const Handler& handler, const HandlerTarget& target, absl::Duration) override {
    calls_.push_back(
        absl::StrCat("hook ", handler.exec->at(0), " ", target.container_id, " ", target.ip));
    return error;
  }
  absl::Status error;

 private:
  Texts& calls_;
};

class FakeProbes final : public Probes {
 public:
  void Begin(const HandlerTarget& target) override { begun.insert(target.container_id); }
  void Keep(const std::set<std::string>& container_ids) override { begun = container_ids; }
  Health Of(const Container&, const std::string& container_id) const override {
    const auto found = healths.find(container_id);
    return found == healths.end() ? Health() : found->second;
  }
  std::set<std::string> begun;
  std::map<std::string, Health> healths;
};

struct Fixture {
  explicit Fixture(const std::string& spec, std::vector<RegistryCredential> credentials = {})
      : pod(PodOf(spec)),
        supervisor(pod, objects, TestInstance(pod), node, std::move(credentials), hands) {}
  PodReport Sync(int seconds = 0) {
    return supervisor.Sync(absl::UnixEpoch() + absl::Seconds(seconds));
  }
  const Pod pod;
  const Manifest objects;
  const Node node = TestNode();
  FakeRuntime runtime;
  FakeFiles files;
  FakeHandlers handlers{runtime.calls};
  FakeProbes probes;
  const PodSupervisor::Hands hands = {
      .runtime = runtime, .files = files, .handlers = handlers, .probes = probes};
  PodSupervisor supervisor;
};

}  // namespace

TEST_CASE("a pod is started: its sandbox, then its containers, then it is watched") {
  Fixture fixture("  - {name: d, image: \"i:1\"}\n");
  PodReport report = fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start c0", "start d0"});
  CHECK(fixture.files.ips == Texts{"10.0.0.2"});
  CHECK(report.wake == At(0));
  report = fixture.Sync();
  CHECK(fixture.runtime.Calls().empty());
  CHECK(report.phase == Phase::kRunning);
  CHECK(report.wake == At(10));
  REQUIRE(report.containers.size() == 2);
  CHECK(report.containers[1].name == "d");
  CHECK(report.containers[1].state == "Running");
}

TEST_CASE("a container that ends is started again under the next attempt, and one dead run stays") {
  Fixture fixture("");
  fixture.Sync();
  fixture.runtime.End("c0", 1, At(1));
  fixture.Sync(1);
  fixture.runtime.End("c1", 1, At(2));
  CHECK(fixture.Sync(2).wake == At(12));
  fixture.runtime.Calls();
  fixture.Sync(12);
  CHECK(fixture.runtime.Calls() == Texts{"remove c0", "start c2"});
  CHECK(fixture.files.forgotten == Texts{"c0"});
}

TEST_CASE("another supervisor goes on where one was killed") {
  Fixture fixture("  - {name: d, image: \"i:1\"}\n");
  fixture.Sync();
  fixture.runtime.containers[1].state = ContainerInfo::State::kCreated;  // before its start
  fixture.runtime.Calls();
  PodSupervisor next(fixture.pod, fixture.objects, TestInstance(fixture.pod), fixture.node, {},
                     fixture.hands);
  next.Sync(At(5));
  CHECK(fixture.runtime.Calls() == Texts{"remove d0", "start d0"});
}

TEST_CASE("a sandbox that has died is replaced, and its containers run again") {
  Fixture pods("  - {name: d, image: \"i:1\"}\n  restartPolicy: OnFailure\n");
  pods.Sync();
  pods.runtime.End("c0", 0, At(1));
  pods.runtime.End("d0", 137, At(1));
  pods.runtime.sandboxes[0].is_ready = false;
  pods.runtime.Calls();
  pods.Sync(2);
  // c has succeeded and does not run again.
  CHECK(pods.runtime.Calls() == Texts{"stop s0", "run 1", "start d1"});
}

TEST_CASE("while the runtime does not answer a pod is what it was, and the reason is told") {
  Fixture fixture("");
  fixture.Sync();
  CHECK(fixture.Sync().phase == Phase::kRunning);
  fixture.runtime.list_error = absl::UnavailableError("connection refused");
  const PodReport report = fixture.Sync(1);
  CHECK(report.phase == Phase::kRunning);
  CHECK(report.message == "connection refused");
  CHECK_FALSE(report.is_over);
  CHECK(report.wake == At(11));
}

TEST_CASE("a pod that never restarts ends with its sandbox") {
  Fixture fixture("  restartPolicy: Never\n");
  fixture.Sync();
  fixture.runtime.End("c0", 0, At(1));
  fixture.runtime.sandboxes[0].is_ready = false;
  const PodReport report = fixture.Sync(2);
  CHECK(report.is_over);
  CHECK(report.phase == Phase::kSucceeded);
}

TEST_CASE("a sandbox that cannot be made is tried again with a back-off, and the reason is told") {
  Fixture fixture("");
  fixture.runtime.sandbox_error = absl::UnavailableError("no network");
  PodReport report = fixture.Sync();
  CHECK(report.message == "no network");
  CHECK(report.phase == Phase::kPending);
  CHECK(report.wake == At(10));
  fixture.runtime.Calls();
  CHECK(fixture.Sync(5).message == "no network");
  CHECK(fixture.runtime.Calls().empty());
  CHECK(fixture.Sync(10).wake == At(30));
  fixture.runtime.sandbox_error = absl::OkStatus();
  CHECK(fixture.Sync(30).wake == At(30));
}

TEST_CASE("images are pulled by policy, with the credentials of their registry") {
  RegistryCredential bad, good;
  bad.server = good.server = "r.example.com";
  bad.auth.set_username("bad");
  good.auth.set_username("good");
  Fixture fixture(
      "  - {name: d, image: r.example.com/d}\n"
      "  - {name: e, image: \"i:1\", imagePullPolicy: Always}\n"
      "  - {name: f, image: \"i:2\", imagePullPolicy: Never}\n",
      {bad, good});
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start c0", "pull r.example.com/d bad",
                                         "pull r.example.com/d good", "start d0", "pull i:1 ",
                                         "start e0"});
  const PodReport report = fixture.Sync();
  CHECK(report.containers[3].state == "Waiting");
  CHECK(report.containers[3].message == "image i:2 is not present, and imagePullPolicy is Never");
  CHECK(report.wake == At(0));
}

TEST_CASE("what could not be pulled is tried again after the back-off") {
  Fixture fixture("  - {name: d, image: r.example.com/d}\n  restartPolicy: Never\n");
  fixture.runtime.is_private = true;
  fixture.Sync();
  fixture.Sync();  // the first restart comes at once
  CHECK(fixture.Sync(1).wake == At(10));
  fixture.runtime.is_private = false;
  fixture.runtime.Calls();
  fixture.Sync(10);
  CHECK(fixture.runtime.Calls() == Texts{"pull r.example.com/d ", "start d0"});
}

TEST_CASE("a start that fails is an exit, to which the restart policy applies") {
  Fixture fixture("  restartPolicy: Never\n");
  fixture.runtime.start_error = absl::InternalError("exec: no such file");
  fixture.Sync();
  const PodReport report = fixture.Sync();
  CHECK(report.is_over);
  CHECK(report.phase == Phase::kFailed);
  CHECK(report.containers[0].state == "Exited");
  CHECK(report.containers[0].exit_code == 128);
  CHECK(report.containers[0].message == "exec: no such file");
}

TEST_CASE("a pod is torn down: others before sidecars, then the sandbox, then the files") {
  Fixture fixture("  initContainers: [{name: s, image: \"i:1\", restartPolicy: Always}]\n");
  fixture.Sync();
  fixture.Sync();
  fixture.runtime.Calls();
  CHECK(fixture.supervisor.TearDown() == absl::OkStatus());
  CHECK(fixture.runtime.Calls() == Texts{"stop c0", "stop s0", "stop s0", "remove s0"});
  CHECK(fixture.files.is_removed);
}

TEST_CASE("when a pod is over its sidecars are stopped, and its sandbox by Finish") {
  Fixture fixture(
      "  restartPolicy: Never\n"
      "  initContainers: [{name: side, image: \"i:1\", restartPolicy: Always}]\n");
  fixture.Sync();
  fixture.Sync();
  fixture.runtime.End("c0", 0, At(1));
  fixture.runtime.Calls();
  CHECK_FALSE(fixture.Sync(1).is_over);
  CHECK(fixture.runtime.Calls() == Texts{"stop side0"});
  CHECK(fixture.Sync(1).is_over);
  CHECK(fixture.supervisor.Finish() == absl::OkStatus());
  CHECK(fixture.runtime.Calls() == Texts{"stop s0"});
}

TEST_CASE("a container whose liveness probe fails is stopped and started again") {
  Fixture fixture("");
  fixture.Sync();
  fixture.Sync();
  CHECK(fixture.probes.begun == std::set<std::string>{"c0"});
  fixture.probes.healths["c0"].is_alive = false;
  fixture.runtime.Calls();
  CHECK(fixture.Sync(1).wake == At(1));
  CHECK(fixture.runtime.Calls() == Texts{"stop c0"});
  fixture.Sync(1);
  CHECK(fixture.runtime.Calls() == Texts{"start c1"});
  fixture.Sync(1);
  CHECK(fixture.probes.begun == std::set<std::string>{"c1"});
}

TEST_CASE("containers wait for the startup probe of the sidecar before them") {
  Fixture fixture("  initContainers: [{name: side, image: \"i:1\", restartPolicy: Always}]\n");
  fixture.probes.healths["side0"].has_started = false;
  fixture.Sync();
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start side0"});
  fixture.probes.healths["side0"].has_started = true;
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"start c0"});
}

TEST_CASE("a pod is ready when what has not ended for good is") {
  Fixture fixture("  - {name: d, image: \"i:1\"}\n  restartPolicy: OnFailure\n");
  fixture.Sync();
  fixture.probes.healths["c0"].is_ready = false;
  CHECK_FALSE(fixture.Sync().is_ready);
  fixture.probes.healths["c0"].is_ready = true;
  CHECK(fixture.Sync().is_ready);
  fixture.runtime.End("d0", 0, At(1));
  CHECK(fixture.Sync(1).is_ready);
}

TEST_CASE("hooks run after the start and before the stop, and know the pod's address") {
  const std::string hooks =
      "    lifecycle: {postStart: {exec: {command: [hello]}}, preStop: {exec: {command: [bye]}}}\n";
  Fixture fixture(hooks);
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start c0", "hook hello c0 10.0.0.2"});
  CHECK(fixture.supervisor.TearDown() == absl::OkStatus());
  CHECK(fixture.runtime.Calls() ==
        Texts{"hook bye c0 10.0.0.2", "stop c0", "stop s0", "remove s0"});
}

TEST_CASE("a postStart hook that fails ends the container, and the restart policy decides") {
  Fixture fixture(
      "    lifecycle: {postStart: {exec: {command: [hello]}}}\n  restartPolicy: Never\n");
  fixture.handlers.error = absl::FailedPreconditionError("exit code 1");
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start c0", "hook hello c0 10.0.0.2", "stop c0"});
  const PodReport report = fixture.Sync();
  CHECK(report.phase == Phase::kFailed);
  CHECK(report.containers[0].message == "postStart hook: exit code 1");
}

}  // namespace crisp::cli
