// The power of crispd's disk is cut during pulls, creates and removes: crispd starts again, every
// image that it lists is whole, what is not listed can be pulled, and nothing stays on the disk.
#include <ftw.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "fault/amount.h"
#include "fault/image_content.h"
#include "fault/loop_disk.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

using Runtime = v1::RuntimeService::Stub;
using Images = v1::ImageService::Stub;
using Names = std::set<std::string>;

constexpr int kMoments = 33;
constexpr int kContainers = 3;
// They share layers with each other, and one of them has a hundred.
const std::vector<std::string> kPulled = {"docker.io/library/nginx:latest",
                                          "docker.io/crisp/layers-100:1"};

// What crispd had answered when the power was cut; a later answer does not count.
class Answers {
 public:
  Names images, removed_images, pods, containers;

  void Note(Names Answers::*kind, const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!cut_) (this->*kind).insert(name);
  }
  void Cut(const std::function<void()>& cut) {
    const std::lock_guard<std::mutex> lock(mutex_);
    cut_ = true;
    cut();
  }

 private:
  std::mutex mutex_;
  bool cut_ = false;
};

void HostNetwork(v1::PodSandboxConfig& config) {
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
      v1::NODE);
}

// Fails at once when crispd is gone, unlike Daemon::Try.
template <typename Stub, typename Request, typename Response>
bool Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
         const Request& request, Response* response) {
  grpc::ClientContext context;
  return (stub.*method)(&context, request, response).ok();
}

// Removes a cgroup and those below it; false while one of them still has processes.
bool RemoveGroups(const std::string& group) {
  const auto remove = [](const char* path, const struct stat*, int type, struct FTW*) {
    if (type == FTW_DP) rmdir(path);
    return 0;
  };
  nftw(group.c_str(), remove, 64, FTW_DEPTH | FTW_PHYS);
  return access(group.c_str(), F_OK) != 0;
}

// A daemon on a disk of its own, and the operations that are cut short.
class Node {
 public:
  Node() {
    Pod pod(daemon_, HostNetwork);
    for (const std::string& image : {kPulled[0], kPulled[1], std::string(kBusybox)}) {
      files_[image] = FilesOf(image, daemon_.dir());
      CheckContent(pod, image);
    }
  }

  void Pull(Answers& answers);
  // A pod with containers that run.
  void Create(Answers& answers);
  // Removes all pods, then the images.
  void Remove(Answers& answers);

  void CutPower(Answers& answers) {
    answers.Cut([&] { disk_.CutPower(); });
    daemon_.Kill9();
  }
  // As after a boot: no process, nothing in /run, no cgroup, and of the disk what was synced.
  void Boot() {
    EndProcesses();
    CHECK(base::RemoveTree(daemon_.state()).ok());
    disk_.MountAgain();
    daemon_.Start();
  }
  void Check(const Answers& before);
  // Removes all pods, pulls what is missing, and checks that the disk has no more files than after
  // the first time.
  void Restore();

 private:
  void CheckContent(Pod& pod, const std::string& image);
  void EndProcesses() const;
  std::vector<int> Shims() const;
  Names Pods();
  Names Containers();
  Names ListedImages();

  LoopDisk disk_;
  const std::string root_ = disk_.path() + "/root";
  Daemon daemon_{{"--root", root_}};
  std::map<std::string, std::string> files_;  // by image
  uint64_t inodes_ = 0;                       // used when all is restored; 0: not known yet
};

void Node::Pull(Answers& answers) {
  std::vector<std::jthread> pulls;
  for (const std::string& image : kPulled) {
    pulls.emplace_back([this, image, &answers] {
      v1::PullImageRequest pull;
      v1::PullImageResponse pulled;
      pull.mutable_image()->set_image(image);
      if (Ask(daemon_.images(), &Images::PullImage, pull, &pulled))
        answers.Note(&Answers::images, image);
    });
  }
}

