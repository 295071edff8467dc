// The six Stream calls, which answer the same as the List calls in several messages.
#include <catch2/catch.hpp>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

using Runtime = v1::RuntimeService::Stub;
using Images = v1::ImageService::Stub;

struct Streamed {
  std::map<std::string, int> ids;  // how often each id came
  int messages = 0;
  grpc::Status status;
};

// Reads the stream to its end; `ids_of` returns the ids in a message.
template <typename Stub, typename Request, typename Response, typename IdsOf>
Streamed ReadAll(Stub& stub,
                 std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(grpc::ClientContext*,
                                                                               const Request&),
                 const Request& request, IdsOf ids_of) {
  Streamed streamed;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto stream = (stub.*method)(&context, request);
  Response response;
  while (stream->Read(&response)) {
    ++streamed.messages;
    const std::vector<std::string> ids = ids_of(response);
    CHECK_FALSE(ids.empty());
    CHECK(response.ByteSizeLong() < 2 << 20);
    for (const std::string& id : ids) ++streamed.ids[id];
  }
  streamed.status = stream->Finish();
  return streamed;
}

// The id of every item, by `id_of(item)`.
template <typename Items, typename IdOf>
std::vector<std::string> Ids(const Items& items, IdOf id_of) {
  std::vector<std::string> ids;
  for (const auto& item : items) ids.push_back(id_of(item));
  return ids;
}

void CheckOnce(const Streamed& streamed, const std::vector<std::string>& wanted) {
  CHECK(streamed.status.ok());
  CHECK(streamed.ids.size() == wanted.size());
  for (const std::string& id : wanted) {
    INFO(id);
    CHECK(streamed.ids.count(id) == 1);
  }
  for (const auto& [id, count] : streamed.ids) CHECK(count == 1);
}

const auto kId = [](const auto& item) { return item.id(); };
const auto kAttributesId = [](const auto& item) { return item.attributes().id(); };

}  // namespace

TEST_CASE("a long list comes in several messages, with every item once") {
  Daemon& daemon = Daemon::Shared();
  const auto large = [](auto& config) {
    (*config.mutable_annotations())["large"] = std::string(700 << 10, 'x');
  };
  std::vector<std::unique_ptr<Pod>> pods;
  std::vector<std::string> pod_ids;
  std::vector<std::string> containers;
  for (int i = 0; i < 3; ++i) {
    pods.push_back(std::make_unique<Pod>(daemon, large));
    pod_ids.push_back(pods.back()->id());
    containers.push_back(pods.back()->Run({"sleep", "1000"}, large));
  }
  const Streamed sandboxes =
      ReadAll(daemon.runtime(), &Runtime::StreamPodSandboxes, v1::StreamPodSandboxesRequest(),
              [](const auto& response) { return Ids(response.pod_sandboxes(), kId); });
  CheckOnce(sandboxes, pod_ids);
  CHECK(sandboxes.messages == 3);
  const Streamed listed =
      ReadAll(daemon.runtime(), &Runtime::StreamContainers, v1::StreamContainersRequest(),
              [](const auto& response) { return Ids(response.containers(), kId); });
  CheckOnce(listed, containers);
  CHECK(listed.messages == 3);
  CheckOnce(
      ReadAll(daemon.runtime(), &Runtime::StreamContainerStats, v1::StreamContainerStatsRequest(),
              [](const auto& response) { return Ids(response.container_stats(), kAttributesId); }),
      containers);
  CheckOnce(
      ReadAll(
          daemon.runtime(), &Runtime::StreamPodSandboxStats, v1::StreamPodSandboxStatsRequest(),
          [](const auto& response) { return Ids(response.pod_sandbox_stats(), kAttributesId); }),
      pod_ids);
  CheckOnce(ReadAll(daemon.runtime(), &Runtime::StreamPodSandboxMetrics,
                    v1::StreamPodSandboxMetricsRequest(),
                    [](const auto& response) {
                      return Ids(response.pod_sandbox_metrics(),
                                 [](const auto& item) { return item.pod_sandbox_id(); });
                    }),
            pod_ids);
}

TEST_CASE("streams are filtered like lists, and may be empty") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  Pod other(daemon);
  const std::string container = pod.Create(pod.ContainerConfig({"true"}));
  (void)other.Create(other.ContainerConfig({"true"}));
  v1::StreamPodSandboxesRequest by_id;
  by_id.mutable_filter()->set_id(pod.id());
  CheckOnce(ReadAll(daemon.runtime(), &Runtime::StreamPodSandboxes, by_id,
                    [](const auto& response) { return Ids(response.pod_sandboxes(), kId); }),
            {pod.id()});
  v1::StreamContainersRequest by_pod;
  by_pod.mutable_filter()->set_pod_sandbox_id(pod.id());
  CheckOnce(ReadAll(daemon.runtime(), &Runtime::StreamContainers, by_pod,
                    [](const auto& response) { return Ids(response.containers(), kId); }),
            {container});
  by_pod.mutable_filter()->set_id("no such id");
  const Streamed none =
      ReadAll(daemon.runtime(), &Runtime::StreamContainers, by_pod,
              [](const auto& response) { return Ids(response.containers(), kId); });
  CheckOnce(none, {});
  CHECK(none.messages == 0);
}

TEST_CASE("StreamImages and ListImages return the same") {
  Daemon& daemon = Daemon::Shared();
  daemon.Pull(kBusybox);
  daemon.Pull("gcr.io/k8s-staging-cri-tools/test-image-1:latest");
  const v1::ListImagesResponse listed = daemon.Call(daemon.images(), &Images::ListImages, {});
  REQUIRE(listed.images_size() >= 2);
  CheckOnce(ReadAll(daemon.images(), &Images::StreamImages, v1::StreamImagesRequest(),
                    [](const auto& response) { return Ids(response.images(), kId); }),
            Ids(listed.images(), kId));
}
