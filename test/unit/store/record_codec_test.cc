#include "store/record_codec.h"

#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_replace.h"

namespace crisp::store {
namespace {

namespace v1 = ::runtime::v1;
using google::protobuf::util::MessageDifferencer;

SandboxRecord Sandbox() {
  SandboxRecord record;
  record.id = base::SandboxId(std::string(64, 'a'));
  record.created_at_ns = 1'700'000'000'123'456'789;
  record.runtime_handler = "crisp";
  record.config.mutable_metadata()->set_name("pod");
  record.config.mutable_metadata()->set_attempt(3);
  (*record.config.mutable_annotations())["text"] = "line\n\"quoted\" \xc3\xa4";
  record.config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::CONTAINER);
  record.cgroup_parent = "/kubepods/pod1";
  record.netns_path = "/run/netns/x";
  record.plugin_group = "/sys/fs/cgroup/cni-x";
  record.ip = {.primary = "10.0.0.2", .additional = {"fd00::2", "10.1.0.2"}};
  record.pending_cleanup = {Cleanup::kNetwork, Cleanup::kNetns, Cleanup::kProcesses,
                            Cleanup::kCgroup};
  record.ready = true;
  record.stopped = true;
  return record;
}

ContainerRecord Container() {
  ContainerRecord record;
  record.id = base::ContainerId(std::string(64, 'b'));
  record.sandbox_id = base::SandboxId(std::string(64, 'a'));
  record.created_at_ns = 5;
  record.config.mutable_metadata()->set_name("c");
  record.config.set_stop_signal(v1::SIGNAL_SIGUSR1);
  record.image_id = "sha256:1";
  record.image_name = "docker.io/library/a:1";
  record.image_ref = "docker.io/library/a@sha256:0";
  record.chain_ids = {oci::ChainId("sha256:2"), oci::ChainId("sha256:3")};
  record.log_path = "/var/log/pods/x/0.log";
  record.stop_signal = "SIGUSR1";
  record.user.mutable_linux()->set_uid(1000);
  record.user.mutable_linux()->add_supplemental_groups(7);
  record.resources.set_cpu_shares(512);
  record.outcome = Outcome{.started_at_ns = 6,
                           .finished_at_ns = 7,
                           .exit_code = 137,
                           .reason = "OOMKilled",
                           .message = "too much"};
  return record;
}

TEST_CASE("a sandbox's record reads back as it was") {
  const SandboxRecord before = Sandbox();
  SandboxRecord after;
  REQUIRE(Decode(Encode(before), after).ok());
  CHECK(after.id == before.id);
  CHECK(after.created_at_ns == before.created_at_ns);
  CHECK(after.runtime_handler == before.runtime_handler);
  CHECK(MessageDifferencer::Equals(after.config, before.config));
  CHECK(after.cgroup_parent == before.cgroup_parent);
  CHECK(after.netns_path == before.netns_path);
  CHECK(after.plugin_group == before.plugin_group);
  CHECK(after.ip.primary == before.ip.primary);
  CHECK(after.ip.additional == before.ip.additional);
  CHECK(after.pending_cleanup == before.pending_cleanup);
  CHECK(after.ready);
  CHECK(after.stopped);
  CHECK(Encode(after) == Encode(before));
}

TEST_CASE("a container's record reads back as it was, with and without an outcome") {
  ContainerRecord before = Container();
  ContainerRecord after;
  REQUIRE(Decode(Encode(before), after).ok());
  CHECK(after.id == before.id);
  CHECK(after.sandbox_id == before.sandbox_id);
  CHECK(MessageDifferencer::Equals(after.config, before.config));
  CHECK(after.image_name == before.image_name);
  CHECK(after.image_ref == before.image_ref);
  CHECK(after.chain_ids == before.chain_ids);
  CHECK(after.log_path == before.log_path);
  CHECK(after.stop_signal == before.stop_signal);
  CHECK(MessageDifferencer::Equals(after.user, before.user));
  CHECK(MessageDifferencer::Equals(after.resources, before.resources));
  REQUIRE(after.outcome.has_value());
  CHECK(after.outcome->exit_code == 137);
  CHECK(after.outcome->reason == "OOMKilled");
  CHECK(Encode(after) == Encode(before));

  before.outcome.reset();
  ContainerRecord running;
  REQUIRE(Decode(Encode(before), running).ok());
  CHECK_FALSE(running.outcome.has_value());
}

TEST_CASE("an image volume reads back as it was, also one of a crispd that knew no noexec") {
  ContainerRecord before = Container();
  before.image_volumes = {{.container_path = "/i",
                           .image_id = "sha256:4",
                           .chain_ids = {oci::ChainId("sha256:5")},
                           .sub_path = "x",
                           .noexec = true}};
  ContainerRecord after;
  REQUIRE(Decode(Encode(before), after).ok());
  REQUIRE(after.image_volumes.size() == 1);
  CHECK(after.image_volumes[0].noexec);
  CHECK(after.image_volumes[0].sub_path == "x");
  CHECK(after.image_volumes[0].chain_ids == before.image_volumes[0].chain_ids);
  const std::string old = absl::StrReplaceAll(Encode(before), {{"\"noexec\":true,", ""}});
  REQUIRE(old.size() < Encode(before).size());
  ContainerRecord of_old;
  REQUIRE(Decode(old, of_old).ok());
  CHECK_FALSE(of_old.image_volumes.at(0).noexec);
}

TEST_CASE("a security profile's record reads back as it was; without a digest it is damaged") {
  const ProfileRecord before = {.digest = *oci::Digest::Parse("sha256:" + std::string(64, 'a')),
                                .names = {"host/a@sha256:0", "host/b@sha256:0"},
                                .document = "{\n \"x\": \"\xc3\xa4\"}"};
  ProfileRecord after;
  REQUIRE(Decode(Encode(before), after).ok());
  CHECK(after.digest == before.digest);
  CHECK(after.names == before.names);
  CHECK(after.document == before.document);
  const std::string text = Encode(before);
  for (const auto& [from, to] : {std::pair<const char*, const char*>{"sha256:aa", "sha256:zz"},
                                 {"\"version\":1", "\"version\":2"},
                                 {"\"document\"", "\"other\""}}) {
    CAPTURE(from);
    ProfileRecord damaged;
    CHECK(absl::IsInvalidArgument(Decode(absl::StrReplaceAll(text, {{from, to}}), damaged)));
  }
}

TEST_CASE("what a newer crispd added inside is passed over, another version is not") {
  const std::string text = Encode(Sandbox());
  SandboxRecord record;
  CHECK(Decode(absl::StrReplaceAll(text, {{"\"metadata\":{", "\"metadata\":{\"new_field\":1,"}}),
               record)
            .ok());
  CHECK(absl::IsInvalidArgument(
      Decode(absl::StrReplaceAll(text, {{"\"version\":1", "\"version\":2"}}), record)));
}

// Whatever a cut or a flipped byte leaves, Decode says so or gives a record; it never throws.
TEST_CASE("a damaged record is an error") {
  const std::string text = Encode(Container());
  for (size_t size = 0; size < text.size(); ++size) {
    ContainerRecord record;
    INFO(size);
    CHECK(absl::IsInvalidArgument(Decode(text.substr(0, size), record)));
  }
  for (size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = '\0';
    ContainerRecord record;
    INFO(at);
    CHECK(absl::IsInvalidArgument(Decode(damaged, record)));
  }
  SandboxRecord sandbox;
  CHECK(absl::IsInvalidArgument(Decode(text, sandbox)));  // of the other kind
  CHECK(absl::IsInvalidArgument(Decode("[]", sandbox)));
  CHECK(absl::IsInvalidArgument(Decode("{\"version\":\"1\"}", sandbox)));
}

}  // namespace
}  // namespace crisp::store
