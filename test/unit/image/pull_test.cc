#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/file.h"
#include "image/digests.h"
#include "image/platform.h"
#include "image_fixture.h"
#include "no_threads.h"

using namespace crisp;
using namespace crisp::image;

TEST_CASE("a pull stores layers, config and references") {
  PullFixture f;
  const TestImage image = MakeImage({"base", "middle", "top"}, R"({"User":"1002"})");
  Serve(f.registry, image);
  const auto pulled = f.Pull();
  INFO(pulled.status().ToString());
  REQUIRE(pulled.ok());
  const Image& got = **pulled;
  CHECK(got.id == image.id());
  CHECK(got.config.user == "1002");
  CHECK(got.config_json == image.config);
  CHECK(got.manifest_digest == image.digest());
  CHECK(got.repo_tags == std::vector<std::string>{f.registry.host() + "/repo:v1"});
  CHECK(got.repo_digests ==
        std::vector<std::string>{f.registry.host() + "/repo@" + image.digest().str()});
  CHECK(got.size == static_cast<int64_t>(image.manifest.size() + image.config.size() + 13));
  CHECK_FALSE(got.pinned);
  REQUIRE(got.layers.size() == 3);
  CHECK(got.layers[0].chain_id.str() == Sha256("base").str());
  CHECK(got.layers[1].chain_id.str() ==
        digest::Sha256(absl::StrCat(Sha256("base").str(), " ", Sha256("middle").str())));
  CHECK(f.target.layers().at(got.layers[2].chain_id) == "top");
  CHECK(f.target.aborted() == 0);
  // For a new name there is one request for the manifest, without HEAD.
  CHECK(f.registry.Count("HEAD", "/v2/repo/manifests/v1") == 0);
  CHECK(f.registry.Count("GET", "/v2/repo/manifests/v1") == 1);
}

TEST_CASE("requests for manifests accept every supported type") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  REQUIRE(f.Pull().ok());
  const std::string accept = f.registry.requests().at(0).headers.at("accept");
  for (const char* type : {oci::kOciManifestType, oci::kOciIndexType, oci::kDockerManifestType,
                           oci::kDockerListType}) {
    CHECK(absl::StrContains(accept, type));
  }
}

TEST_CASE("a second pull asks the registry by HEAD and downloads nothing") {
  PullFixture f;
  const TestImage image = MakeImage({"a", "b"});
  Serve(f.registry, image);
  REQUIRE(f.Pull().ok());
  const size_t before = f.registry.requests().size();
  REQUIRE(f.Pull().ok());
  CHECK(f.registry.requests().size() == before + 1);
  CHECK(f.registry.Count("HEAD", "/v2/repo/manifests/v1") == 1);
  CHECK(f.target.begun() == 2);

  SECTION("but a layer that is gone is fetched again") {
    f.target.Remove((*f.store->Find(image.id().str()))->layers[1].chain_id);
    REQUIRE(f.Pull().ok());
    CHECK(f.target.begun() == 3);
    CHECK(f.target.layers().size() == 2);
  }
  SECTION("and an image removed meanwhile at the registry is an error") {
    f.registry.Serve("/v2/repo/manifests/v1", EvilReply{.status = 404});
    CHECK(f.Pull().status().code() == absl::StatusCode::kNotFound);
  }
  SECTION("a registry without HEAD is asked by GET") {
    f.registry.Guard([](const EvilRequest& request) {
      EvilReply reply;
      reply.status = request.method == "HEAD" ? 405 : 0;
      return reply;
    });
    CHECK(f.Pull().ok());
    CHECK(f.registry.Count("GET", "/v2/repo/manifests/v1") == 2);
  }
}

TEST_CASE("a pull by digest adds no tag, and exactly one digest reference") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  const std::string reference = absl::StrCat(f.registry.host(), "/repo@", image.digest().str());
  const auto pulled = f.Pull(reference);
  REQUIRE(pulled.ok());
  CHECK((*pulled)->repo_tags.empty());
  CHECK((*pulled)->repo_digests == std::vector<std::string>{reference});
  // A tag together with a digest is dropped.
  REQUIRE(f.Pull(absl::StrCat(f.registry.host(), "/repo:zzz@", image.digest().str())).ok());
  CHECK((*f.store->Find(reference))->repo_tags.empty());
  // A later pull by tag adds the tag.
  REQUIRE(f.Pull().ok());
  CHECK((*f.store->Find(reference))->repo_tags.size() == 1);
}

