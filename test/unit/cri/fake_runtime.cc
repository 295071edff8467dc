#include "fake_runtime.h"

#include <cstdlib>
#include <stdexcept>
#include <variant>

#include "base/file.h"

namespace crisp::cri {
namespace {

std::string MakeDirectory() {
  char name[] = "/tmp/crisp-cri-test-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

}  // namespace

std::string Id(char digit) { return std::string(64, digit); }

image::ImagePtr MakeImage(char digit, const std::string& tag) {
  image::Image image;
  image.id = *oci::Digest::Parse("sha256:" + std::string(64, digit));
  image.repo_tags = {tag};
  image.size = 42;
  image.config_json = "{}";
  return std::make_shared<const image::Image>(std::move(image));
}

absl::StatusOr<std::string> FakeExec::Url(const streaming::Request& request) {
  std::string what;
  if (const auto* exec = std::get_if<streaming::ExecRequest>(&request)) {
    what = "url exec " + exec->container_id;
  } else if (const auto* attach = std::get_if<streaming::AttachRequest>(&request)) {
    what = "url attach " + attach->container_id;
  } else {
    what = "url forward " + std::get<streaming::PortForwardRequest>(request).sandbox_id;
  }
  const absl::Status status = actions_.Note(what);
  if (!status.ok()) return status;
  return "http://127.0.0.1:1/token";
}

std::vector<image::ImagePtr> FakeImages::List() const {
  std::vector<image::ImagePtr> all;
  for (const auto& [name, image] : by_name) all.push_back(image);
  return all;
}

absl::StatusOr<image::ImagePtr> FakeImages::Find(const std::string& name) const {
  const auto found = by_name.find(name);
  if (found != by_name.end()) return found->second;
  return absl::NotFoundError("image \"" + name + "\" not found");
}

absl::StatusOr<image::ImagePtr> FakeImages::Pull(const oci::Reference& reference,
                                                 const image::Credentials& credentials,
                                                 const Call&) {
  const absl::Status status =
      actions_.Note("pull " + reference.ToString() + " " + credentials.username);
  if (!status.ok()) return status;
  return MakeImage('a', reference.ToString());
}

FakeRuntime::FakeRuntime()
    : dir_(MakeDirectory()),
      paths_(dir_, dir_),
      records_(dir_ + "/records", dir_ + "/quarantine") {}

FakeRuntime::~FakeRuntime() { (void)base::RemoveTree(dir_); }

Api FakeRuntime::api() {
  return {.config = config,
          .paths = paths_,
          .handlers = handlers_,
          .objects = objects_,
          .network = network,
          .sandboxes = sandboxes_,
          .containers = containers,
          .exec = exec_,
          .images = images,
          .profiles = profiles,
          .stats = stats};
}

runtime::SandboxPtr FakeRuntime::AddSandbox(char id, bool ready,
                                            const std::map<std::string, std::string>& labels) {
  store::SandboxRecord record;
  record.id = base::SandboxId(Id(id));
  record.created_at_ns = 5;
  record.ready = ready;
  record.cgroup_parent = "/pods";
  record.config.mutable_metadata()->set_name(std::string("pod-") + id);
  *record.config.mutable_labels() = {labels.begin(), labels.end()};
  auto sandbox = std::make_shared<sandbox::Sandbox>(std::move(record), &records_);
  sandbox->MarkLaunched({.pid = 7, .start_ticks = 8});
  objects_.sandboxes.Add(sandbox);
  return sandbox;
}

runtime::ContainerPtr FakeRuntime::AddContainer(char id, char sandbox,
                                                const std::map<std::string, std::string>& labels) {
  store::ContainerRecord record;
  record.id = base::ContainerId(Id(id));
  record.sandbox_id = base::SandboxId(Id(sandbox));
  record.image_id = "sha256:1";
  record.config.mutable_metadata()->set_name(std::string("container-") + id);
  *record.config.mutable_labels() = {labels.begin(), labels.end()};
  auto container = std::make_shared<container::Container>(std::move(record), &records_);
  objects_.containers.Add(container);
  return container;
}

void FakeRuntime::Start(container::Container& container) {
  container.MarkStarted(
      {.process = {.pid = 9, .start_ticks = 10}, .started_at_ns = 11, .phases = {}});
}

void FakeRuntime::Exit(container::Container& container) {
  (void)container.MarkExited(
      {.started_at_ns = 11, .finished_at_ns = 12, .exit_code = 3, .reason = "Error", .message = ""},
      [] {});
}

}  // namespace crisp::cri
