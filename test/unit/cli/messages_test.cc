// Manifests (manifests/*.yaml, deploy/pods/*.yaml) against the messages that kubelet would send
// for them (golden/<manifest>.sandbox.textproto and golden/<manifest>.<container>.textproto).
// After a wanted change: CRISP_UPDATE_GOLDEN=1 <this program> "manifests become*".
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstdlib>

#include "base/file.h"
#include "cli/pod_messages.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

const std::string kDirectory = CRISP_CLI_TEST_DIR;

template <typename Message>
void CheckGolden(const std::string& name, const Message& made) {
  CAPTURE(name);
  const std::string path = absl::StrCat(kDirectory, "/golden/", name, ".textproto");
  std::string text;
  google::protobuf::TextFormat::PrintToString(made, &text);
  if (std::getenv("CRISP_UPDATE_GOLDEN") != nullptr)
    REQUIRE(base::WriteFileAtomic(path, text, 0644).ok());
  const absl::StatusOr<std::string> known = base::ReadFile(path);
  REQUIRE(known.ok());
  Message expected;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(*known, &expected));
  std::string difference;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  const bool is_equal = differencer.Compare(expected, made);
  INFO(difference);
  CHECK(is_equal);
}

void CheckContainer(const std::string& name, const Pod& pod, const Container& container,
                    const Manifest& manifest) {
  const PodInstance instance = TestInstance(pod);
  const Node node = TestNode();
  const auto made = ContainerMessage({.pod = pod,
                                      .container = container,
                                      .objects = manifest,
                                      .instance = instance,
                                      .node = node,
                                      .attempt = 0,
                                      .image_id = "sha256:11",
                                      .image_user = {},
                                      .volume_image_ids = {{"model", "sha256:77"}}});
  INFO(made.status());
  REQUIRE(made.ok());
  CheckGolden(absl::StrCat(name, ".", container.name), *made);
}

}  // namespace

TEST_CASE("manifests become the messages that kubelet sends") {
  std::vector<std::string> files = {CRISP_PODS_DIR "/two-containers.yaml"};
  const auto names = base::ListDir(kDirectory + "/manifests");
  REQUIRE(names.ok());
  for (const std::string& name : *names) files.push_back(kDirectory + "/manifests/" + name);
  size_t containers = 0;
  for (const std::string& file : files) {
    CAPTURE(file);
    const std::string name =
        file.substr(file.rfind('/') + 1, file.rfind('.') - file.rfind('/') - 1);
    const absl::StatusOr<std::string> text = base::ReadFile(file);
    REQUIRE(text.ok());
    const Manifest manifest = Decoded(*text);
    REQUIRE(manifest.pods.size() == 1);
    const Pod& pod = manifest.pods[0];
    CheckGolden(name + ".sandbox", SandboxMessage(pod, TestInstance(pod), TestNode()));
    for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
      for (const Container& container : *list) {
        CheckContainer(name, pod, container, manifest);
        ++containers;
      }
    }
  }
  CHECK(files.size() == 6);
  CHECK(containers == 9);
}

TEST_CASE("with hostUsers false ids are mapped in the sandbox and in every mount of files") {
  const Pod pod = PodOf("  hostUsers: false\n");
  PodInstance instance = TestInstance(pod);
  instance.users = 131072;
  const auto sandbox = SandboxMessage(pod, instance, TestNode());
  const auto& users = sandbox.linux().security_context().namespace_options().userns_options();
  CHECK(users.mode() == ::runtime::v1::NamespaceMode::POD);
  REQUIRE(users.uids_size() == 1);
  CHECK(users.uids(0).host_id() == 131072);
  CHECK(users.uids(0).container_id() == 0);
  CHECK(users.uids(0).length() == 65536);
  CHECK(users.gids_size() == 1);
  const Node node = TestNode();
  const auto container = ContainerMessage({.pod = pod,
                                           .container = pod.spec.containers[0],
                                           .objects = {},
                                           .instance = instance,
                                           .node = node,
                                           .attempt = 2,
                                           .image_id = "sha256:11",
                                           .image_user = {},
                                           .volume_image_ids = {}});
  REQUIRE(container.ok());
  REQUIRE(container->mounts_size() == 2);
  for (const auto& mount : container->mounts()) CHECK(mount.uidmappings_size() == 1);
  CHECK(container->log_path() == "c/2.log");
  CHECK(container->metadata().attempt() == 2);
}

}  // namespace crisp::cli
