// Every step of the calls that change something, and of a shim's own life, is a point where crispd
// or the shim is killed, the host restarts, the disks are full or descriptors run out. Afterwards
// nothing that was acknowledged is lost, the same call succeeds, and nothing is left on the host.
//
//   CRISP_TEST_EVERY=N      does every Nth fault only (default 97)
//   CRISP_TEST_MATRIX=DIR   writes what became of each into DIR/<scenario>, for test/fault/matrix
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/file.h"
#include "fault/kill_points/scenario.h"
#include "fault/kill_points/source_points.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// Read before a Node sets it to the programs with points.
const std::string kReleased =
    getenv("CRISP_TEST_BIN_DIR") == nullptr ? "" : getenv("CRISP_TEST_BIN_DIR");

constexpr Fault kFaults[] = {Fault::kCrispd, Fault::kShim, Fault::kBoth,
                             Fault::kReboot, Fault::kDisk, Fault::kDescriptors};
// A point that is passed more often is used at its first and second passing only.
constexpr uint32_t kMostPassings = 2;
// How long a call may last after its point, whatever is missing.
constexpr int64_t kLongestCall = int64_t{20} * 1'000'000'000;

struct Point {
  std::string name;
  uint32_t nth = 1;
};

int Every() {
  const char* every = getenv("CRISP_TEST_EVERY");
  return every == nullptr ? 97 : std::max(1, atoi(every));
}

// Points of calls that the test itself makes to look.
bool IsOfAnotherCall(const std::string& name, const std::string& rpc) {
  const size_t colon = name.find(": ");
  const std::string rest = colon == std::string::npos ? "" : name.substr(colon);
  return (rest == ": asked" || rest == ": to be answered") && name.substr(0, colon) != rpc &&
         name != "exec: asked";
}

bool IsOfNativeNetwork(const std::string& name) {
  return absl::StartsWith(name, "cni bridge: ") || absl::StartsWith(name, "cni lease: ") ||
         absl::StartsWith(name, "cni pod: ");
}

// Until no point has been passed for so long: what follows an answer is over. Nothing tells that a
// point was passed, or that none will be.
void AwaitQuiet(const Node& node, int milliseconds) {
  const base::Deadline give_up = base::Deadline::In(absl::Minutes(1));
  size_t passed = 0;
  for (int quiet = 0; quiet < milliseconds; quiet += 5, usleep(5000)) {
    const size_t now = node.standstill().count();
    if (now != passed) quiet = 0;
    passed = now;
    Promise(!give_up.Passed(), "what follows an answer does not end");
  }
}

// The points that a scenario passes when nothing is done to it, in their order.
std::vector<Point> Explore(Node& node, const ScenarioKind& kind) {
  const std::unique_ptr<Scenario> scenario = kind.make(node);
  scenario->SetUp();
  AwaitQuiet(node, 50);
  node.standstill().Record();
  const grpc::Status answer = scenario->Act();
  Promise(scenario->IsExpected(answer), "without a fault: " + answer.error_message());
  // What is done after the answer is part of it.
  AwaitQuiet(node, 500);
  std::vector<Point> points;
  std::map<std::string, uint32_t> times;
  for (const std::string& name : node.standstill().Passed()) {
    if (IsOfAnotherCall(name, kind.rpc) || times[name] == kMostPassings) continue;
    if (kind.native && !IsOfNativeNetwork(name)) continue;
    points.push_back({.name = name, .nth = ++times[name]});
  }
  (void)scenario->Judge(Fault::kNone, answer);
  scenario->Again();
  node.CleanUp();
  return points;
}

// Readers do not wait for a call that stands still.
void CheckListsAnswer(Node& node) {
  v1::ListPodSandboxResponse pods;
  v1::ListContainersResponse containers;
  using Stub = v1::RuntimeService::Stub;
  Daemon& daemon = node.daemon();
  Promise(daemon.Try(daemon.runtime(), &Stub::ListPodSandbox, {}, &pods, 5).ok() &&
              daemon.Try(daemon.runtime(), &Stub::ListContainers, {}, &containers, 5).ok(),
          "lists wait for a call that stands still");
}

