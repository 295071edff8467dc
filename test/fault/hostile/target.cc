#include "test/fault/hostile/target.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/id.h"
#include "fakes/tar_builder.h"

namespace crisp::hostile {
namespace {

using Runtime = v1::RuntimeService::Stub;
using Images = v1::ImageService::Stub;

constexpr char kLabel[] = "hostile/suite";
constexpr char kNeighbour[] = "-neighbour";
constexpr char kUnavailable[] = "RegistryUnavailable: ";
// What kubelet asks for in containers that are not privileged.
constexpr const char* kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                     "/proc/sysrq-trigger"};
constexpr int64_t kMemoryLimit = 128 << 20;
constexpr size_t kMaxProgram = 64 << 20;

void Must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

// Built beside this program, so that both can be copied to another machine.
std::string ProbeProgram() {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const absl::StatusOr<std::string> program =
      base::ReadFile(self.parent_path() / "hostile_probe", kMaxProgram);
  Must(program.status());
  return *program;
}

std::string ProbeLayer() {
  snapshot::TarItem probe;
  probe.name = "probe";
  probe.mode = 0755;
  probe.body = ProbeProgram();
  return snapshot::Gzip(snapshot::TarBuilder().Add(probe).Done());
}

bool IsOneLine(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < ' ' || c == 127; });
}

}  // namespace

std::string Words(const grpc::Status& status) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  const auto code = static_cast<size_t>(status.error_code());
  const std::string name = code < std::size(kNames) ? kNames[code] : absl::StrCat("code ", code);
  return status.ok() ? name : absl::StrCat(name, ": ", status.error_message().substr(0, 500));
}

std::string FileLayer(const std::string& text) {
  return snapshot::TarBuilder().File("f", text).Done();
}

void Demand(bool condition, absl::string_view message) {
  if (!condition) throw Broken(std::string(message));
}

Target::Target(test::Endpoint& endpoint, TargetOptions options)
    : endpoint_(endpoint), options_(std::move(options)), suite_(base::NewId().substr(0, 12)) {
  MakeCanary();
  probe_layer_ = ProbeLayer();
  registry_ = std::make_unique<image::EvilRegistry>(options_.registry_port);
  probe_image_ = absl::StrCat(registry_->host(), "/probe:v1");
  image::Serve(*registry_, ImageOf({}), "v1", "probe");
  image::Serve(*registry_, ImageOf({}, R"({"Entrypoint":["/probe","sleep"]})"), "v1", "sandbox");
  endpoint_.Check(Pull(probe_image_));
}

Target::~Target() {
  try {
    CleanUp();
    RemovePods(suite_ + kNeighbour);
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(probe_image_);
    endpoint_.Call(endpoint_.images(), &Images::RemoveImage, request);
  } catch (const std::exception& error) {
    fprintf(stderr, "hostile: clean up: %s\n", error.what());
  }
}

void Target::MakeCanary() {
  secret_ = "the host's secret " + base::NewId();
  Must(base::MakeDirs(Canary() + "/sub", 0700));
  if (chmod(Canary().c_str(), 0700) != 0) throw std::runtime_error("chmod of the canary");
  Must(base::WriteFileAtomic(Canary() + "/secret", secret_, 0600));
  Must(base::WriteFileAtomic(Canary() + "/sub/file", "canary", 0600));
}

std::string Target::Scratch() {
  const std::string path = absl::StrCat(options_.directory, "/scratch/", scratch_number_++);
  Must(base::MakeDirs(path, 0755));
  return path;
}

std::string Target::Repository() const { return absl::StrCat("case-", case_number_); }

std::string Target::Reference(const std::string& tag) const {
  return absl::StrCat(registry_->host(), "/", Repository(), ":", tag);
}

image::TestImage Target::ImageOf(std::vector<std::string> layers, const std::string& run) const {
  // The label makes each case's image another one than the neighbour's.
  nlohmann::json config = {{"Entrypoint", {"/probe"}}, {"Labels", {{"case", Repository()}}}};
  config.merge_patch(nlohmann::json::parse(run));
  layers.push_back(probe_layer_);
  return image::MakeImage(std::move(layers), config.dump());
}

std::string Target::Serve(const image::TestImage& image, const std::string& tag) {
  image::Serve(*registry_, image, tag, Repository());
  return Reference(tag);
}

grpc::Status Target::Pull(const std::string& reference, std::string* id, int seconds) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(reference);
  v1::PullImageResponse response;
  grpc::Status status =
      endpoint_.Try(endpoint_.images(), &Images::PullImage, request, &response, seconds);
  if (id != nullptr) *id = response.image_ref();
  return status;
}

v1::ContainerConfig Target::ContainerConfig(
    const std::string& image, const std::vector<std::string>& words,
    const std::function<void(v1::ContainerConfig&)>& change) {
  v1::ContainerConfig config;
  const std::string name = base::NewId().substr(0, 8);
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(image);
  for (const std::string& word : words) config.add_args(word);
  v1::KeyValue& mark = *config.add_envs();
  mark.set_key("HOSTILE_SUITE");
  mark.set_value(suite_);
  config.set_log_path(name + ".log");
  v1::LinuxContainerConfig& linux = *config.mutable_linux();
  linux.mutable_resources()->set_memory_limit_in_bytes(kMemoryLimit);
  v1::LinuxContainerSecurityContext& security = *linux.mutable_security_context();
  security.mutable_namespace_options()->set_pid(v1::CONTAINER);
  security.mutable_namespace_options()->set_network(v1::NODE);
  for (const char* path : kMasked) security.add_masked_paths(path);
  for (const char* path : kReadonly) security.add_readonly_paths(path);
  if (change) change(config);
  return config;
}

