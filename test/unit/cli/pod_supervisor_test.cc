#include "cli/pod_supervisor.h"

#include <memory>

#include "fake_runtime.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

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
  std::string EndMessage(const Container& container, uint32_t attempt,
                         bool has_failed) const override {
    const auto found = messages.find(absl::StrCat(container.name, attempt));
    return found == messages.end() || !has_failed ? "" : found->second;
  }
  absl::Status RotateLog(const Container& container, uint32_t attempt,
                         const std::function<absl::Status()>& reopen) override {
    const bool is_long = long_logs.erase(absl::StrCat(container.name, attempt)) > 0;
    return is_long ? reopen() : absl::OkStatus();
  }
  absl::Status Remove() override {
    is_removed = true;
    return absl::OkStatus();
  }
  absl::Status error;
  Texts ips, forgotten;
  std::map<std::string, std::string> messages;  // by name and attempt
  std::set<std::string> long_logs;
  bool is_removed = false;
};

constexpr absl::Time kAtOnce = absl::InfinitePast();

// Writes hooks down among the calls of the runtime.
class FakeHandlers final : public Handlers {
 public:
  explicit FakeHandlers(FakeRuntime& runtime) : runtime_(runtime) {}
  absl::Status Run(const Handler& handler, const HandlerTarget& target, Purpose purpose,
                   absl::Duration) override {
    runtime_.Say(absl::StrCat(purpose == Purpose::kHook ? "hook " : "probe ", handler.exec->at(0),
                              " ", target.container_id, " ", target.ip));
    on_hook();
    return error;
  }
  absl::Status error;
  std::function<void()> on_hook = [] {};

 private:
  FakeRuntime& runtime_;
};

class FakeProbes final : public Probes {
 public:
  void Begin(const HandlerTarget& target) override { begun.insert(target.container_id); }
  void Keep(const std::set<std::string>& container_ids) override {
    begun = container_ids;
    on_keep();
  }
  Health Of(const Container&, const std::string& container_id) const override {
    const auto found = healths.find(container_id);
    return found == healths.end() ? Health() : found->second;
  }
  std::set<std::string> begun;
  std::map<std::string, Health> healths;
  std::function<void()> on_keep = [] {};
};

struct Fixture {
  explicit Fixture(const std::string& spec, std::vector<RegistryCredential> credentials = {})
      : pod(PodOf(spec)),
        supervisor(pod, objects, TestInstance(pod), node, std::move(credentials), hands) {}
  PodReport Sync(int seconds = 0) {
    now = At(seconds);
    return supervisor.Sync();
  }
  const Pod pod;
  const Manifest objects;
  const Node node = TestNode();
  FakeRuntime runtime;
  FakeFiles files;
  FakeHandlers handlers{runtime};
  FakeProbes probes;
  absl::Time now;
  const PodSupervisor::Hands hands = {
      .runtime = runtime, .files = files, .handlers = handlers, .probes = probes, .clock = [this] {
        return now;
      }};
  PodSupervisor supervisor;
};

// Each hook waits until so many run.
std::function<void()> Together(int count) {
  struct Meeting {
    absl::Mutex mu;
    int begun = 0;
  };
  return [count, meeting = std::make_shared<Meeting>()] {
    const absl::MutexLock lock(&meeting->mu);
    ++meeting->begun;
    const auto have_begun = [&] { return meeting->begun >= count; };
    meeting->mu.AwaitWithTimeout(absl::Condition(&have_begun), absl::Seconds(60));
  };
}

}  // namespace

TEST_CASE("a pod is started: its sandbox, then its containers, then it is watched") {
  Fixture fixture("  - {name: d, image: \"i:1\"}\n");
  PodReport report = fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"run 0", "start c0", "start d0"});
  CHECK(fixture.files.ips == Texts{"10.0.0.2"});
  CHECK(report.wake == kAtOnce);
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

