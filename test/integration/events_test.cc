// GetContainerEvents.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// A subscription, established when the constructor returns.
class Events {
 public:
  explicit Events(Daemon& daemon, bool read = true) {
    stream_ = daemon.runtime().GetContainerEvents(&context_, {});
    stream_->WaitForInitialMetadata();
    if (read) reader_ = std::thread([this] { Read(); });
  }
  ~Events() {
    context_.TryCancel();
    if (reader_.joinable()) reader_.join();
  }

  // Starts to read a subscription that was made without reading.
  void StartReading() {
    reader_ = std::thread([this] { Read(); });
  }

  // Waits until `count` events of these objects are there, or the stream ended, or 30 s.
  std::vector<v1::ContainerEventResponse> Wait(const std::set<std::string>& ids, size_t count) {
    std::unique_lock<std::mutex> lock(mu_);
    std::vector<v1::ContainerEventResponse> found;
    changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      found.clear();
      for (const v1::ContainerEventResponse& event : all_) {
        if (ids.count(event.container_id()) > 0) found.push_back(event);
      }
      return found.size() >= count || ended_;
    });
    return found;
  }

  // The status the stream ends with, within 30 s.
  grpc::Status End() {
    std::unique_lock<std::mutex> lock(mu_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30), [&] { return ended_; }))
      return grpc::Status(grpc::StatusCode::UNKNOWN, "the stream does not end");
    return status_;
  }

  size_t Count() {
    const std::lock_guard<std::mutex> lock(mu_);
    return all_.size();
  }

 private:
  void Read() {
    v1::ContainerEventResponse event;
    while (stream_->Read(&event)) {
      const std::lock_guard<std::mutex> lock(mu_);
      all_.push_back(event);
      changed_.notify_all();
    }
    const std::lock_guard<std::mutex> lock(mu_);
    status_ = stream_->Finish();
    ended_ = true;
    changed_.notify_all();
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>> stream_;
  std::thread reader_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<v1::ContainerEventResponse> all_;
  bool ended_ = false;
  grpc::Status status_;
};

std::vector<v1::ContainerEventType> Types(const std::vector<v1::ContainerEventResponse>& events,
                                          const std::string& id) {
  std::vector<v1::ContainerEventType> types;
  for (const v1::ContainerEventResponse& event : events) {
    if (event.container_id() == id) types.push_back(event.container_event_type());
  }
  return types;
}

const v1::ContainerStatus* StatusOf(const v1::ContainerEventResponse& event,
                                    const std::string& id) {
  for (const v1::ContainerStatus& status : event.containers_statuses()) {
    if (status.id() == id) return &status;
  }
  return nullptr;
}

constexpr auto kCreated = v1::CONTAINER_CREATED_EVENT;
constexpr auto kStarted = v1::CONTAINER_STARTED_EVENT;
constexpr auto kStopped = v1::CONTAINER_STOPPED_EVENT;
constexpr auto kDeleted = v1::CONTAINER_DELETED_EVENT;
const std::vector<v1::ContainerEventType> kWholeLife = {kCreated, kStarted, kStopped, kDeleted};

size_t Threads(Daemon& daemon) {
  return base::ListDir(absl::StrCat("/proc/", daemon.pid(), "/task")).value().size();
}
size_t Descriptors(Daemon& daemon) {
  return base::ListDir(absl::StrCat("/proc/", daemon.pid(), "/fd")).value().size();
}
uint64_t ResidentKib(Daemon& daemon) {
  const std::string status =
      base::ReadFile(absl::StrCat("/proc/", daemon.pid(), "/status")).value();
  const size_t at = status.find("VmRSS:");
  return strtoull(status.c_str() + at + 6, nullptr, 10);
}

}  // namespace

