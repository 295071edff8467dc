// CreateContainer, StartContainer, ExecSync, the end of a container, StopContainer,
// RemoveContainer.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "fault/kill_points/scenario.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

using Stub = v1::RuntimeService::Stub;

class CreateContainer final : public Scenario {
 public:
  using Scenario::Scenario;

  void SetUp() override {
    request_.set_pod_sandbox_id(node_.pod().id());
    *request_.mutable_config() = node_.pod().ContainerConfig({"sleep", "1000"});
    request_.mutable_config()->mutable_image()->set_image(kVolumesImage);
    // A directory on the host that does not exist yet.
    v1::Mount* mount = request_.mutable_config()->add_mounts();
    mount->set_host_path(
        absl::StrCat(daemon().dir(), "/made/", request_.config().metadata().name()));
    mount->set_container_path("/made");
    request_.mutable_config()
        ->mutable_linux()
        ->mutable_security_context()
        ->mutable_seccomp()
        ->set_profile_type(v1::SecurityProfile::RuntimeDefault);
    *request_.mutable_sandbox_config() = node_.pod().config();
  }
  grpc::Status Act() override {
    v1::CreateContainerResponse response;
    const grpc::Status answer =
        daemon().Try(daemon().runtime(), &Stub::CreateContainer, request_, &response);
    acknowledged_ = response.container_id();
    return answer;
  }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    const std::vector<std::string> listed = node_.Containers(request_.config().metadata().name());
    Promise(listed.size() <= 1, "the container is listed twice");
    if (answer.ok())
      Promise(listed == std::vector<std::string>{acknowledged_},
              "an acknowledged container is lost");
    else
      Promise(listed.empty() || EndsCrispd(fault), "a container that failed is listed");
    if (listed.empty()) return "absent";
    kept_ = listed[0];
    const auto expected = fault == Fault::kReboot ? v1::CONTAINER_EXITED : v1::CONTAINER_CREATED;
    Promise(node_.State(kept_) == expected,
            "its state is not " + v1::ContainerState_Name(expected));
    return v1::ContainerState_Name(expected).substr(10);
  }
  void Again() override {
    daemon().Check(Act());
    Promise(kept_.empty() || acknowledged_ == kept_, "the same call made a second container");
    node_.pod().Start(acknowledged_);
    Promise(node_.State(acknowledged_) == v1::CONTAINER_RUNNING, "the container does not run");
  }

 private:
  v1::CreateContainerRequest request_;
  std::string acknowledged_;
  std::string kept_;
};

// What is done to one container, which exists before.
class OneContainer : public Scenario {
 public:
  using Scenario::Scenario;

 protected:
  virtual std::vector<std::string> Command() const { return {"sleep", "1000"}; }
  v1::ContainerState State() {
    const auto state = node_.State(id_);
    Promise(state.has_value(), "an acknowledged container is lost");
    return *state;
  }
  // The end of a container that was killed with its shim, or was to be started, says so.
  std::string Ended(Fault fault) {
    const v1::ContainerStatus status = node_.pod().ContainerStatus(id_);
    const std::string& reason = status.reason();
    Promise(status.exit_code() != 0, "an end that is not known has exit code 0");
    // A start that had failed before the restart is on record.
    const bool known =
        reason == "StartError" ||
        (fault == Fault::kReboot ? reason == "Unknown" : reason == "ShimDied" || reason == "Error");
    Promise(known, "EXITED for the reason " + reason);
    return absl::StrCat("EXITED, ", reason);
  }
  void AwaitExited() {
    Promise(Eventually([&] { return State() == v1::CONTAINER_EXITED; }),
            "the container does not end");
  }

  std::string id_;
};

class StartContainer : public OneContainer {
 public:
  using OneContainer::OneContainer;