void Node::Create(Answers& answers) {
  for (const std::string& image : kPulled) answers.Note(&Answers::images, image);
  v1::RunPodSandboxRequest run;
  v1::RunPodSandboxResponse ran;
  *run.mutable_config() = PodConfig(daemon_, HostNetwork);
  run.mutable_config()->clear_log_directory();
  if (!Ask(daemon_.runtime(), &Runtime::RunPodSandbox, run, &ran)) return;
  answers.Note(&Answers::pods, ran.pod_sandbox_id());
  for (size_t i = 0; i < kContainers; ++i) {
    v1::CreateContainerRequest create;
    v1::CreateContainerResponse created;
    create.set_pod_sandbox_id(ran.pod_sandbox_id());
    *create.mutable_sandbox_config() = run.config();
    v1::ContainerConfig& config = *create.mutable_config();
    config.mutable_metadata()->set_name(absl::StrCat("c", i));
    config.mutable_image()->set_image(kPulled[i % kPulled.size()]);
    for (const char* word : {"sh", "-c", "echo written >/file; sleep 1000"})
      config.add_command(word);
    if (!Ask(daemon_.runtime(), &Runtime::CreateContainer, create, &created)) return;
    answers.Note(&Answers::containers, created.container_id());
    v1::StartContainerRequest start;
    v1::StartContainerResponse started;
    start.set_container_id(created.container_id());
    if (!Ask(daemon_.runtime(), &Runtime::StartContainer, start, &started)) return;
  }
}

void Node::Remove(Answers& answers) {
  v1::ListPodSandboxResponse pods;
  if (!Ask(daemon_.runtime(), &Runtime::ListPodSandbox, {}, &pods)) return;
  for (const v1::PodSandbox& pod : pods.items()) {
    v1::RemovePodSandboxRequest remove;
    v1::RemovePodSandboxResponse removed;
    remove.set_pod_sandbox_id(pod.id());
    if (!Ask(daemon_.runtime(), &Runtime::RemovePodSandbox, remove, &removed)) return;
  }
  for (const std::string& image : kPulled) {
    v1::RemoveImageRequest remove;
    v1::RemoveImageResponse removed;
    remove.mutable_image()->set_image(image);
    if (!Ask(daemon_.images(), &Images::RemoveImage, remove, &removed)) return;
    answers.Note(&Answers::removed_images, image);
  }
}

Names Node::Pods() {
  Names ids;
  const auto listed = daemon_.Call(daemon_.runtime(), &Runtime::ListPodSandbox, {});
  for (const v1::PodSandbox& pod : listed.items()) {
    CHECK(pod.state() == v1::SANDBOX_NOTREADY);
    ids.insert(pod.id());
  }
  return ids;
}

Names Node::Containers() {
  Names ids;
  const auto listed = daemon_.Call(daemon_.runtime(), &Runtime::ListContainers, {});
  for (const v1::Container& container : listed.containers()) {
    CHECK(container.state() == v1::CONTAINER_EXITED);
    ids.insert(container.id());
  }
  return ids;
}

Names Node::ListedImages() {
  Names names;
  const auto listed = daemon_.Call(daemon_.images(), &Images::ListImages, {});
  for (const v1::Image& image : listed.images())
    names.insert(image.repo_tags().begin(), image.repo_tags().end());
  return names;
}

// Those of this daemon, and the builders that they fork.
std::vector<int> Node::Shims() const {
  std::vector<int> pids;
  const std::vector<std::string> names = base::ListDir("/proc").value();
  for (const std::string& name : names) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    const auto arguments = base::ReadFile("/proc/" + name + "/cmdline");
    if (arguments.ok() && absl::StartsWith(*arguments, "crisp-shim") &&
        absl::StrContains(*arguments, daemon_.dir() + "/"))
      pids.push_back(pid);
  }
  return pids;
}