TEST_CASE("the events of a pod's whole life come in order, with the statuses after each step") {
  Daemon& daemon = Daemon::Shared();
  Events events(daemon);
  std::string pod_id;
  std::string container;
  {
    Pod pod(daemon);
    pod_id = pod.id();
    container = pod.Run({"sh", "-c", "exit 3"});
    (void)pod.WaitExited(container);
    pod.RemoveContainer(container);
  }
  const auto all = events.Wait({pod_id, container}, 8);
  REQUIRE(all.size() == 8);
  CHECK(Types(all, pod_id) == kWholeLife);
  CHECK(Types(all, container) == kWholeLife);
  int64_t last = 0;
  for (const v1::ContainerEventResponse& event : all) {
    CHECK(event.created_at() > last);
    last = event.created_at();
    CHECK(event.pod_sandbox_status().id() == pod_id);
    CHECK_FALSE(event.pod_sandbox_status().metadata().uid().empty());
    const bool stopped = event.container_id() == pod_id && event.container_event_type() >= kStopped;
    CHECK(event.pod_sandbox_status().state() ==
          (stopped ? v1::SANDBOX_NOTREADY : v1::SANDBOX_READY));
    if (event.container_id() != container) continue;
    const v1::ContainerStatus* status = StatusOf(event, container);
    if (event.container_event_type() == kDeleted) {
      CHECK(status == nullptr);
      continue;
    }
    REQUIRE(status != nullptr);
    CHECK(status->created_at() > 0);
    if (event.container_event_type() == kCreated) CHECK(status->state() == v1::CONTAINER_CREATED);
    if (event.container_event_type() == kStopped) {
      CHECK(status->state() == v1::CONTAINER_EXITED);
      CHECK(status->exit_code() == 3);
      CHECK(status->reason() == "Error");
      CHECK(status->finished_at() > 0);
    }
  }
  CHECK_FALSE(all[0].pod_sandbox_status().network().ip().empty());
}

TEST_CASE("a container that cannot start has a stopped event and no started event") {
  Daemon& daemon = Daemon::Shared();
  Events events(daemon);
  Pod pod(daemon);
  const std::string container = pod.Create(pod.ContainerConfig({"/no/such/program"}));
  REQUIRE_FALSE(pod.TryStart(container).ok());
  const auto all = events.Wait({container}, 2);
  REQUIRE(Types(all, container) == std::vector<v1::ContainerEventType>{kCreated, kStopped});
  CHECK(StatusOf(all[1], container)->reason() == "StartError");
}

TEST_CASE("a pod that cannot be made has no events") {
  Daemon& daemon = Daemon::Shared();
  Events events(daemon);
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig(daemon);
  // Not [key] = "1": GCC 12 at -O2 warns of an overflow in that assignment (GCC bug 105329).
  request.mutable_config()->mutable_linux()->mutable_sysctls()->insert(
      {"net.ipv4.no_such_key", "1"});
  v1::RunPodSandboxResponse response;
  REQUIRE_FALSE(
      daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, request, &response)
          .ok());
  Pod good(daemon);
  (void)events.Wait({good.id()}, 2);
  CHECK(events.Count() == 2);
}

TEST_CASE("timestamps: a pod's status is never newer than events that it does not include") {
  Daemon& daemon = Daemon::Shared();
  Events events(daemon);
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod.id());
  const v1::PodSandboxStatusResponse status =
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::PodSandboxStatus, request);
  REQUIRE(status.containers_statuses_size() == 1);
  CHECK(status.containers_statuses(0).state() == v1::CONTAINER_RUNNING);
  pod.StopContainer(container, 0);
  const auto all = events.Wait({container}, 3);
  REQUIRE(all.size() == 3);
  CHECK(all[1].created_at() < status.timestamp());
  CHECK(all[2].created_at() > status.timestamp());
}