  void SetUp() override { id_ = node_.pod().Create(node_.pod().ContainerConfig(Command())); }
  grpc::Status Act() override { return node_.pod().TryStart(id_); }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    if (fault == Fault::kShim || (!answer.ok() && !EndsCrispd(fault))) AwaitExited();
    const v1::ContainerState state = State();
    if (state == v1::CONTAINER_EXITED) {
      Promise(fault != Fault::kCrispd, "crispd's death ended the container");
      return Ended(fault);
    }
    Promise(!answer.ok() || state == v1::CONTAINER_RUNNING, "an acknowledged start is lost");
    return v1::ContainerState_Name(state).substr(10);
  }
  void Again() override {
    if (State() == v1::CONTAINER_EXITED) {
      id_ = node_.pod().Run({"sleep", "1000"});  // as kubelet does
    } else {
      node_.pod().Start(id_);
    }
    Promise(State() == v1::CONTAINER_RUNNING, "the container does not run");
    Promise(node_.pod().Exec(id_, {"echo", "runs"}).out == "runs\n", "exec in it");
  }
};

class FailToStartContainer final : public StartContainer {
 public:
  using StartContainer::StartContainer;

  bool IsExpected(const grpc::Status& answer) const override { return !answer.ok(); }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    Promise(!answer.ok(), "a program that does not exist was started");
    if (!EndsCrispd(fault)) AwaitExited();
    const v1::ContainerState state = State();
    if (state == v1::CONTAINER_EXITED) return Ended(fault);
    Promise(state == v1::CONTAINER_CREATED, "a program that does not exist runs");
    return "CREATED";
  }
  void Again() override {
    if (State() == v1::CONTAINER_CREATED) Promise(!Act().ok(), "it was started after all");
    Promise(State() == v1::CONTAINER_EXITED, "a start that failed left the container as it was");
    StartContainer::Again();
  }

 protected:
  std::vector<std::string> Command() const override { return {"/missing"}; }
};

class Exec final : public OneContainer {
 public:
  using OneContainer::OneContainer;

  void SetUp() override {
    id_ = node_.pod().Run(Command());
    process_ = node_.ProcessOf(id_);
  }
  grpc::Status Act() override {
    v1::ExecSyncRequest request;
    v1::ExecSyncResponse response;
    request.set_container_id(id_);
    for (const char* word : {"echo", "hello"}) request.add_cmd(word);
    request.set_timeout(20);
    const grpc::Status answer =
        daemon().Try(daemon().runtime(), &Stub::ExecSync, request, &response);
    if (answer.ok() && (response.stdout() != "hello\n" || response.exit_code() != 0))
      return grpc::Status(grpc::StatusCode::DATA_LOSS, response.ShortDebugString());
    return answer;
  }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    const std::string outcome = answer.ok() ? "answered" : "failed";
    if (EndsShims(fault)) {
      AwaitExited();
      return absl::StrCat(outcome, "; ", Ended(fault));
    }
    Promise(State() == v1::CONTAINER_RUNNING, "the container does not run");
    Promise(node_.ProcessOf(id_) == process_, "the container has another process");
    return outcome + "; RUNNING";
  }
  void Again() override {
    if (State() == v1::CONTAINER_EXITED) id_ = node_.pod().Run(Command());
    daemon().Check(Act());
  }

 private:
  Running process_;
};

// A container that ends with code 7 and a last line when it gets SIGTERM.
class EndContainer : public OneContainer {
 public:
  using OneContainer::OneContainer;

  void SetUp() override {
    id_ = node_.pod().Run(
        {"sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; sleep 1000 & wait"});
    node_.pod().AwaitLog(id_, "ready");
  }