TEST_CASE("a manifest with another digest than requested is refused") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  const std::string other = Sha256("something else").str();
  f.registry.Serve("/v2/repo/manifests/" + other, EvilReply{.body = image.manifest});
  CHECK(f.Refused(absl::StrCat(f.registry.host(), "/repo@", other)).code() ==
        absl::StatusCode::kDataLoss);
}

TEST_CASE("from an index this platform's image is pulled, under the digest of the index") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  const oci::Platform host = HostPlatform();
  const std::string platform = R"(,"platform":{"os":"linux","architecture":")";
  const std::string index = absl::StrCat(
      R"({"schemaVersion":2,"manifests":[)",
      DescriptorOf(oci::kOciManifestType, "other", platform + "mips\"}"), ",",
      DescriptorOf(oci::kOciManifestType, image.manifest, platform + host.architecture + "\"}"),
      "]}");
  ServeManifest(f.registry, "v1", index, oci::kOciIndexType);
  const auto pulled = f.Pull();
  INFO(pulled.status().ToString());
  REQUIRE(pulled.ok());
  CHECK((*pulled)->id == image.id());
  CHECK((*pulled)->manifest_digest == image.digest());
  CHECK((*pulled)->repo_digests ==
        std::vector<std::string>{f.registry.host() + "/repo@" + Sha256(index).str()});
}

TEST_CASE("images for other platforms are not found, and say so") {
  PullFixture f;
  const std::string entry = DescriptorOf(oci::kOciManifestType, "x",
                                         R"(,"platform":{"os":"windows","architecture":"amd64"})");
  ServeManifest(f.registry, "v1", R"({"manifests":[)" + entry + "]}", oci::kOciIndexType);
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(Holds(status, "no image for platform linux/"));
  TestImage image = MakeImage({"a"});
  image.config.replace(image.config.find("linux"), 5, "windows");
  image.manifest = MakeManifest(image.config, image.layers);
  Serve(f.registry, image, "v2");
  CHECK(Holds(f.Refused("repo:v2"), "but for windows/" + HostPlatform().architecture));
}

TEST_CASE("a missing manifest is NotFound and names the reference") {
  PullFixture f;
  const absl::Status status = f.Refused("repo:nope");
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(Holds(status, f.registry.host() + "/repo:nope"));
  CHECK(Holds(status, "MANIFEST_UNKNOWN"));
}

TEST_CASE("a registry that refuses connections is RegistryUnavailable") {
  PullFixture f;
  const absl::Status status = f.Refused("127.0.0.1:1/repo:v1");
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StartsWith(status.message(), "RegistryUnavailable: "));
}