TEST_CASE("no event is lost or repeated while many calls run at once") {
  Daemon& daemon = Daemon::Shared();
  daemon.Pull(kBusybox);
  Events first(daemon);
  Events second(daemon);
  Pod pod(daemon);
  std::mutex mu;
  std::set<std::string> ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 8; ++i) {
        const std::string container = pod.Run({"true"});
        pod.RemoveContainer(container);  // whether or not it has exited
        const std::lock_guard<std::mutex> lock(mu);
        ids.insert(container);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(ids.size() == 32);
  const auto one = first.Wait(ids, 4 * ids.size());
  const auto two = second.Wait(ids, 4 * ids.size());
  REQUIRE(one.size() == 4 * ids.size());
  REQUIRE(two.size() == one.size());
  for (const std::string& id : ids) CHECK(Types(one, id) == kWholeLife);
  for (size_t i = 0; i < one.size(); ++i) {
    CHECK(one[i].SerializeAsString() == two[i].SerializeAsString());
    if (i > 0) CHECK(one[i - 1].created_at() < one[i].created_at());
  }
}

TEST_CASE(
    "a subscriber that does not read is cut off with an error, and others and memory are not "
    "affected") {
  Daemon daemon;
  daemon.Pull(kBusybox);
  Events slow(daemon, /*read=*/false);
  Events fast(daemon);
  // Large events, so that a few fill the queue.
  Pod pod(daemon, [](v1::PodSandboxConfig& config) {
    (*config.mutable_annotations())["large"] = std::string(256 << 10, 'x');
  });
  const uint64_t before = ResidentKib(daemon);
  std::set<std::string> ids;
  for (int i = 0; i < 60; ++i) {
    const std::string container = pod.Create(pod.ContainerConfig({"true"}));
    pod.RemoveContainer(container);
    ids.insert(container);
  }
  CHECK(fast.Wait(ids, 120).size() == 120);
  // AddressSanitizer keeps freed memory.
  if (getenv("CRISP_TEST_SANITIZED") == nullptr) {
    CHECK(ResidentKib(daemon) < before + (24 << 10));
  }
  slow.StartReading();
  const grpc::Status end = slow.End();
  INFO(end.error_message());
  CHECK(end.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(slow.Count() < 122);
  // The subscriber that reads still gets events.
  const std::string more = pod.Run({"true"});
  (void)pod.WaitExited(more);
  CHECK(fast.Wait({more}, 3).size() == 3);
}

TEST_CASE("a client that leaves leaves nothing behind, and an open stream holds no thread") {
  Daemon daemon;
  {
    Events warm_up(daemon);
    Pod pod(daemon);
  }
  const size_t threads = Threads(daemon);
  const size_t descriptors = Descriptors(daemon);
  {
    std::vector<std::unique_ptr<Events>> open;
    for (int i = 0; i < 64; ++i) open.push_back(std::make_unique<Events>(daemon));
    CHECK(Threads(daemon) <= threads + 4);
    Events refused(daemon);
    CHECK(refused.End().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  // All subscriptions end as soon as crispd has seen the cancellations.
  const int64_t give_up = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
  bool free = false;
  while (!free && base::MonotonicNanos() < give_up) {
    std::vector<std::unique_ptr<Events>> open;
    for (int i = 0; i < 64; ++i) open.push_back(std::make_unique<Events>(daemon));
    Pod pod(daemon);
    free = true;
    for (const auto& events : open) free = events->Wait({pod.id()}, 2).size() == 2 && free;
  }
  CHECK(free);
  while (Descriptors(daemon) > descriptors && base::MonotonicNanos() < give_up) usleep(10'000);
  CHECK(Descriptors(daemon) <= descriptors);
  CHECK(Threads(daemon) <= threads + 4);
}

TEST_CASE("crispd ends the streams at once when it stops") {
  Daemon daemon;
  Events events(daemon);
  const int64_t begin = base::MonotonicNanos();
  daemon.Terminate();
  CHECK((base::MonotonicNanos() - begin) / 1'000'000 < 5000);
  CHECK(events.End().error_code() == grpc::StatusCode::UNAVAILABLE);
  daemon.Start();
}
