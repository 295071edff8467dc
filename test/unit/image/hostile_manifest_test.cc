// Hostile documents: manifests, indexes, configs and headers from a registry.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "image/digests.h"
#include "image/platform.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

// A pull of this manifest must fail with this code and this text, and leave nothing.
void CheckRefused(const std::string& manifest, absl::StatusCode code, const std::string& words,
                  const std::string& type = oci::kOciManifestType) {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));  // content that a manifest may name
  ServeManifest(f.registry, "v1", manifest, type);
  const absl::Status status = f.Refused();
  CAPTURE(status.ToString());
  CHECK(status.code() == code);
  CHECK(Holds(status, words));
  CHECK(f.target.layers().empty());
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

std::string TheManifest() { return MakeImage({"a"}).manifest; }

}  // namespace

TEST_CASE("a layer with another digest is refused") {
  PullFixture f;
  const TestImage image = MakeImage({"good"});
  Serve(f.registry, image);
  f.registry.Serve(BlobPath("good"), EvilReply{.body = "evil"});
  const absl::Status status = f.Refused();
  CHECK(status.code() == kDataLoss);
  CHECK(Holds(status, "digest is " + Sha256("evil").str()));
  CHECK(f.target.layers().empty());
  CHECK(f.target.aborted() == 1);
}

TEST_CASE("a layer shorter or longer than its descriptor is refused") {
  for (const std::string body : {"goo", "good!", "", "goodgoodgood"}) {
    for (const bool chunked : {false, true}) {
      CAPTURE(body, chunked);
      PullFixture f;
      Serve(f.registry, MakeImage({"good"}));
      EvilReply reply;
      reply.body = body;
      reply.chunked = chunked;
      f.registry.Serve(BlobPath("good"), reply);
      const absl::Status status = f.Refused();
      CHECK(status.code() == kDataLoss);
      CHECK(Holds(status, "size is "));
      CHECK(f.target.layers().empty());
    }
  }
}

TEST_CASE("a manifest whose size is not the index entry's is refused") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  const std::string entry = absl::StrReplaceAll(
      DescriptorOf(oci::kOciManifestType, image.manifest),
      {{absl::StrCat(":", image.manifest.size()), absl::StrCat(":", image.manifest.size() + 1)}});
  ServeManifest(f.registry, "v1", R"({"manifests":[)" + entry + "]}", oci::kOciIndexType);
  CHECK(f.Refused().code() == kDataLoss);
}

TEST_CASE("a layer with another diff id is refused, and so is a wrong number of them") {
  PullFixture f;
  TestImage image = MakeImage({"good"});
  image.config = MakeConfig({"something else"});
  image.manifest = MakeManifest(image.config, image.layers);
  Serve(f.registry, image);
  const absl::Status status = f.Refused();
  CHECK(status.code() == kDataLoss);
  CHECK(Holds(status, "diff id"));
  CHECK(f.target.layers().empty());

  image.config = MakeConfig({"good", "good"});
  image.manifest = MakeManifest(image.config, image.layers);
  Serve(f.registry, image, "v2");
  CHECK(Holds(f.Refused("repo:v2"), "2 diff ids for 1 layers"));
}

TEST_CASE("a config with another digest is refused") {
  PullFixture f;
  TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  f.registry.Serve(BlobPath(image.config),
                   EvilReply{.body = std::string(image.config.size(), ' ')});
  const absl::Status status = f.Refused();
  CHECK(status.code() == kDataLoss);
  CHECK(Holds(status, "image config"));
}

TEST_CASE("a document that is both manifest and index is refused") {
  CheckRefused(absl::StrReplaceAll(TheManifest(), {{"\"layers\"", "\"manifests\":[],\"layers\""}}),
               kInvalid, "must not be given together");
}

TEST_CASE("wrong media types and schema 1 are refused") {
  CheckRefused(TheManifest(), kInvalid, "does not match", oci::kDockerListType);
  CheckRefused(R"({"schemaVersion":1,"fsLayers":[]})", kInvalid, "schema 1",
               "application/vnd.docker.distribution.manifest.v1+prettyjws");
  CheckRefused("<html></html>", kInvalid, "image manifest", "text/html");
}

TEST_CASE("a manifest of 100 MiB is cut off at 4 MiB") {
  PullFixture f;
  EvilReply reply;
  reply.body = std::string(1 << 20, ' ');
  reply.endless = reply.chunked = true;
  f.registry.Serve("/v2/repo/manifests/v1", reply);
  const absl::Status status = f.Refused();
  CHECK(status.code() == kInvalid);
  CHECK(Holds(status, "longer than 4194304"));
}

TEST_CASE("a config announced as 100 MiB is not fetched") {
  const std::string config = MakeConfig({"a"});
  CheckRefused(
      absl::StrReplaceAll(MakeManifest(config, {"a"}),
                          {{absl::StrCat("\"size\":", config.size()), "\"size\":104857600"}}),
      kInvalid, "config.size");
}

TEST_CASE("a JSON depth bomb is refused") {
  CheckRefused(std::string(100000, '['), kInvalid, "deep");
}

TEST_CASE("thousands of layers are refused") {
  std::string layers;
  const std::string layer = DescriptorOf("application/vnd.oci.image.layer.v1.tar", "a");
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&layers, i == 0 ? "" : ",", layer);
  CheckRefused(absl::StrCat("{\"config\":", DescriptorOf(oci::kOciConfigType, MakeConfig({"a"})),
                            ",\"layers\":[", layers, "]}"),
               kInvalid, "at most 500");
}

