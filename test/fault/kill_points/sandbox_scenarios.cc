// RunPodSandbox, StopPodSandbox, RemovePodSandbox.
#include "absl/strings/str_cat.h"
#include "fault/kill_points/scenario.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

using Stub = v1::RuntimeService::Stub;

class RunSandbox : public Scenario {
 public:
  using Scenario::Scenario;

  void SetUp() override { *request_.mutable_config() = PodConfig(daemon()); }
  grpc::Status Act() override {
    v1::RunPodSandboxResponse response;
    const grpc::Status answer =
        daemon().Try(daemon().runtime(), &Stub::RunPodSandbox, request_, &response);
    acknowledged_ = response.pod_sandbox_id();
    return answer;
  }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    const std::vector<std::string> listed = node_.Pods(request_.config().metadata().uid());
    Promise(listed.size() <= 1, "the sandbox is listed twice");
    if (answer.ok())
      Promise(listed == std::vector<std::string>{acknowledged_}, "an acknowledged sandbox is lost");
    else
      Promise(listed.empty() || EndsCrispd(fault), "a sandbox that failed is listed");
    if (listed.empty()) return "absent";
    kept_ = listed[0];
    // The shim that has started a pause is not needed any more.
    const v1::PodSandboxState state =
        fault == Fault::kReboot ? v1::SANDBOX_NOTREADY : v1::SANDBOX_READY;
    const std::string name = v1::PodSandboxState_Name(state);
    Promise(Eventually([&] { return node_.PodState(kept_) == state; }), "it is not " + name);
    return name.substr(8);
  }
  void Again() override {
    const bool ready = !kept_.empty() && node_.PodState(kept_) == v1::SANDBOX_READY;
    daemon().Check(Act());
    Promise(!ready || acknowledged_ == kept_, "the same call made a second sandbox");
    Promise(node_.PodState(acknowledged_) == v1::SANDBOX_READY, "the new sandbox is not READY");
  }

 protected:
  v1::RunPodSandboxRequest request_;

 private:
  std::string acknowledged_;
  std::string kept_;
};

// Pause cannot be released, after its network was attached: everything is undone.
class FailToRunSandbox final : public RunSandbox {
 public:
  using RunSandbox::RunSandbox;

  void SetUp() override {
    RunSandbox::SetUp();
    (*request_.mutable_config()->mutable_linux()->mutable_sysctls())["net.crisp.missing"] = "1";
  }
  bool IsExpected(const grpc::Status& answer) const override { return !answer.ok(); }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    const std::string outcome = RunSandbox::Judge(fault, answer);
    Promise(outcome == "absent", "a sandbox that cannot run is listed");
    return outcome;
  }
  void Again() override {
    request_.mutable_config()->mutable_linux()->mutable_sysctls()->clear();
    RunSandbox::Again();
  }
};

// A pod with a container that runs, and what ends it.
class EndSandbox : public Scenario {
 public:
  using Scenario::Scenario;

  void SetUp() override {
    pod_ = std::make_unique<Pod>(daemon());
    container_ = pod_->Run({"sleep", "1000"});
  }

 protected:
  void CheckStopped() {
    Promise(node_.PodState(pod_->id()) == v1::SANDBOX_NOTREADY, "a stopped sandbox is READY");
    Promise(node_.State(container_) == v1::CONTAINER_EXITED,
            "a container of a stopped sandbox runs");
  }
  void CheckRemoved() {
    Promise(!node_.PodState(pod_->id()).has_value(), "a removed sandbox is listed");
    Promise(!node_.State(container_).has_value(), "a removed sandbox's container is listed");
  }
  std::string Outcome() {
    const auto state = node_.PodState(pod_->id());
    return state.has_value() ? v1::PodSandboxState_Name(*state).substr(8) : "absent";
  }

  std::unique_ptr<Pod> pod_;
  std::string container_;
};

class StopSandbox final : public EndSandbox {
 public:
  using EndSandbox::EndSandbox;

  grpc::Status Act() override {
    v1::StopPodSandboxRequest request;
    v1::StopPodSandboxResponse response;
    request.set_pod_sandbox_id(pod_->id());
    return daemon().Try(daemon().runtime(), &Stub::StopPodSandbox, request, &response);
  }
  std::string Judge(Fault, const grpc::Status& answer) override {
    Promise(node_.PodState(pod_->id()).has_value(), "an acknowledged sandbox is lost");
    Promise(node_.State(container_).has_value(), "an acknowledged container is lost");
    if (answer.ok()) CheckStopped();
    return Outcome();
  }
  void Again() override {
    daemon().Check(Act());
    CheckStopped();
  }
};

class RemoveSandbox final : public EndSandbox {
 public:
  using EndSandbox::EndSandbox;

  grpc::Status Act() override {
    v1::RemovePodSandboxRequest request;
    v1::RemovePodSandboxResponse response;
    request.set_pod_sandbox_id(pod_->id());
    return daemon().Try(daemon().runtime(), &Stub::RemovePodSandbox, request, &response);
  }
  std::string Judge(Fault, const grpc::Status& answer) override {
    if (answer.ok()) CheckRemoved();
    return Outcome();
  }
  void Again() override {
    daemon().Check(Act());
    CheckRemoved();
  }
};

}  // namespace

std::vector<ScenarioKind> SandboxScenarios() {
  return {Kind<RunSandbox>("run sandbox", "RunPodSandbox"),
          Kind<FailToRunSandbox>("run sandbox that fails", "RunPodSandbox"),
          Kind<StopSandbox>("stop sandbox", "StopPodSandbox"),
          Kind<RemoveSandbox>("remove sandbox", "RemovePodSandbox")};
}

std::vector<ScenarioKind> NativeNetworkScenarios() {
  return {Kind<RunSandbox>("run sandbox natively", "RunPodSandbox", /*native=*/true),
          Kind<StopSandbox>("stop sandbox natively", "StopPodSandbox", /*native=*/true)};
}

}  // namespace crisp::test
