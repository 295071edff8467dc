#include "cli/pod_plan.h"

#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

using State = Observed::State;

Observed Running() {
  Observed one;
  one.state = State::kRunning;
  return one;
}

Observed Exited(int code, double seconds = 0) {
  Observed one;
  one.state = State::kExited;
  one.exit_code = code;
  one.finished = At(seconds);
  return one;
}

Observed Failed(double seconds) {
  Observed one;
  one.failed = At(seconds);
  return one;
}

using Indices = std::vector<size_t>;

// first (init), second (init), sidecar, main, main
constexpr char kFull[] =
    "  - {name: d, image: i}\n"
    "  initContainers:\n"
    "  - {name: first, image: i}\n"
    "  - {name: sidecar, image: i, restartPolicy: Always}\n"
    "  - {name: second, image: i}\n";

struct Planned {
  explicit Planned(const std::string& spec)
      : pod(PodOf(spec)), plan(MembersOf(pod.spec), pod.spec.restart_policy) {}
  Actions Next(const std::vector<Observed>& observed, double seconds = 0) {
    return plan.Next(observed, At(seconds));
  }
  const Pod pod;
  PodPlan plan;
};

}  // namespace

TEST_CASE("init containers run one after the other, sidecars beside them, then the main ones") {
  const Observed none;
  struct Case {
    const char* what;
    std::vector<Observed> observed;
    Indices start;
    Phase phase;
  };
  const Case cases[] = {
      {"nothing runs", {none, none, none, none, none}, {0}, Phase::kPending},
      {"the first runs", {Running(), none, none, none, none}, {}, Phase::kPending},
      {"the first is done", {Exited(0), none, none, none, none}, {1}, Phase::kPending},
      {"the sidecar runs", {Exited(0), Running(), none, none, none}, {2}, Phase::kPending},
      {"the second runs", {Exited(0), Running(), Running(), none, none}, {}, Phase::kPending},
      {"all are done", {Exited(0), Running(), Exited(0), none, none}, {3, 4}, Phase::kPending},
      {"one main runs", {Exited(0), Running(), Exited(0), Running(), none}, {4}, Phase::kPending},
      {"all run", {Exited(0), Running(), Exited(0), Running(), Running()}, {}, Phase::kRunning},
      {"the sidecar fell over while the second runs",
       {Exited(0), Exited(1), Running(), none, none},
       {1},
       Phase::kPending},
      {"the sidecar fell over beside the main ones",
       {Exited(0), Exited(0), Exited(0), Running(), Running()},
       {1},
       Phase::kRunning},
      {"a main one and the sidecar fell over",
       {Exited(0), Exited(0), Exited(0), Exited(1), Running()},
       {1, 3},
       Phase::kRunning},
      {"a run of an init container was removed beside the main ones",
       {none, Running(), Exited(0), Running(), Running()},
       {},
       Phase::kRunning},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Planned fixture(kFull);
    const Actions actions = fixture.Next(one.observed);
    CHECK(actions.start == one.start);
    CHECK(actions.stop.empty());
    CHECK(actions.phase == one.phase);
    CHECK_FALSE(actions.is_over);
  }
}

TEST_CASE("the restart policy decides which exits end the pod") {
  struct Case {
    const char* policy;
    std::vector<Observed> observed;  // of two main containers
    Indices start;
    Phase phase;
    bool is_over;
  };
  const Case cases[] = {
      {"Always", {Exited(0), Running()}, {0}, Phase::kRunning, false},
      {"Always", {Exited(0), Exited(1)}, {0, 1}, Phase::kRunning, false},
      {"OnFailure", {Exited(0), Running()}, {}, Phase::kRunning, false},
      {"OnFailure", {Exited(0), Exited(1)}, {1}, Phase::kRunning, false},
      {"OnFailure", {Exited(0), Exited(0)}, {}, Phase::kSucceeded, true},
      {"Never", {Exited(1), Running()}, {}, Phase::kRunning, false},
      {"Never", {Exited(1), Exited(0)}, {}, Phase::kFailed, true},
      {"Never", {Exited(0), Exited(0)}, {}, Phase::kSucceeded, true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.policy, one.start);
    Planned fixture(absl::StrCat("  - {name: d, image: i}\n  restartPolicy: ", one.policy, "\n"));
    const Actions actions = fixture.Next(one.observed);
    CHECK(actions.start == one.start);
    CHECK(actions.phase == one.phase);
    CHECK(actions.is_over == one.is_over);
  }
}

