// A runtime of no kernel, for tests of what calls one.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cli/runtime.h"

namespace crisp::cli {

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
    Say(absl::StrCat("run ", config.metadata().attempt()));
    if (!sandbox_error.ok()) return sandbox_error;
    const std::string id = absl::StrCat("s", config.metadata().attempt());
    sandboxes.push_back({.id = id, .attempt = config.metadata().attempt(), .is_ready = true});
    return id;
  }
  absl::StatusOr<Texts> SandboxIps(const std::string&) override { return Texts{"10.0.0.2"}; }
  absl::Status StopSandbox(const std::string& id) override {
    Say(absl::StrCat("stop ", id));
    for (SandboxInfo& sandbox : sandboxes) sandbox.is_ready &= sandbox.id != id;
    return absl::OkStatus();
  }
  absl::Status RemoveSandbox(const std::string& id) override {
    Say(absl::StrCat("remove ", id));
    sandboxes.erase(std::remove_if(sandboxes.begin(), sandboxes.end(),
                                   [&](const SandboxInfo& info) { return info.id == id; }),
                    sandboxes.end());
    return absl::OkStatus();
  }
  absl::StatusOr<ImageInfo> FindImage(const std::string& image) override {
    if (images.count(image) == 0) return absl::NotFoundError("none");
    return ImageInfo{.id = "sha256:" + image, .user = {}};
  }
  absl::Status PullImage(const std::string& image, const v1::AuthConfig* auth,
                         const v1::PodSandboxConfig&) override {
    Say(absl::StrCat("pull ", image, " ", auth == nullptr ? "" : auth->username()));
    on_pull();
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
    Say(absl::StrCat("start ", id));
    Of(id).state =
        start_error.ok() ? ContainerInfo::State::kRunning : ContainerInfo::State::kExited;
    if (!start_error.ok()) Of(id).exit_code = 128;
    return start_error;
  }
  // Also by several threads at once.
  absl::Status StopContainer(const std::string& id, absl::Duration grace) override {
    Say(absl::StrCat("stop ", id));
    const absl::MutexLock lock(&mu_);
    graces[id] = grace;
    End(id, 143, absl::UnixEpoch());
    return absl::OkStatus();
  }
  absl::Status RemoveContainer(const std::string& id) override {
    Say(absl::StrCat("remove ", id));
    containers.erase(std::remove_if(containers.begin(), containers.end(),
                                    [&](const ContainerInfo& info) { return info.id == id; }),
                     containers.end());
    return absl::OkStatus();
  }
  absl::Status ReopenLog(const std::string& id) override {
    Say(absl::StrCat("reopen ", id));
    return absl::OkStatus();
  }
  absl::StatusOr<ExecResult> ExecSync(const std::string&, const Texts&, absl::Duration) override {
    return exec_error.ok() ? absl::StatusOr<ExecResult>(exec_result) : exec_error;
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
  void Say(const std::string& call) {
    const absl::MutexLock lock(&mu_);
    calls_.push_back(call);
  }
  // The calls since the last time.
  Texts Calls() { return std::exchange(calls_, {}); }

  std::vector<SandboxInfo> sandboxes;
  std::vector<ContainerInfo> containers;
  std::set<std::string> images = {"i", "i:1"};
  bool is_private = false;
  absl::Status list_error, sandbox_error, start_error, exec_error;
  ExecResult exec_result;
  std::function<void()> on_pull = [] {};
  std::map<std::string, absl::Duration> graces;  // of containers that were stopped

 private:
  absl::Mutex mu_;
  Texts calls_;
};

}  // namespace crisp::cli