TEST_CASE("a deadline of 1 ms is DeadlineExceeded and leaves no image") {
  PullFixture f;
  absl::Notification release;
  f.registry.Guard([&](const EvilRequest&) {
    release.WaitForNotification();
    return EvilReply{.status = 0};
  });
  Serve(f.registry, MakeImage({"a"}));
  const base::Call call = base::Call::Until(base::Deadline::In(absl::Milliseconds(1)));
  const int64_t begin = base::MonotonicNanos();
  CHECK(f.Pull("repo:v1", {}, call).status().code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(base::MonotonicNanos() - begin < 500'000'000);
  release.Notify();
  f.puller.reset();  // waits for the pull
  CHECK(f.store->List().empty());
}

namespace {

// Runs a pull on another thread. Catch's assertions are not thread-safe, so the test gets the
// result.
class BesidePull {
 public:
  BesidePull(Puller& puller, oci::Reference reference, Credentials credentials = {},
             base::Call call = {})
      : thread_(
            [=, this, &puller] { status_ = puller.Pull(reference, credentials, call).status(); }) {}
  absl::Status Join() {
    thread_.join();
    return status_;
  }

 private:
  absl::Status status_;
  std::thread thread_;
};

// Waits until another thread makes `condition` true.
template <typename Condition>
bool Happens(Condition condition) {
  const int64_t end = base::MonotonicNanos() + 20'000'000'000;
  while (!condition() && base::MonotonicNanos() < end) std::this_thread::yield();
  return condition();
}

template <typename Condition>
void Await(Condition condition) {
  CHECK(Happens(condition));
}

}  // namespace

TEST_CASE("a cancelled pull ends at once and leaves no image") {
  PullFixture f;
  const TestImage image = MakeImage({"a", std::string(1 << 20, 'x')});
  Serve(f.registry, image);
  f.registry.Serve(BlobPath(image.layers[1]),
                   EvilReply{.body = image.layers[1], .stall_after = 1000});
  f.options.progress_timeout = absl::Seconds(60);
  std::atomic<bool> stalls = false;
  f.target.before_write = [&](const LayerInfo& layer) { stalls = stalls || layer.index == 1; };
  const base::Call call;
  BesidePull pull(f.MakePuller(), f.Ref("repo:v1"), {}, call);
  Await([&] { return stalls.load(); });
  // By then it waits for more bytes, and libcurl's timer for a second address has ended.
  absl::SleepFor(absl::Milliseconds(500));
  call.cancel->Cancel();
  CHECK(absl::IsCancelled(pull.Join()));
  const int64_t begin = base::MonotonicNanos();
  f.puller.reset();  // waits for the pull
  CHECK(base::MonotonicNanos() - begin < 10'000'000'000);
  CHECK(f.store->List().empty());
  CHECK(f.target.layers().size() <= 1);
}

TEST_CASE("a pull that is cancelled between two attempts ends at once") {
  PullFixture f;
  f.options.backoff = absl::Seconds(60);
  f.registry.Serve("/v2/repo/manifests/v1", EvilReply{.status = 503});
  const base::Call call;
  BesidePull pull(f.MakePuller(), f.Ref("repo:v1"), {}, call);
  Await([&] { return f.registry.Count("GET", "/v2/repo/manifests/v1") == 1; });
  absl::SleepFor(absl::Milliseconds(50));  // usually it waits for the next attempt by then
  call.cancel->Cancel();
  CHECK(absl::IsCancelled(pull.Join()));
  const int64_t begin = base::MonotonicNanos();
  f.puller.reset();  // waits for the pull
  CHECK(base::MonotonicNanos() - begin < 10'000'000'000);
}

TEST_CASE("concurrent pulls of one reference share one download") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  absl::Notification release;
  f.target.before_write = [&](const LayerInfo&) { release.WaitForNotification(); };
  Puller& puller = f.MakePuller();
  std::atomic<int> succeeded = 0;
  std::atomic<int> expired = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] { succeeded += puller.Pull(f.Ref("repo:v1"), {}, {}).ok(); });
  }
  // A caller that joins and ends early does not end the pull of the others.
  Await([&] { return f.registry.Count("GET", "/v2/repo/manifests/v1") == 1; });
  callers.emplace_back([&] {
    const base::Call call = base::Call::Until(base::Deadline::In(absl::Milliseconds(30)));
    expired += absl::IsDeadlineExceeded(puller.Pull(f.Ref("repo:v1"), {}, call).status());
  });
  Await([&] { return expired == 1; });
  CHECK(puller.Progress().size() == 1);
  // They are known once the manifest has been read.
  Await([&] { return puller.Progress().at(0).layers.size() == 1; });
  CHECK(puller.Progress().at(0).layers.at(0).bytes_total == 1);
  release.Notify();
  for (std::thread& caller : callers) caller.join();
  CHECK(succeeded == 3);
  CHECK(f.registry.Count("GET", "/v2/repo/manifests/v1") == 1);
  CHECK(f.target.begun() == 1);
  CHECK(puller.Progress().empty());
}

TEST_CASE("other credentials do not join a pull") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  absl::Notification release;
  f.target.before_write = [&](const LayerInfo&) { release.WaitForNotification(); };
  Puller& puller = f.MakePuller();
  BesidePull first(puller, f.Ref("repo:v1"));
  BesidePull second(puller, f.Ref("repo:v1"), User("u", "p"));
  Await([&] { return f.registry.Count("GET", "/v2/repo/manifests/v1") == 2; });
  release.Notify();
  CHECK(first.Join().ok());
  CHECK(second.Join().ok());
  CHECK(f.target.layers().size() == 1);
}

