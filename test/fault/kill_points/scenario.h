// What is done to crispd while it is killed or starved: one call, what must be true of it
// afterwards, and the call again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fault/kill_points/node.h"

namespace crisp::test {

// Has the layers of kBusybox, and one more.
inline constexpr char kVolumesImage[] = "docker.io/crisp/volumes:1";  // declares volumes
inline constexpr char kPulledImage[] = "gcr.io/k8s-staging-cri-tools/test-image-latest:latest";

// One use: made anew for each fault.
class Scenario {
 public:
  explicit Scenario(Node& node) : node_(node) {}
  virtual ~Scenario() = default;
  Scenario(const Scenario&) = delete;

  // What the call needs. Nothing is armed yet.
  virtual void SetUp() {}
  // The call, on a thread of its own; its answer. An answer with a wrong content is an error, too.
  virtual grpc::Status Act() = 0;
  // Whether that is how the call ends when nothing is done to it.
  virtual bool IsExpected(const grpc::Status& answer) const { return answer.ok(); }
  // After the fault, with crispd serving: throws Broken if something that was acknowledged, before
  // or with `answer`, is not as it was left or later. Returns in a few words what became of the
  // call. The state itself, not the moment, decides which: it is written into the matrix.
  virtual std::string Judge(Fault fault, const grpc::Status& answer) = 0;
  // The same call again, by a client that has no answer or an error: throws unless it succeeds.
  // Not called after a restart of the host, which ended the pod: then a new scenario acts.
  virtual void Again() = 0;
  // Act() starts crispd.
  virtual bool Starts() const { return false; }

 protected:
  Daemon& daemon() { return node_.daemon(); }
  Node& node_;
};

struct ScenarioKind {
  const char* name;
  const char* rpc;  // whose points count; the test's own calls pass points of others
  std::function<std::unique_ptr<Scenario>(Node&)> make;
  bool native = false;  // crispd does the CNI plugins' work, and only the points of that count
};

template <typename Made>
ScenarioKind Kind(const char* name, const char* rpc, bool native = false) {
  return {name, rpc, [](Node& node) { return std::make_unique<Made>(node); }, native};
}

std::vector<ScenarioKind> SandboxScenarios();
std::vector<ScenarioKind> NativeNetworkScenarios();  // the same, with another network
std::vector<ScenarioKind> ContainerScenarios();
std::vector<ScenarioKind> ImageScenarios();  // and the start of crispd

}  // namespace crisp::test