// After a restart of the host, in a new pod.
void ActInNewPod(Node& node, const ScenarioKind& kind) {
  node.Renew();
  const std::unique_ptr<Scenario> scenario = kind.make(node);
  scenario->SetUp();
  const grpc::Status answer = scenario->Act();
  Promise(scenario->IsExpected(answer),
          "the same call after the restart: " + answer.error_message());
  (void)scenario->Judge(Fault::kNone, answer);
}

constexpr char kNotPassed[] = "not passed";

// Whether a program stands at the point. Not every point of the exploration is passed again: work
// in the background comes when it comes. A second after the call's end it does not come any more.
bool AwaitStanding(const Node& node, const std::atomic<bool>& ended) {
  base::Deadline give_up = base::Deadline::In(absl::Seconds(15));
  bool last_second = false;
  while (!node.standstill().Await(absl::Milliseconds(50))) {
    if (give_up.Passed()) return false;
    if (ended && !last_second) give_up = base::Deadline::In(absl::Seconds(1));
    last_second = ended;
  }
  return true;
}

// What became of the call, "-" when the fault cannot be done there.
std::string Do(Node& node, const ScenarioKind& kind, const Point& point, Fault fault) {
  std::unique_ptr<Scenario> scenario = kind.make(node);
  scenario->SetUp();
  AwaitQuiet(node, 50);
  node.standstill().Arm(point.name, point.nth);
  grpc::Status answer;
  std::atomic<bool> ended = false;
  std::thread act([&] {
    answer = scenario->Act();
    ended = true;
  });
  bool stands = false, struck = false;
  std::string wrong;
  try {
    stands = AwaitStanding(node, ended);
    if (stands && fault == Fault::kDisk && !scenario->Starts()) CheckListsAnswer(node);
    struck = stands && node.Strike(fault, point.name);
  } catch (const std::exception& error) {
    wrong = error.what();
  } catch (...) {
    wrong = "a check of Catch2";  // which it reports
  }
  node.standstill().Release();
  const int64_t released = base::MonotonicNanos();
  // A crispd that could do no more than accept serves once there are descriptors.
  if (scenario->Starts() && !Eventually([&] { return ended.load(); }, 5)) node.GiveDescriptors();
  act.join();
  if (base::MonotonicNanos() - released > kLongestCall) wrong += "the call did not end in time";
  node.Recover(struck ? fault : Fault::kNone, scenario->Starts());
  Promise(wrong.empty(), wrong);
  std::string outcome = stands ? "-" : kNotPassed;
  if (struck) {
    outcome = scenario->Judge(fault, answer);
    if (fault != Fault::kReboot) scenario->Again();
  }
  if (struck && fault == Fault::kReboot) {
    ActInNewPod(node, kind);
  } else {
    node.CheckSteady();
  }
  scenario.reset();
  node.CleanUp();
  return outcome;
}

class Matrix {
 public:
  explicit Matrix(const ScenarioKind& kind) : kind_(kind) {
    const char* directory = getenv("CRISP_TEST_MATRIX");
    if (directory != nullptr)
      path_ = absl::StrCat(directory, "/", absl::StrReplaceAll(kind.name, {{" ", "_"}}));
  }
  void Add(const Point& point, Fault fault, const std::string& outcome) {
    absl::StrAppend(&lines_, kind_.name, "\t", point.name,
                    point.nth == 1 ? "" : absl::StrCat(" (", point.nth, ")"), "\t", NameOf(fault),
                    "\t", outcome, "\n");
  }
  void Write() const {
    if (!path_.empty()) CHECK(base::WriteFileAtomic(path_, lines_, 0644).ok());
  }

 private:
  const ScenarioKind& kind_;
  std::string path_;
  std::string lines_;
};

