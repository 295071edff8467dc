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

struct TargetOptions {
  std::string directory;  // the suite's own, below /var/lib
  int registry_port = 0;  // 0: any free one
  // UNKNOWN and INTERNAL count as clean refusals too, and codes are not compared: some runtimes
  // answer everything with UNKNOWN.
  bool any_code = false;
  // The runtime removes a cgroup parent that it made, so pods may have one of the suite's own.
  bool own_cgroup_parent = false;
};

class Target {
 public:
  Target(test::Endpoint& endpoint, TargetOptions options);
  ~Target();
  Target(const Target&) = delete;

  test::Endpoint& endpoint() { return endpoint_; }
  image::EvilRegistry& registry() { return *registry_; }
  // A tree on the host that no case may change or read; it has the files `secret` and `sub/file`.
  std::string Canary() const { return options_.directory + "/canary"; }
  // What `secret` contains. A container that can print it has read the host.
  const std::string& Secret() const { return secret_; }
  // In the environment of every container that ContainerConfig() describes.
  std::string Mark() const { return "HOSTILE_SUITE=" + suite_; }
  // A new empty directory on the host, for mounts; removed with the suite's directory.
  std::string Scratch();

  // Repository of the running case, such as "case-12"; its images are removed after the case.
  std::string Repository() const;
  // "127.0.0.1:<port>/<repository>:<tag>"
  std::string Reference(const std::string& tag = "v1") const;
  // An image of `layers` (blobs as served, lowest first) with a layer above them that has the probe
  // at /probe, which is the entrypoint. `run` is merged over that into the config's "config".
  image::TestImage ImageOf(std::vector<std::string> layers, const std::string& run = "{}") const;
  // Serves the image under the tag; returns the reference.
  std::string Serve(const image::TestImage& image, const std::string& tag = "v1");
  std::string Publish(std::vector<std::string> layers, const std::string& run = "{}") {
    return Serve(ImageOf(std::move(layers), run));
  }
  // The image that has nothing but the probe; it stays for all cases. Until the first case the
  // registry also has "sandbox:v1", for runtimes that pull an image for their pods.
  const std::string& ProbeImage() const { return probe_image_; }

  // Returns the image's id in `id`.
  grpc::Status Pull(const std::string& reference, std::string* id = nullptr, int seconds = 60);
  // `words` are the image's entrypoint's arguments; with kubelet's masked and read-only paths and a
  // memory limit of 128 MiB.
  v1::ContainerConfig ContainerConfig(
      const std::string& image, const std::vector<std::string>& words,
      const std::function<void(v1::ContainerConfig&)>& change = nullptr);
  // A pod's config with a name of its own, the suite's label and the host's network, so that no CNI
  // is needed. Pods with the label are removed after the case.
  v1::PodSandboxConfig PodConfig(
      const std::function<void(v1::PodSandboxConfig&)>& change = nullptr);
  // A pod of the running case. Throws when it does not start.
  test::Pod& NewPod(const std::function<void(v1::PodSandboxConfig&)>& change = nullptr);
  // The same one for the whole case, for those that need only one.
  test::Pod& ThePod();
  // Creates and starts a container in ThePod() and waits for its end. `result` only on OK.
  grpc::Status Run(const v1::ContainerConfig& config, Ended* result);
  // Pull, then Run with the probe's `words`; a refusal by any of the three calls is the status.
  grpc::Status PullAndRun(const std::string& reference, const std::vector<std::string>& words,
                          Ended* result);

  // A refusal that is clean: throws Broken for OK, for a time-out, for UNKNOWN and INTERNAL (unless
  // kubelet's convention "RegistryUnavailable: " asks for it), for a code that is not in `codes`
  // if that is not empty, and for a message that is not one printable line.
  Outcome Refused(const grpc::Status& status, std::initializer_list<grpc::StatusCode> codes = {});
  // PullAndRun() with `facts` (see tree_fact.h): harmless when all hold, otherwise Refused().
  Outcome FactsOrRefused(const std::string& reference, const std::vector<std::string>& facts);

  // By the runner, before and after each case. CleanUp removes its pods and images, and throws
  // Broken when the runtime does not let it.
  void Begin();
  void CleanUp();
  // What the runner's own pod (watch.h) is made of; it has another label.
  v1::PodSandboxConfig NeighbourConfig();

 private:
  void MakeCanary();
  v1::PodSandboxConfig LabelledConfig(const std::string& label);
  void RemovePods(const std::string& label);
  void RemoveImages();

  test::Endpoint& endpoint_;
  const TargetOptions options_;
  const std::string suite_;  // value of the label
  std::string secret_;
  std::string probe_layer_;
  std::string probe_image_;
  std::unique_ptr<image::EvilRegistry> registry_;
  std::vector<std::unique_ptr<test::Pod>> pods_;
  test::Pod* the_pod_ = nullptr;
  int case_number_ = 0;
  int scratch_number_ = 0;
};

// A layer with the file /f, not compressed, so that its digest is its diff id.
std::string FileLayer(const std::string& text);
// "<CODE NAME>: <message>", shortened.
std::string Words(const grpc::Status& status);
// Throws Broken with `message` unless `condition`.
void Demand(bool condition, absl::string_view message);

}  // namespace crisp::hostile