TEST_CASE("a container of which the runtime knows nothing is stopped before it starts again") {
  Fixture fixture("");
  fixture.Sync();
  fixture.runtime.Of("c0").state = ContainerInfo::State::kUnknown;
  fixture.runtime.Calls();
  fixture.Sync(1);
  CHECK(fixture.runtime.Calls() == Texts{"stop c0", "start c1"});
}

TEST_CASE("another supervisor goes on where one was killed") {
  Fixture fixture("  - {name: d, image: \"i:1\"}\n");
  fixture.Sync();
  fixture.runtime.containers[1].state = ContainerInfo::State::kCreated;  // before its start
  fixture.runtime.Calls();
  PodSupervisor next(fixture.pod, fixture.objects, TestInstance(fixture.pod), fixture.node, {},
                     fixture.hands);
  next.Sync();
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

TEST_CASE("in a new sandbox init containers run again, also beside what has succeeded before") {
  Fixture fixture(
      "  - {name: d, image: \"i:1\"}\n  restartPolicy: OnFailure\n"
      "  initContainers: [{name: first, image: \"i:1\"}]\n");
  fixture.Sync();
  fixture.runtime.End("first0", 0, At(0));
  fixture.Sync();
  fixture.runtime.End("c0", 0, At(1));
  fixture.runtime.End("d0", 137, At(1));
  fixture.runtime.sandboxes[0].is_ready = false;
  fixture.runtime.Calls();
  fixture.Sync(2);
  CHECK(fixture.runtime.Calls() == Texts{"stop s0", "run 1", "start first1"});
  fixture.runtime.End("first1", 0, At(2));
  fixture.Sync(2);
  CHECK(fixture.runtime.Calls() == Texts{"start d1"});
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

TEST_CASE("a pod of which all has succeeded does not get another sandbox") {
  Fixture fixture("  restartPolicy: OnFailure\n");
  fixture.Sync();
  fixture.runtime.End("c0", 0, At(1));
  fixture.runtime.sandboxes[0].is_ready = false;
  fixture.runtime.Calls();
  const PodReport report = fixture.Sync(2);
  CHECK(report.is_over);
  CHECK(report.phase == Phase::kSucceeded);
  CHECK(fixture.runtime.Calls().empty());
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
  CHECK(fixture.Sync(30).wake == kAtOnce);
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
  CHECK(report.wake == kAtOnce);
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

TEST_CASE("a pod that runs does not become pending when a container cannot be started again") {
  Fixture fixture("  - {name: d, image: r.example.com/d, imagePullPolicy: Always}\n");
  fixture.Sync();
  CHECK(fixture.Sync().phase == Phase::kRunning);
  fixture.runtime.End("d0", 1, At(1));
  fixture.runtime.is_private = true;
  fixture.Sync(1);
  fixture.Sync(1);
  const PodReport report = fixture.Sync(1);
  CHECK(report.phase == Phase::kRunning);
  CHECK(report.containers[1].state == "Waiting");
  CHECK(report.containers[1].message == "denied");
  CHECK(report.wake == At(11));
}

TEST_CASE("a container that runs although its start was not answered is not told as failed") {
  Fixture fixture("");
  fixture.runtime.start_error = absl::UnavailableError("socket closed");
  fixture.Sync();
  fixture.runtime.Of("c0").state = ContainerInfo::State::kRunning;
  const PodReport report = fixture.Sync();
  CHECK(report.phase == Phase::kRunning);
  CHECK(report.containers[0].state == "Running");
  CHECK(report.containers[0].message == "");
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

TEST_CASE("a probe that takes its time does not hold up the end of its container") {
  Fixture fixture("");
  fixture.Sync();
  fixture.runtime.Calls();
  fixture.probes.on_keep = [&] { fixture.runtime.Say("await probes"); };
  CHECK(fixture.supervisor.TearDown() == absl::OkStatus());
  CHECK(fixture.runtime.Calls() == Texts{"stop c0", "await probes", "stop s0", "remove s0"});
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
  CHECK(fixture.Sync(1).wake == kAtOnce);
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

TEST_CASE("preStop hooks of all run at once, and sidecars are stopped after what they serve") {
  const std::string hook = "lifecycle: {preStop: {exec: {command: [bye]}}}";
  Fixture fixture(absl::StrCat(
      "    ", hook, "\n  - {name: d, image: \"i:1\", ", hook,
      "}\n  initContainers: [{name: side, image: \"i:1\", restartPolicy: Always, ", hook, "}]\n"));
  fixture.Sync();
  fixture.Sync();
  fixture.runtime.Calls();
  fixture.handlers.on_hook = Together(3);
  CHECK(fixture.supervisor.TearDown() == absl::OkStatus());
  const Texts calls = fixture.runtime.Calls();
  REQUIRE(calls.size() == 8);
  for (size_t i = 0; i < 3; ++i) CHECK_THAT(calls[i], Catch::StartsWith("hook bye"));
  CHECK(calls[5] == "stop side0");
}

TEST_CASE("when a pod is over its sidecars share one grace period, from their hooks on") {
  const std::string hook = "lifecycle: {preStop: {exec: {command: [bye]}}}";
  Fixture fixture(absl::StrCat("  restartPolicy: Never\n  initContainers:\n",
                               "  - {name: a, image: \"i:1\", restartPolicy: Always, ", hook, "}\n",
                               "  - {name: b, image: \"i:1\", restartPolicy: Always, ", hook,
                               "}\n"));
  for (int i = 0; i < 3; ++i) fixture.Sync();
  fixture.runtime.End("c0", 0, At(1));
  fixture.runtime.Calls();
  fixture.handlers.on_hook = Together(2);
  fixture.Sync(1);
  const Texts calls = fixture.runtime.Calls();
  REQUIRE(calls.size() == 4);
  CHECK_THAT(calls[1], Catch::StartsWith("hook bye"));
  CHECK(calls[2] == "stop b0");
  CHECK(calls[3] == "stop a0");
}

TEST_CASE("the back-off of a start that failed begins when it has failed") {
  Fixture fixture("  - {name: d, image: r.example.com/d}\n");
  fixture.runtime.is_private = true;
  fixture.runtime.on_pull = [&] { fixture.now += absl::Seconds(60); };
  fixture.Sync();    // fails at 60
  fixture.Sync(60);  // the first restart comes at once; it fails at 120
  fixture.runtime.Calls();
  CHECK(fixture.Sync(120).wake == At(130));
  CHECK(fixture.runtime.Calls().empty());
  fixture.Sync(130);
  CHECK(fixture.runtime.Calls() == Texts{"pull r.example.com/d "});
}

TEST_CASE("a sandbox that has died is removed once nothing in it is needed") {
  Fixture fixture("");
  fixture.Sync();
  for (int death = 0; death < 2; ++death) {
    fixture.runtime.End(absl::StrCat("c", death), 137, At(death));
    fixture.runtime.sandboxes.back().is_ready = false;
    fixture.Sync(death + 1);
  }
  fixture.runtime.Calls();
  fixture.Sync(2);
  CHECK(fixture.runtime.Calls() == Texts{"remove s0"});  // s1 has the last run that has ended
  REQUIRE(fixture.runtime.sandboxes.size() == 2);
  CHECK(fixture.runtime.sandboxes[0].id == "s1");
}

TEST_CASE("logs of running containers are rotated") {
  Fixture fixture("");
  fixture.Sync();
  fixture.files.long_logs = {"c0"};
  fixture.runtime.Calls();
  fixture.Sync();
  CHECK(fixture.runtime.Calls() == Texts{"reopen c0"});
}

TEST_CASE("what a container says of its end is told behind what the runtime says") {
  Fixture fixture("  restartPolicy: Never\n");
  fixture.Sync();
  fixture.runtime.End("c0", 1, At(1));
  fixture.runtime.Of("c0").reason = "Error";
  fixture.files.messages["c0"] = "the disk is full";
  CHECK(fixture.Sync(1).containers[0].message == "Error: the disk is full");
}

}  // namespace crisp::cli