std::vector<ScenarioKind> AllScenarios() {
  std::vector<ScenarioKind> all;
  for (const auto& some :
       {SandboxScenarios(), ContainerScenarios(), ImageScenarios(), NativeNetworkScenarios()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

// Shared by the scenarios of one run of this program that want the same kind.
std::unique_ptr<Node>& SharedNode(bool native) {
  static std::unique_ptr<Node> node;
  if (node != nullptr && node->native() != native) node.reset();
  if (node == nullptr) node = std::make_unique<Node>(native);
  return node;
}

// A promise that was not kept does not end the sweep: the next point gets a new node.
void Sweep(const std::string& name) {
  const std::vector<ScenarioKind> all = AllScenarios();
  const ScenarioKind& kind = *std::find_if(
      all.begin(), all.end(), [&](const ScenarioKind& each) { return each.name == name; });
  const std::vector<Point> points = Explore(*SharedNode(kind.native), kind);
  Matrix matrix(kind);
  int next = 0, done = 0, missed = 0;
  const int64_t begin = base::MonotonicNanos();
  for (const Point& point : points) {
    for (const Fault fault : kFaults) {
      if (next++ % Every() != 0) continue;
      std::string outcome;
      const int64_t started = base::MonotonicNanos();
      try {
        outcome = Do(*SharedNode(kind.native), kind, point, fault);
        ++done;
        if (outcome == kNotPassed) ++missed;
        CHECK(true);
      } catch (const std::exception& error) {
        outcome = "BROKEN";
        FAIL_CHECK(kind.name << ", " << point.name << " (" << point.nth << "), " << NameOf(fault)
                             << ": " << error.what());
        SharedNode(kind.native)->GiveUp();
        SharedNode(kind.native).reset();
      }
      printf("%s | %s (%u) | %s | %s | %.0f ms\n", kind.name, point.name.c_str(), point.nth,
             NameOf(fault), outcome.c_str(),
             static_cast<double>(base::MonotonicNanos() - started) / 1e6);
      fflush(stdout);
      matrix.Add(point, fault, outcome);
    }
  }
  matrix.Write();
  CHECK(missed <= 1 + done / 4);
  const double ms = static_cast<double>(base::MonotonicNanos() - begin) / 1e6;
  printf("%s: %zu points, %d faults, %.0f ms each\n", kind.name, points.size(), done,
         ms / std::max(done, 1));
}

}  // namespace

TEST_CASE("every point of the source is passed by a scenario", "[explore]") {
  std::set<std::string> passed;
  for (const ScenarioKind& kind : AllScenarios()) {
    for (const Point& point : Explore(*SharedNode(kind.native), kind)) passed.insert(point.name);
  }
  for (const SourcePoint& point : SourcePoints()) {
    INFO(point.name);
    const bool found = std::any_of(passed.begin(), passed.end(), [&](const std::string& name) {
      return point.is_prefix ? absl::StartsWith(name, point.name) : name == point.name;
    });
    CHECK(found);
  }
}

TEST_CASE("what is installed never stops at a point", "[release]") {
  for (const char* name : {"/crispd", "/crisp-shim"}) {
    CHECK_FALSE(absl::StrContains(base::ReadFile(kReleased + name, 256 << 20).value(),
                                  base::kFailpointFile));
    CHECK(absl::StrContains(
        base::ReadFile(std::string(CRISP_KILL_POINTS_BIN) + name, 256 << 20).value(),
        base::kFailpointFile));
  }
}

// One case for each, because each is a test of ctest by itself when every fault is done.
TEST_CASE("kill points: run sandbox") { Sweep("run sandbox"); }
TEST_CASE("kill points: run sandbox that fails") { Sweep("run sandbox that fails"); }
TEST_CASE("kill points: stop sandbox") { Sweep("stop sandbox"); }
TEST_CASE("kill points: remove sandbox") { Sweep("remove sandbox"); }
TEST_CASE("kill points: run sandbox natively") { Sweep("run sandbox natively"); }
TEST_CASE("kill points: stop sandbox natively") { Sweep("stop sandbox natively"); }
TEST_CASE("kill points: create container") { Sweep("create container"); }
TEST_CASE("kill points: start container") { Sweep("start container"); }
TEST_CASE("kill points: start container that fails") { Sweep("start container that fails"); }
TEST_CASE("kill points: exec") { Sweep("exec"); }
TEST_CASE("kill points: container ends") { Sweep("container ends"); }
TEST_CASE("kill points: stop container") { Sweep("stop container"); }
TEST_CASE("kill points: remove container") { Sweep("remove container"); }
TEST_CASE("kill points: pull image") { Sweep("pull image"); }
TEST_CASE("kill points: remove image") { Sweep("remove image"); }
TEST_CASE("kill points: start crispd") { Sweep("start crispd"); }