TEST_CASE("a layer that two pulls download at the same time is published once") {
  PullFixture f;
  const TestImage one = MakeImage({"shared", "also shared", "one"});
  const TestImage two = MakeImage({"shared", "also shared", "two"});
  Serve(f.registry, one, "one");
  Serve(f.registry, two, "two");
  absl::Notification release;
  f.target.before_write = [&](const LayerInfo&) { release.WaitForNotification(); };
  Puller& puller = f.MakePuller();
  BesidePull first(puller, f.Ref("repo:one"));
  BesidePull second(puller, f.Ref("repo:two"));
  Await([&] { return f.target.begun() == 6; });
  release.Notify();
  CHECK(first.Join().ok());
  CHECK(second.Join().ok());
  CHECK(f.store->List().size() == 2);
  CHECK(f.target.layers().size() == 4);
}

TEST_CASE("a registry that stalls does not hold up a pull of the same layer from another") {
  PullFixture f;
  EvilRegistry honest;
  const TestImage image = MakeImage({"public", "top"});
  Serve(honest, image);
  // Claims the diff ids of the image, and sends bytes of its own.
  const std::string slow(1000, 'x');
  ServeManifest(f.registry, "v1", MakeManifest(image.config, {slow, "top"}), image.manifest_type);
  ServeBlob(f.registry, image.config);
  ServeBlob(f.registry, "top");
  f.registry.Serve(BlobPath(slow), EvilReply{.body = slow, .stall_after = 10});
  Puller& puller = f.MakePuller();
  const base::Call hostile_call;
  BesidePull hostile(puller, f.Ref("repo:v1"), {}, hostile_call);
  Await([&] { return f.target.begun() >= 1; });
  const base::Call call = base::Call::Until(base::Deadline::In(absl::Seconds(5)));
  CHECK(puller.Pull(f.Ref(honest.host() + "/repo:v1"), {}, call).status() == absl::OkStatus());
  CHECK(f.target.layers().size() == 2);
  hostile_call.cancel->Cancel();
  CHECK(absl::IsCancelled(hostile.Join()));
}

TEST_CASE("a download of a layer that another pull has published meanwhile ends early") {
  PullFixture f;
  EvilRegistry fast;
  const std::string layer(8 << 20, 'x');
  const TestImage image = MakeImage({layer});
  Serve(fast, image);
  Serve(f.registry, image);
  absl::Notification published;
  f.registry.Serve(BlobPath(layer),
                   EvilReply{.body = layer, .halfway = [&] { published.WaitForNotification(); }});
  Puller& puller = f.MakePuller();
  BesidePull late(puller, f.Ref("repo:v1"));
  Await([&] { return f.registry.Count("GET", BlobPath(layer)) == 1; });
  CHECK(puller.Pull(f.Ref(fast.host() + "/repo:v1"), {}, {}).ok());
  published.Notify();
  CHECK(late.Join().ok());
  CHECK(f.target.begun() == 2);
  CHECK(f.target.aborted() == 1);
  CHECK(f.target.layers().begin()->second == layer);
}

TEST_CASE("a failed pull has released its layers when after_failure runs") {
  PullFixture f;
  const TestImage good = MakeImage({"shared", "good"});
  const TestImage bad = MakeImage({"shared", "published", "bad"});
  Serve(f.registry, good, "good");
  Serve(f.registry, bad, "bad");
  EvilReply missing{.status = 404};
  // No Catch macros, as this is another thread; a missing layer is found below.
  missing.before_reply = [&] { Happens([&] { return f.target.layers().size() == 3; }); };
  f.registry.Serve(BlobPath("bad"), missing);
  std::vector<std::string> unused;
  int failures = 0;
  f.after_failure = [&] {
    ++failures;
    for (const auto& [chain_id, content] : f.target.layers()) {
      if (!f.store->Unused({chain_id}).empty()) unused.push_back(content);
    }
  };
  REQUIRE(f.Pull("repo:good").ok());
  CHECK(failures == 0);
  CHECK_FALSE(f.Pull("repo:bad").ok());
  CHECK(failures == 1);
  CHECK(unused == std::vector<std::string>{"published"});
}

