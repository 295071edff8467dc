// PullImage, RemoveImage, and the start of crispd.
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/id.h"
#include "fault/kill_points/scenario.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

using Images = v1::ImageService::Stub;

// Every file of a layer with its kind, owner, size and content.
void Describe(const std::string& directory, const std::string& below, std::string& text) {
  for (const std::string& name : base::ListDir(directory).value_or(std::vector<std::string>())) {
    const std::string path = base::JoinPath(directory, name);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) continue;
    absl::StrAppend(&text, below, "/", name, " ", info.st_mode, " ", info.st_uid, " ");
    if (S_ISREG(info.st_mode))
      absl::StrAppend(&text, info.st_size, " ",
                      std::hash<std::string>()(base::ReadFile(path).value_or("cannot be read")));
    absl::StrAppend(&text, "\n");
    if (S_ISDIR(info.st_mode)) Describe(path, absl::StrCat(below, "/", name), text);
  }
}

class ImageScenario : public Scenario {
 public:
  using Scenario::Scenario;

 protected:
  grpc::Status Pull() {
    v1::PullImageRequest request;
    v1::PullImageResponse response;
    request.mutable_image()->set_image(kPulledImage);
    const grpc::Status answer =
        daemon().Try(daemon().images(), &Images::PullImage, request, &response);
    acknowledged_ = response.image_ref();
    return answer;
  }
  // Its id; empty when it is not listed. What is listed is complete.
  std::string Listed() {
    v1::ImageStatusRequest request;
    request.mutable_image()->set_image(kPulledImage);
    const auto status = daemon().Call(daemon().images(), &Images::ImageStatus, request);
    if (!status.has_image()) return "";
    static const std::string first = Content();
    Promise(Content() == first, "a listed image is not complete");
    return status.image().id();
  }

  std::string acknowledged_;

 private:
  // Of all layers. Their numbers say nothing: a pull begins several at once.
  std::string Content() {
    const std::string layers = daemon().root() + "/snapshots/layers";
    std::vector<std::string> each;
    const std::vector<std::string> names = base::ListDir(layers).value();
    for (const std::string& name : names)
      Describe(absl::StrCat(layers, "/", name, "/fs"), "", each.emplace_back());
    std::sort(each.begin(), each.end());
    std::string all;
    for (const std::string& text : each) absl::StrAppend(&all, "layer\n", text);
    return all;
  }
};

class PullImage final : public ImageScenario {
 public:
  using ImageScenario::ImageScenario;

  grpc::Status Act() override { return Pull(); }
  std::string Judge(Fault, const grpc::Status& answer) override {
    const std::string id = Listed();
    Promise(!answer.ok() || id == acknowledged_, "an acknowledged image is lost");
    return id.empty() ? "absent" : "listed, complete";
  }
  void Again() override {
    daemon().Check(Act());
    Promise(Listed() == acknowledged_, "the image is not listed");
    // It has all that a container needs.
    const std::string container = node_.pod().Run(
        {"sleep", "1000"},
        [](v1::ContainerConfig& config) { config.mutable_image()->set_image(kPulledImage); });
    Promise(node_.pod().Exec(container, {"echo", "runs"}).out == "runs\n", "a container of it");
    node_.pod().RemoveContainer(container);
  }
};

class RemoveImage final : public ImageScenario {
 public:
  using ImageScenario::ImageScenario;

  void SetUp() override { daemon().Check(Pull()); }
  grpc::Status Act() override {
    v1::RemoveImageRequest request;
    v1::RemoveImageResponse response;
    request.mutable_image()->set_image(kPulledImage);
    return daemon().Try(daemon().images(), &Images::RemoveImage, request, &response);
  }
  std::string Judge(Fault, const grpc::Status& answer) override {
    const std::string id = Listed();
    Promise(!answer.ok() || id.empty(), "a removed image is listed");
    return id.empty() ? "absent" : "listed, complete";
  }
  void Again() override {
    daemon().Check(Act());
    Promise(Listed().empty(), "a removed image is listed");
  }
};

// crispd starts with what was acknowledged before, and with what a crash has left.
class StartCrispd final : public Scenario {
 public:
  using Scenario::Scenario;

  void SetUp() override {
    running_ = node_.pod().Run({"sleep", "1000"});
    process_ = node_.ProcessOf(running_);
    created_ = node_.pod().Create(node_.pod().ContainerConfig({"sleep", "1000"}));
    stopping_ = std::make_unique<Pod>(daemon());
    stopping_->Run({"sleep", "1000"});
    daemon().Kill9();
    // A stop that was asked for, a container and a sandbox without records.
    const std::string path =
        absl::StrCat(daemon().root(), "/sandboxes/", stopping_->id(), "/record.json");
    std::string record = base::ReadFile(path).value();
    const std::string asked = "\"stopped\":false";
    const size_t at = record.find(asked);
    Promise(at != std::string::npos, "the record does not say whether it was stopped");
    record.replace(at, asked.size(), "\"stopped\":true");
    Promise(base::WriteFileAtomic(path, record, 0600).ok(), "the record cannot be written");
    for (const std::string& parent :
         {daemon().root() + "/sandboxes/", daemon().state() + "/containers/",
          daemon().root() + "/snapshots/containers/"}) {
      Promise(base::MakeDirs(parent + base::NewId(), 0700).ok(), "an orphan cannot be made");
    }
  }
  bool Starts() const override { return true; }
  grpc::Status Act() override {
    try {
      daemon().Start();
      return grpc::Status();
    } catch (const std::exception& error) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, error.what());
    }
  }
  std::string Judge(Fault fault, const grpc::Status& answer) override {
    Promise(answer.ok() || fault != Fault::kDisk, "crispd does not start on a full disk");
    const bool rebooted = fault == Fault::kReboot;
    const auto ends = [&] {
      return node_.State(running_) == v1::CONTAINER_EXITED || !EndsShims(fault);
    };
    Promise(Eventually(ends), "a container without a shim is listed as running");
    Promise(EndsShims(fault) || (node_.State(running_) == v1::CONTAINER_RUNNING &&
                                 node_.ProcessOf(running_) == process_),
            "a running container is lost");
    Promise(node_.State(created_) == (rebooted ? v1::CONTAINER_EXITED : v1::CONTAINER_CREATED),
            "a created container is lost");
    Promise(node_.PodState(stopping_->id()) == v1::SANDBOX_NOTREADY, "a stop was forgotten");
    return answer.ok() ? "serves" : "serves at the next start";
  }
  void Again() override {
    daemon().Kill9();
    daemon().Start();
    Promise(node_.State(created_) == v1::CONTAINER_CREATED, "a created container is lost");
    node_.pod().Start(created_);
  }

 private:
  std::string running_;
  Running process_;
  std::string created_;
  std::unique_ptr<Pod> stopping_;
};

}  // namespace

std::vector<ScenarioKind> ImageScenarios() {
  return {Kind<PullImage>("pull image", "PullImage"),
          Kind<RemoveImage>("remove image", "RemoveImage"), Kind<StartCrispd>("start crispd", "")};
}

}  // namespace crisp::test