void Node::EndProcesses() const {
  // All pods have this parent, in every hierarchy (PodConfig).
  const std::string name = daemon_.dir().substr(daemon_.dir().rfind('/'));
  const std::string parent = (OnV1() ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup") + name;
  CHECK(Eventually([&] {
    const std::vector<int> shims = Shims();
    for (const int pid : shims) kill(pid, SIGKILL);
    if (access(parent.c_str(), F_OK) != 0) return shims.empty();
    (void)base::WriteExisting(parent + "/cgroup.kill", "1");
    const std::string events = base::ReadFile(parent + "/cgroup.events").value_or("");
    return shims.empty() && absl::StrContains(events, "populated 0");
  }));
  std::vector<std::string> groups = {"/sys/fs/cgroup" + name};
  const std::vector<std::string> hierarchies = base::ListDir("/sys/fs/cgroup").value();
  for (const std::string& hierarchy : hierarchies)
    groups.push_back("/sys/fs/cgroup/" + hierarchy + name);
  for (const std::string& group : groups) {
    CHECK(Eventually([&] { return RemoveGroups(group); }));
  }
}

void Node::CheckContent(Pod& pod, const std::string& image) {
  const std::string container =
      pod.Run({"sleep", "1000"}, [&](auto& config) { config.mutable_image()->set_image(image); });
  INFO(image);
  CHECK(Difference(files_[image], pod.Exec(container, {"sh", "-c", kListFiles}, 30).out) == "");
}

void Node::Check(const Answers& before) {
  const Names images = ListedImages(), containers = Containers(), pods = Pods();
  for (const std::string& image : before.images) CHECK(images.count(image) == 1);
  for (const std::string& image : before.removed_images) CHECK(images.count(image) == 0);
  CHECK(images.count(kBusybox) == 1);
  const auto kept = [](const Names& answered, const Names& listed) {
    return std::count_if(answered.begin(), answered.end(),
                         [&](const std::string& id) { return listed.count(id) > 0; });
  };
  printf("answered: %zu pods, %zu containers; after the cut: %zd, %zd; images listed: %zu\n",
         before.pods.size(), before.containers.size(), kept(before.pods, pods),
         kept(before.containers, containers), images.size());
  // A layer is synced before it gets its name, so none can be damaged.
  CHECK(base::ListDir(root_ + "/snapshots/quarantine").value().empty());
  Pod pod(daemon_, HostNetwork);
  for (const auto& [image, files] : files_) CheckContent(pod, image);  // pulls it if necessary
}

void Node::Restore() {
  const auto listed = daemon_.Call(daemon_.runtime(), &Runtime::ListPodSandbox, {});
  for (const v1::PodSandbox& pod : listed.items()) {
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(pod.id());
    daemon_.Call(daemon_.runtime(), &Runtime::RemovePodSandbox, remove);
  }
  CHECK(Containers().empty());
  for (const std::string& image : kPulled) daemon_.Pull(image);
  // Records are not synced: one that was written shortly before the cut may have come back empty.
  CHECK(base::RemoveTree(root_ + "/quarantine").ok());
  // What is removed is deleted in the background.
  CHECK(Eventually([&] { return base::ListDir(root_ + "/snapshots/trash").value().empty(); }));
  if (inodes_ == 0) inodes_ = disk_.UsedInodes();
  const bool settled = Eventually([&] { return disk_.UsedInodes() == inodes_; });
  INFO("inodes: " << disk_.UsedInodes() << " instead of " << inodes_);
  CHECK(settled);
}

using Operation = void (Node::*)(Answers&);

// Runs `prepare` and then `cut`, whose power is cut after one 33rd of its time, after two, ...
void CutAtEveryMoment(Operation prepare, Operation cut) {
  Node node;
  int64_t whole = 0;
  for (int i = 0; i < 2; ++i) {  // the first time is slower
    Answers none;
    if (prepare != nullptr) (node.*prepare)(none);
    const int64_t begin = base::MonotonicNanos();
    (node.*cut)(none);
    whole = base::MonotonicNanos() - begin;
    node.Restore();
  }
  for (int moment = Amount(3, 0); moment <= kMoments; moment += Amount(17, 1)) {
    INFO("cut after " << moment << "/" << kMoments << " of " << whole / 1000 << " us");
    Answers before, answers;
    if (prepare != nullptr) (node.*prepare)(before);
    {
      const std::jthread worker([&] { (node.*cut)(answers); });
      usleep(static_cast<useconds_t>(whole / 1000 * moment / kMoments));  // what is tried
      node.CutPower(answers);
    }
    node.Boot();
    node.Check(answers);
    node.Restore();
  }
}

}  // namespace

TEST_CASE("after a power cut during pulls every listed image is whole") {
  CutAtEveryMoment(&Node::Remove, &Node::Pull);
}

TEST_CASE("after a power cut while a pod is made every listed image is whole") {
  CutAtEveryMoment(nullptr, &Node::Create);
}

TEST_CASE("after a power cut during removals every listed image is whole") {
  CutAtEveryMoment(&Node::Create, &Node::Remove);
}