TEST_CASE("an init container that fails is tried again, unless the policy is Never") {
  const std::string init = "  initContainers: [{name: first, image: i}]\n";
  Planned again(init + "  restartPolicy: OnFailure\n");
  CHECK(again.Next({Exited(1), {}}).start == Indices{0});
  Planned never(init + "  restartPolicy: Never\n");
  const Actions actions = never.Next({Exited(1), {}});
  CHECK(actions.start.empty());
  CHECK(actions.phase == Phase::kFailed);
  CHECK(actions.is_over);
}

TEST_CASE("sidecars are stopped in reverse order once the others have ended") {
  Planned fixture(
      "  restartPolicy: Never\n"
      "  initContainers:\n"
      "  - {name: a, image: i, restartPolicy: Always}\n"
      "  - {name: b, image: i, restartPolicy: Always}\n");
  Actions actions = fixture.Next({Running(), Running(), Exited(0)});
  CHECK(actions.stop == Indices{1, 0});
  CHECK(actions.phase == Phase::kSucceeded);
  CHECK_FALSE(actions.is_over);
  actions = fixture.Next({Exited(143), Exited(143), Exited(0)});
  CHECK(actions.start.empty());
  CHECK(actions.is_over);
  CHECK(StopOrder(MembersOf(fixture.pod.spec)) ==
        std::vector<Indices>{Indices{2}, Indices{1}, Indices{0}});
}

TEST_CASE("what comes after a sidecar waits for its startup probe") {
  Planned fixture("  initContainers: [{name: a, image: i, restartPolicy: Always}]\n");
  Observed starting = Running();
  starting.has_started = false;
  CHECK(fixture.Next({starting, {}}).start.empty());
  CHECK(fixture.Next({Running(), {}}).start == Indices{1});
}

TEST_CASE("restarts back off from 10 seconds to 5 minutes") {
  Planned fixture("");
  double ended = 100;
  CHECK(fixture.Next({Exited(1, ended)}, ended).start == Indices{0});  // the first at once
  double last = ended;
  for (const double delay : {10, 20, 40, 80, 160, 300, 300}) {
    CAPTURE(delay);
    ended = last + 1;
    const Actions early = fixture.Next({Exited(1, ended)}, ended + delay - 0.5);
    CHECK(early.start.empty());
    CHECK(early.wake == At(ended + delay));
    CHECK(early.phase == Phase::kRunning);
    last = ended + delay;
    CHECK(fixture.Next({Exited(1, ended)}, last).start == Indices{0});
  }
}

TEST_CASE("a container that ran for more than ten minutes starts again at once") {
  Planned fixture("");
  CHECK(fixture.Next({Exited(1, 0)}, 0).start == Indices{0});
  CHECK(fixture.Next({Exited(1, 601)}, 601).start == Indices{0});
  CHECK(fixture.Next({Exited(1, 602)}, 602).wake == At(612));
}

TEST_CASE("what could not be started is tried again whatever the policy, with the same back-off") {
  Planned fixture("  restartPolicy: Never\n");
  CHECK(fixture.Next({Failed(0)}, 0).start == Indices{0});
  const Actions actions = fixture.Next({Failed(1)}, 1);
  CHECK(actions.start.empty());
  CHECK(actions.wake == At(11));
  CHECK(actions.phase == Phase::kPending);
}

}  // namespace crisp::cli