TEST_CASE("501 layers, more than an overlay has, are refused") {
  const std::vector<std::string> layers(501, "a");
  CheckRefused(MakeManifest(MakeConfig(layers), layers), kInvalid, "at most 500");
}

TEST_CASE("a NUL or newline in the config is refused") {
  for (const char* run :
       {R"({"User":"a\n0:0"})", R"({"WorkingDir":"/\u0000"})", R"({"Env":["A=\u0000"]})"}) {
    PullFixture f;
    const TestImage image = MakeImage({"a"}, run);
    Serve(f.registry, image);
    const absl::Status status = f.Refused();
    CHECK(status.code() == kInvalid);
    CHECK(f.target.begun() == 0);
  }
}

TEST_CASE("digests that are paths or unknown algorithms are refused") {
  const std::string good = Sha256("a").str();
  for (const std::string& bad :
       {std::string("sha256:../../../../etc/passwd"), "sha256:" + std::string(64, 'A'),
        std::string("md5:abc"), std::string("sha256:") + std::string(63, 'a') + "/"}) {
    CheckRefused(absl::StrReplaceAll(TheManifest(), {{good, bad}}), kInvalid, "digest");
  }
}

TEST_CASE("an invalid Docker-Content-Digest header is ignored") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  EvilReply reply;
  reply.body = image.manifest;
  reply.headers = {"Content-Type: " + image.manifest_type, "Docker-Content-Digest: ../../x"};
  f.registry.Serve("/v2/repo/manifests/v1", reply);
  const auto pulled = f.Pull();
  REQUIRE(pulled.ok());
  CHECK((*pulled)->manifest_digest == image.digest());
}

TEST_CASE("a Docker-Content-Digest of something else is not believed, nor a mirror that sends it") {
  PullFixture f;
  EvilRegistry mirror;
  const TestImage image = MakeImage({"a"}), wrong = MakeImage({"b"});
  Serve(f.registry, image);
  Serve(mirror, wrong);
  EvilReply reply;
  reply.body = image.manifest;
  reply.headers = {"Docker-Content-Digest: " + Sha256("x").str()};
  f.registry.Serve("/v2/repo/manifests/v1", reply);
  reply.body = wrong.manifest;
  mirror.Serve("/v2/repo/manifests/v1", reply);
  f.WriteHostsToml(absl::StrCat("[host.\"http://", mirror.host(), "\"]\n"));
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK((*pulled)->manifest_digest == image.digest());
  CHECK((*pulled)->repo_digests ==
        std::vector<std::string>{absl::StrCat(f.registry.host(), "/repo@", image.digest().str())});
}

TEST_CASE("traversal in a reference never becomes a request") {
  for (const char* text : {"127.0.0.1:5000/../../x", "127.0.0.1:5000/a/..:v1", "a:../x"}) {
    CHECK_FALSE(oci::Reference::Parse(text).ok());
  }
}

TEST_CASE("urls of a layer are not visited") {
  PullFixture f;
  EvilRegistry elsewhere;
  const std::string layer =
      DescriptorOf("application/vnd.oci.image.layer.v1.tar", "a",
                   absl::StrCat(R"(,"urls":["http://)", elsewhere.host(), "/x\"]"));
  const std::string config = MakeConfig({"a"});
  ServeManifest(f.registry, "v1",
                absl::StrCat("{\"config\":", DescriptorOf(oci::kOciConfigType, config),
                             ",\"layers\":[", layer, "]}"),
                oci::kOciManifestType);
  ServeBlob(f.registry, config);
  CHECK(f.Refused().code() == absl::StatusCode::kNotFound);
  CHECK(elsewhere.requests().empty());
  // The registry may have such a layer, too.
  ServeBlob(f.registry, "a");
  CHECK(f.Pull().ok());
  CHECK(elsewhere.requests().empty());
}

TEST_CASE("labels and annotations with reserved names have no effect") {
  PullFixture f;
  Serve(f.registry,
        MakeImage({"a"}, R"({"Labels":{"io.cri-containerd.pinned":"pinned","crisp.pinned":"true",)"
                         R"("containerd.io/gc.root":"x"}})"));
  const auto pulled = f.Pull();
  REQUIRE(pulled.ok());
  CHECK_FALSE((*pulled)->pinned);
}

TEST_CASE("a tag that moves between requests cannot mix two images") {
  PullFixture f;
  const TestImage one = MakeImage({"one"});
  const TestImage two = MakeImage({"two"});
  Serve(f.registry, two, "v1");
  Serve(f.registry, one, "v1");
  REQUIRE(f.Pull().ok());
  // HEAD answers with the first image; at the time of GET the tag is the second.
  f.registry.Serve("/v2/repo/manifests/v1", [&](const EvilRequest& request) {
    const TestImage& now = request.method == "HEAD" ? one : two;
    EvilReply reply;
    reply.body = now.manifest;
    reply.headers = {"Content-Type: " + now.manifest_type,
                     "Docker-Content-Digest: " + now.digest().str()};
    return reply;
  });
  const auto pulled = f.Pull();
  REQUIRE(pulled.ok());
  CHECK((*pulled)->id == one.id());
  // A layer is missing, so the manifest is fetched, and the image is the one of that answer.
  f.target.Remove((*pulled)->layers[0].chain_id);
  const auto again = f.Pull();
  REQUIRE(again.ok());
  CHECK((*again)->id == two.id());
  CHECK((*again)->manifest_digest == two.digest());
  CHECK(f.target.layers().at((*again)->layers[0].chain_id) == "two");
}
