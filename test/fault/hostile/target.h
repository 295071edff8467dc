// The runtime under attack, and what the cases attack it with: a registry that serves any bytes,
// images with a probe as their program, pods. Used by one thread, unless a method says otherwise.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "fakes/evil_image.h"
#include "fakes/evil_registry.h"
#include "integration/pod.h"
#include "test/fault/hostile/case.h"

namespace crisp::hostile {

namespace v1 = ::runtime::v1;

struct Ended {
  int exit_code = 0;
  std::string output;  // both streams, without the log's time stamps
};

class Target {
 public:
  // `directory` is the suite's own, below /var/lib. `registry_port` 0: any free one. With
  // `any_code`, UNKNOWN and INTERNAL count as clean refusals, which some runtimes always answer.
  Target(test::Endpoint& endpoint, std::string directory, int registry_port, bool any_code);
  ~Target();
  Target(const Target&) = delete;

  test::Endpoint& endpoint() { return endpoint_; }
  image::EvilRegistry& registry() { return *registry_; }
  // A tree on the host that no case may change or read; it has the files `secret` and `sub/file`.
  std::string Canary() const { return directory_ + "/canary"; }
  // What `secret` contains. A container that can print it has read the host.
  const std::string& Secret() const { return secret_; }
  // An empty directory on the host for mounts of this case.
  std::string Scratch();

  // Repository of the running case, such as "case-12"; its images are removed after the case.
  std::string Repository() const;
  // "127.0.0.1:<port>/<repository>:<tag>"
  std::string Reference(const std::string& tag = "v1") const;
  // An image of `layers` (blobs as served, lowest first, any compression) below one with the probe
  // at /probe, which is the entrypoint; `run` is the config's "config" member, merged over that.
  std::string Publish(std::vector<std::string> layers, const std::string& run = "{}");
  // The image that has nothing but the probe; pulled once.
  const std::string& ProbeImage();

  // Returns the image's id in `id`.
  grpc::Status Pull(const std::string& reference, std::string* id = nullptr, int seconds = 60);
  // With the probe image, the probe's words as arguments, a log and a memory limit of 128 MiB.
  v1::ContainerConfig ContainerConfig(
      const std::string& image, const std::vector<std::string>& words,
      const std::function<void(v1::ContainerConfig&)>& change = nullptr);
  // A pod of the running case; removed after it. With host network, so that a case needs no CNI,
  // unless `change` alters that.
  test::Pod& NewPod(const std::function<void(v1::PodSandboxConfig&)>& change = nullptr);
  // The pod of the running case that most cases need only one of.
  test::Pod& ThePod();
  // Creates and starts a container in ThePod() and waits for its end. `result` only on OK.
  grpc::Status Run(const v1::ContainerConfig& config, Ended* result);
  // Pull, then Run with the probe's `words`; a refusal by any of the three calls is the status.
  grpc::Status PullAndRun(const std::string& reference, const std::vector<std::string>& words,
                          Ended* result);

  // A refusal that is clean: throws Broken for OK, for a time-out, for UNKNOWN and INTERNAL (unless
  // kubelet's convention "RegistryUnavailable: " asks for it), and for a code that is not in
  // `codes` if that is not empty.
  Outcome Refused(const grpc::Status& status, std::initializer_list<grpc::StatusCode> codes = {});
  // PullAndRun() with `facts` (see tree_fact.h): harmless when all facts hold, or refused.
  Outcome FactsOrRefused(const std::string& reference, const std::vector<std::string>& facts);

  // Before and after each case, by the runner.
  void Begin(const std::string& name);
  // Removes the pods and images of the case; throws Broken when that fails.
  void CleanUp();

 private:
  test::Endpoint& endpoint_;
  const std::string directory_;
  const bool any_code_;
  std::string secret_;
  std::string probe_layer_;
  std::string probe_image_;
  std::unique_ptr<image::EvilRegistry> registry_;
  std::vector<std::unique_ptr<test::Pod>> pods_;
  test::Pod* the_pod_ = nullptr;
  int number_ = 0;
};

// "<CODE NAME>: <message>", shortened.
std::string Words(const grpc::Status& status);
// Throws Broken with `message` unless `condition`.
void Demand(bool condition, absl::string_view message);

}  // namespace crisp::hostile