 protected:
  // True, or said to be unknown.
  std::string Ending(Fault fault, bool may_be_killed) {
    const v1::ContainerStatus status = node_.pod().ContainerStatus(id_);
    if (status.exit_code() != 7) {
      const bool killed = may_be_killed && status.exit_code() == 137;
      Promise(killed || EndsShims(fault),
              absl::StrCat("the exit code is ", status.exit_code(), " for ", status.reason()));
      return Ended(fault);
    }
    Promise(status.reason() == "Error", "exit code 7 has the reason " + status.reason());
    Promise(EndsShims(fault) || node_.pod().LogText(id_) == "ready\nbye\n",
            "the log is " + node_.pod().LogText(id_));
    return "EXITED, code 7";
  }
};

class ContainerEnds final : public EndContainer {
 public:
  using EndContainer::EndContainer;

  // No call: the container ends by itself, and a client waits for that.
  grpc::Status Act() override {
    if (kill(node_.pod().HostPid(id_), SIGTERM) != 0)
      return grpc::Status(grpc::StatusCode::INTERNAL, "kill");
    v1::ContainerStatusRequest request;
    v1::ContainerStatusResponse response;
    request.set_container_id(id_);
    grpc::Status answer;
    (void)Eventually([&] {
      // A second: when crispd was killed, this does not wait for the next one.
      answer = daemon().Try(daemon().runtime(), &Stub::ContainerStatus, request, &response, 1);
      return !answer.ok() || response.status().state() == v1::CONTAINER_EXITED;
    });
    return answer;
  }
  std::string Judge(Fault fault, const grpc::Status&) override {
    AwaitExited();
    return Ending(fault, /*may_be_killed=*/false);
  }
  void Again() override {
    SetUp();
    daemon().Check(Act());
    Promise(Judge(Fault::kNone, grpc::Status()) == "EXITED, code 7", "the end of another one");
  }
};

class StopContainer final : public EndContainer {
 public:
  using EndContainer::EndContainer;

  grpc::Status Act() override {
    v1::StopContainerRequest request;
    v1::StopContainerResponse response;
    request.set_container_id(id_);
    request.set_timeout(10);
    return daemon().Try(daemon().runtime(), &Stub::StopContainer, request, &response);
  }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    fault_ = fault;
    if (fault == Fault::kShim) AwaitExited();
    if (answer.ok()) Promise(State() == v1::CONTAINER_EXITED, "an acknowledged stop is lost");
    // It may still be ending, or go on until it is stopped again: Again() sees how it ends.
    return answer.ok() ? "stopped" : "failed";
  }
  void Again() override {
    daemon().Check(Act());
    Promise(State() == v1::CONTAINER_EXITED, "a stopped container runs");
    (void)Ending(fault_, /*may_be_killed=*/true);
  }

 private:
  Fault fault_ = Fault::kNone;
};

class RemoveContainer final : public OneContainer {
 public:
  using OneContainer::OneContainer;

  void SetUp() override { id_ = node_.pod().Run(Command()); }
  grpc::Status Act() override {
    v1::RemoveContainerRequest request;
    v1::RemoveContainerResponse response;
    request.set_container_id(id_);
    return daemon().Try(daemon().runtime(), &Stub::RemoveContainer, request, &response);
  }
  std::string Judge(Fault, const grpc::Status& answer) override {
    const bool listed = node_.State(id_).has_value();
    Promise(!answer.ok() || !listed, "an acknowledged removal is lost");
    return listed ? "still listed" : "absent";
  }
  void Again() override {
    daemon().Check(Act());
    Promise(!node_.State(id_).has_value(), "a removed container is listed");
  }
};

}  // namespace

std::vector<ScenarioKind> ContainerScenarios() {
  return {Kind<CreateContainer>("create container", "CreateContainer"),
          Kind<StartContainer>("start container", "StartContainer"),
          Kind<FailToStartContainer>("start container that fails", "StartContainer"),
          Kind<Exec>("exec", "ExecSync"),
          Kind<ContainerEnds>("container ends", ""),
          Kind<StopContainer>("stop container", "StopContainer"),
          Kind<RemoveContainer>("remove container", "RemoveContainer")};
}

}  // namespace crisp::test