v1::PodSandboxConfig Target::LabelledConfig(const std::string& label) {
  return test::PodConfig(endpoint_, [&](v1::PodSandboxConfig& config) {
    (*config.mutable_labels())[kLabel] = label;
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
    if (!options_.own_cgroup_parent) config.mutable_linux()->clear_cgroup_parent();
  });
}

v1::PodSandboxConfig Target::PodConfig(const std::function<void(v1::PodSandboxConfig&)>& change) {
  v1::PodSandboxConfig config = LabelledConfig(suite_);
  if (change) change(config);
  return config;
}

v1::PodSandboxConfig Target::NeighbourConfig() { return LabelledConfig(suite_ + kNeighbour); }

test::Pod& Target::NewPod(const std::function<void(v1::PodSandboxConfig&)>& change) {
  const v1::PodSandboxConfig wanted = PodConfig(change);
  pods_.push_back(std::make_unique<test::Pod>(
      endpoint_, [&](v1::PodSandboxConfig& config) { config = wanted; }));
  return *pods_.back();
}

test::Pod& Target::ThePod() {
  if (the_pod_ == nullptr) the_pod_ = &NewPod();
  return *the_pod_;
}

grpc::Status Target::Run(const v1::ContainerConfig& config, Ended* result) {
  test::Pod& pod = ThePod();
  std::string container;
  if (const grpc::Status status = pod.TryCreate(config, &container); !status.ok()) return status;
  if (const grpc::Status status = pod.TryStart(container); !status.ok()) return status;
  result->exit_code = pod.WaitExited(container).exit_code();
  result->output = pod.LogText(container);
  return grpc::Status::OK;
}

grpc::Status Target::PullAndRun(const std::string& reference, const std::vector<std::string>& words,
                                Ended* result) {
  if (const grpc::Status status = Pull(reference); !status.ok()) return status;
  return Run(ContainerConfig(reference, words), result);
}

Outcome Target::Refused(const grpc::Status& status, std::initializer_list<grpc::StatusCode> codes) {
  const std::string words = Words(status);
  Demand(!status.ok(), "was accepted");
  grpc::StatusCode code = status.error_code();
  // kubelet recognizes this text only with the code UNKNOWN.
  if (code == grpc::StatusCode::UNKNOWN && absl::StartsWith(status.error_message(), kUnavailable)) {
    code = grpc::StatusCode::UNAVAILABLE;
  }
  const bool listed = std::find(codes.begin(), codes.end(), code) != codes.end();
  Demand(listed || code != grpc::StatusCode::DEADLINE_EXCEEDED, "no answer in time: " + words);
  Demand(IsOneLine(status.error_message()), "the error is not one line: " + absl::CEscape(words));
  if (!options_.any_code) {
    const bool vague = code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::INTERNAL;
    Demand(codes.size() == 0 ? !vague : listed, "refused with an unexpected code: " + words);
  }
  return {Outcome::kRefused, words};
}

Outcome Target::FactsOrRefused(const std::string& reference,
                               const std::vector<std::string>& facts) {
  std::vector<std::string> words = {"facts"};
  words.insert(words.end(), facts.begin(), facts.end());
  Ended ended;
  const grpc::Status status = PullAndRun(reference, words, &ended);
  if (!status.ok()) return Refused(status);
  const std::string all_hold = absl::StrCat(facts.size(), " facts, 0 wrong");
  Demand(ended.exit_code == 0 && absl::StrContains(ended.output, all_hold),
         absl::StrCat("exit code ", ended.exit_code, ": ", ended.output.substr(0, 500)));
  return {Outcome::kHarmless, all_hold};
}

void Target::Begin() {
  ++case_number_;
  registry_->Clear();
}

void Target::CleanUp() {
  the_pod_ = nullptr;
  try {
    for (const std::unique_ptr<test::Pod>& pod : pods_) pod->Remove();
    pods_.clear();
    RemovePods(suite_);
    RemoveImages();
  } catch (const Broken&) {
    throw;
  } catch (const std::exception& error) {
    throw Broken(absl::StrCat("what the case made cannot be removed: ", error.what()));
  }
}

void Target::RemovePods(const std::string& label) {
  v1::ListPodSandboxRequest list;
  (*list.mutable_filter()->mutable_label_selector())[kLabel] = label;
  const v1::ListPodSandboxResponse pods =
      endpoint_.Call(endpoint_.runtime(), &Runtime::ListPodSandbox, list);
  for (const v1::PodSandbox& pod : pods.items()) {
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(pod.id());
    endpoint_.Call(endpoint_.runtime(), &Runtime::StopPodSandbox, stop);
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(pod.id());
    endpoint_.Call(endpoint_.runtime(), &Runtime::RemovePodSandbox, remove);
  }
}

void Target::RemoveImages() {
  const std::string prefix = registry_->host() + "/case-";
  const v1::ListImagesResponse images = endpoint_.Call(endpoint_.images(), &Images::ListImages, {});
  for (const v1::Image& image : images.images()) {
    std::vector<std::string> names(image.repo_tags().begin(), image.repo_tags().end());
    names.insert(names.end(), image.repo_digests().begin(), image.repo_digests().end());
    const bool ours = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return absl::StartsWith(name, prefix);
    });
    if (!ours) continue;
    v1::RemoveImageRequest remove;
    remove.mutable_image()->set_image(image.id());
    endpoint_.Call(endpoint_.images(), &Images::RemoveImage, remove);
  }
}

}  // namespace crisp::hostile