TEST_CASE("many layers, repeated ones too, are published bottom-up") {
  PullFixture f;
  std::vector<std::string> layers;
  for (int i = 0; i < 40; ++i) layers.push_back(absl::StrCat("layer ", i % 7));
  Serve(f.registry, MakeImage(layers));
  const auto pulled = f.Pull();
  INFO(pulled.status().ToString());
  REQUIRE(pulled.ok());
  CHECK(f.target.layers().size() == 40);
}

TEST_CASE("the old image of a moved tag keeps only its digest reference") {
  PullFixture f;
  const TestImage old_image = MakeImage({"old"});
  const TestImage new_image = MakeImage({"new"});
  Serve(f.registry, old_image);
  REQUIRE(f.Pull().ok());
  Serve(f.registry, new_image);
  REQUIRE(f.Pull().ok());
  CHECK((*f.store->Find(f.registry.host() + "/repo:v1"))->id == new_image.id());
  const ImagePtr left = *f.store->Find(old_image.id().str());
  CHECK(left->repo_tags.empty());
  CHECK(left->repo_digests.size() == 1);
}

TEST_CASE("an error of a sink ends the pull without retries") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.target.write_error = absl::ResourceExhaustedError("write /x: ENOSPC");
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(Holds(status, "ENOSPC"));
  CHECK(Holds(status, "layer 0 sha256:"));
  CHECK(f.registry.Count("GET", BlobPath("a")) == 1);
  CHECK(f.target.aborted() == 1);
}

TEST_CASE("mirrors are tried in order, then the registry itself") {
  PullFixture f;
  EvilRegistry mirror;
  const TestImage image = MakeImage({"a", "b"});
  f.WriteHostsToml(absl::StrCat("[host.\"http://", mirror.host(), "\"]\n"));

  SECTION("a mirror that has everything is enough and is told whose content is wanted") {
    Serve(mirror, image);
    REQUIRE(f.Pull().ok());
    CHECK(f.registry.requests().empty());
    CHECK(mirror.requests().at(0).target ==
          absl::StrCat("/v2/repo/manifests/v1?ns=127.0.0.1%3a", f.registry.host().substr(10)));
  }
  SECTION("what a mirror does not have comes from the registry") {
    Serve(f.registry, image);
    REQUIRE(f.Pull().ok());
    CHECK_FALSE(mirror.requests().empty());
  }
  SECTION("a mirror that breaks is asked once, then left alone") {
    Serve(f.registry, image);
    mirror.Guard([](const EvilRequest&) { return EvilReply{.status = 503}; });
    REQUIRE(f.Pull().ok());
    CHECK(mirror.requests().size() == 1);
  }
  SECTION("a mirror that lies about a layer does not spoil it") {
    Serve(f.registry, image);
    Serve(mirror, image);
    mirror.Serve(BlobPath("a"), EvilReply{.body = "z"});
    REQUIRE(f.Pull().ok());
    CHECK(f.target.aborted() == 1);
    CHECK(f.target.layers().size() == 2);
  }
  SECTION("the registry's answer is the one reported") {
    CHECK(f.Refused().code() == absl::StatusCode::kNotFound);
    CHECK(mirror.requests().size() == 1);
  }
}

TEST_CASE("a mirror without the resolve capability is only asked by digest") {
  PullFixture f;
  EvilRegistry mirror;
  const TestImage image = MakeImage({"a"});
  f.WriteHostsToml(
      absl::StrCat("[host.\"http://", mirror.host(), "\"]\ncapabilities = [\"pull\"]\n"));
  Serve(f.registry, image);
  Serve(mirror, image);
  REQUIRE(f.Pull().ok());
  CHECK(f.registry.requests().size() == 1);  // the tag
  CHECK(mirror.Count("GET", BlobPath("a")) == 1);
}

TEST_CASE("hosts.toml is read at every pull; a broken one fails it") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  REQUIRE(f.Pull().ok());
  f.WriteHostsToml("server = 7");
  const absl::Status status = f.Pull().status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(Holds(status, "hosts.toml: server: must be a string"));
}

TEST_CASE("a pull that gets no thread is refused, and the next one works") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.MakePuller();
  {
    const crisp::test::NoThreads refused;
    const absl::Status status = f.Pull().status();
    CHECK(absl::IsResourceExhausted(status));
    CHECK(Holds(status, "cannot start a thread for pull: resource temporarily unavailable"));
  }
  CHECK(f.Pull().ok());
}
