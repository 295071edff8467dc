// The forms of manifests that builders write and wrote: all of them are pulled.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "image/digests.h"
#include "image/image_record_codec.h"
#include "image/platform.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

TEST_CASE("an image without layers is pulled and has an empty one") {
  PullFixture f;
  Serve(f.registry, MakeImage({}, R"({"Cmd":["/x"]})"));
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  REQUIRE((*pulled)->layers.size() == 1);
  CHECK(f.target.layers() ==
        std::map<oci::ChainId, std::string>{{(*pulled)->layers[0].chain_id, EmptyLayer()}});
  // The next pull, a restart and another such image find it.
  REQUIRE(f.Pull().ok());
  Serve(f.registry, MakeImage({}, R"({"Cmd":["/y"]})"), "v2");
  REQUIRE(f.Pull("repo:v2").ok());
  CHECK(f.target.begun() == 1);
  const auto reopened = ImageStore::Open(f.paths, f.target);
  REQUIRE(reopened.ok());
  CHECK((*reopened)->quarantined().empty());
  CHECK((*reopened)->List().size() == 2);
}

namespace {

std::string IndexOf(const std::vector<std::string>& entries) {
  return absl::StrCat(R"({"schemaVersion":2,"manifests":[)", absl::StrJoin(entries, ","), "]}");
}

std::string PlatformOf(const std::string& os, const std::string& architecture) {
  return absl::StrCat(R"(,"platform":{"os":")", os, R"(","architecture":")", architecture, "\"}");
}

std::string ForThisNode() { return PlatformOf("linux", HostPlatform().architecture); }

// An index around `document`.
std::string Wrapped(PullFixture& f, const std::string& document, const std::string& type) {
  ServeManifest(f.registry, "unused", document, type);
  return IndexOf({DescriptorOf(type, document)});
}

}  // namespace

TEST_CASE("an image is found in an index within an index, to a depth of four") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  std::string document = image.manifest;
  std::string type = oci::kOciManifestType;
  for (int depth = 1; depth <= 5; ++depth) {
    document = Wrapped(f, document, type);
    type = oci::kOciIndexType;
    ServeManifest(f.registry, "v1", document, type);
    const auto pulled = f.Pull();
    INFO(depth << pulled.status());
    CHECK(pulled.ok() == (depth <= 4));
    if (pulled.ok()) CHECK((*pulled)->manifest_digest == image.digest());
    if (!pulled.ok()) CHECK(Holds(pulled.status(), "nested more than 4 deep"));
  }
}

TEST_CASE("attestations and other platforms do not keep an image from being found") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  TestImage other = MakeImage({"b"});
  other.config = absl::StrReplaceAll(other.config, {{HostPlatform().architecture, "mips"}});
  other.manifest = MakeManifest(other.config, other.layers);
  Serve(f.registry, other, "unused");
  TestImage chart = MakeImage({"c"});
  chart.config = R"({"name":"chart"})";
  chart.manifest = MakeManifest(chart.config, chart.layers);
  Serve(f.registry, chart, "unused");
  const std::string elsewhere =
      IndexOf({DescriptorOf(oci::kOciManifestType, other.manifest, PlatformOf("linux", "s390x"))});
  ServeManifest(f.registry, "unused", elsewhere, oci::kOciIndexType);
  // None of these but the last is for this node, which shows only when they are looked at.
  const std::vector<std::string> entries = {
      DescriptorOf(oci::kOciManifestType, image.manifest, PlatformOf("unknown", "unknown")),
      DescriptorOf(oci::kOciManifestType, other.manifest),
      DescriptorOf(oci::kOciManifestType, chart.manifest),
      DescriptorOf(oci::kOciIndexType, elsewhere),
      DescriptorOf(oci::kOciManifestType, image.manifest)};
  ServeManifest(f.registry, "v1", IndexOf(entries), oci::kOciIndexType);
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK((*pulled)->id == image.id());
  // An entry that says that it is for this node counts before those without a platform.
  TestImage mine = MakeImage({"d"});
  Serve(f.registry, mine, "unused");
  ServeManifest(
      f.registry, "v2",
      IndexOf({entries.back(), DescriptorOf(oci::kOciManifestType, mine.manifest, ForThisNode())}),
      oci::kOciIndexType);
  CHECK((*f.Pull("repo:v2"))->id == mine.id());
  // What it says it is must then be true.
  ServeManifest(
      f.registry, "v3",
      IndexOf({entries.back(), DescriptorOf(oci::kOciManifestType, chart.manifest, ForThisNode())}),
      oci::kOciIndexType);
  CHECK(Holds(f.Pull("repo:v3").status(), "rootfs"));
}

TEST_CASE("an architecture in the config counts only where nothing else says one") {
  PullFixture f;
  TestImage image = MakeImage({"a"});
  image.config = absl::StrReplaceAll(image.config, {{HostPlatform().architecture, "mips"}});
  image.manifest = MakeManifest(image.config, image.layers);
  Serve(f.registry, image);
  const auto single = f.Pull();
  INFO(single.status());
  REQUIRE(single.ok());
  CHECK((*single)->id == image.id());
  ServeManifest(f.registry, "v2",
                IndexOf({DescriptorOf(oci::kOciManifestType, image.manifest, ForThisNode())}),
                oci::kOciIndexType);
  CHECK(f.Pull("repo:v2").ok());
  ServeManifest(f.registry, "v3", IndexOf({DescriptorOf(oci::kOciManifestType, image.manifest)}),
                oci::kOciIndexType);
  CHECK(Holds(f.Pull("repo:v3").status(), "but for linux/mips"));
}

TEST_CASE("an entry without a platform that is not an image, or not there, is passed over") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  const std::string artifact = R"({"schemaVersion":2,"subject":{},"blobs":[]})";
  ServeManifest(f.registry, "unused", artifact, oci::kOciManifestType);
  const std::string good = DescriptorOf(oci::kOciManifestType, image.manifest);
  for (const std::string& other : {artifact, std::string("{}")}) {  // the second is not served
    const std::string entry = DescriptorOf(oci::kOciManifestType, other);
    ServeManifest(f.registry, "v1", IndexOf({entry, good}), oci::kOciIndexType);
    const auto pulled = f.Pull();
    INFO(pulled.status());
    REQUIRE(pulled.ok());
    CHECK((*pulled)->id == image.id());
    ServeManifest(f.registry, "v2",
                  IndexOf({good, DescriptorOf(oci::kOciManifestType, other, ForThisNode())}),
                  oci::kOciIndexType);
    CHECK_FALSE(f.Pull("repo:v2").ok());
  }
}

TEST_CASE("a damaged entry for this platform is not replaced by another one") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  const std::string good = DescriptorOf(oci::kOciManifestType, image.manifest, ForThisNode());
  const std::string bad = absl::StrReplaceAll(good, {{"sha256:", "md5:"}});
  for (const std::string& other : {DescriptorOf(oci::kOciManifestType, image.manifest), good}) {
    ServeManifest(f.registry, "v1", IndexOf({bad, other}), oci::kOciIndexType);
    CHECK(Holds(f.Refused(), "image manifest: manifests[0]: digest"));
  }
  // Where another entry is the better one, or the damaged one is for other nodes, it is no matter.
  const std::string foreign =
      absl::StrReplaceAll(bad, {{ForThisNode(), PlatformOf("linux", "mips")}});
  for (const std::vector<std::string>& entries :
       {std::vector<std::string>{good, bad}, std::vector<std::string>{foreign, good}}) {
    ServeManifest(f.registry, "v1", IndexOf(entries), oci::kOciIndexType);
    CHECK(f.Pull().ok());
  }
}

TEST_CASE("of an index at most 32 manifests are looked at") {
  PullFixture f;
  std::vector<std::string> entries;
  for (int i = 0; i < 40; ++i) {
    TestImage other = MakeImage({absl::StrCat(i)});
    other.config = absl::StrReplaceAll(other.config, {{HostPlatform().architecture, "mips"}});
    other.manifest = MakeManifest(other.config, other.layers);
    Serve(f.registry, other, "unused");
    entries.push_back(DescriptorOf(oci::kOciManifestType, other.manifest));
  }
  ServeManifest(f.registry, "v1", IndexOf(entries), oci::kOciIndexType);
  CHECK(Holds(f.Refused(), "none of the first 32 manifests"));
}

TEST_CASE("a config and layers of generic types, and what is not a layer, are no obstacle") {
  for (const char* type : {"", "application/octet-stream", "text/plain"}) {
    INFO(type);
    PullFixture f;
    const TestImage image = MakeImage({"a", "b"});
    Serve(f.registry, image, "unused");
    const std::string manifest = absl::StrReplaceAll(
        image.manifest,
        {{oci::kOciConfigType, type}, {"application/vnd.oci.image.layer.v1.tar", type}});
    ServeManifest(f.registry, "v1", manifest, "binary/octet-stream");
    const auto pulled = f.Pull();
    INFO(pulled.status());
    CHECK(pulled.ok());
  }
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image, "unused");
  const std::string manifest = absl::StrReplaceAll(
      image.manifest,
      {{"\"layers\":[",
        absl::StrCat("\"layers\":[", DescriptorOf("application/vnd.in-toto+json", "{}"), ",")}});
  ServeManifest(f.registry, "v1", manifest, oci::kOciManifestType);
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.target.layers().at((*pulled)->layers[0].chain_id) == "a");
}

namespace {

// The document with this in place of the size of each of its descriptors.
std::string WithSizes(const std::string& document, const std::string& size) {
  return std::regex_replace(document, std::regex(",\"size\":[0-9]+"), size);
}

}  // namespace

TEST_CASE("what has no stated size is as long as what the registry sends for its digest") {
  const TestImage image = MakeImage({"first", "second"});
  PullFixture stated;
  Serve(stated.registry, image);
  const auto expected = stated.Pull();
  REQUIRE(expected.ok());
  for (const char* size : {"", ",\"size\":0", ",\"size\":-1", ",\"size\":null"}) {
    for (const bool chunked : {false, true}) {
      CAPTURE(size, chunked);
      PullFixture f;
      TestImage unstated = image;
      unstated.manifest = WithSizes(image.manifest, size);
      Serve(f.registry, unstated, "unused");
      ServeManifest(f.registry, "v1",
                    WithSizes(Wrapped(f, unstated.manifest, oci::kOciManifestType), size),
                    oci::kOciIndexType);
      EvilReply config{.body = image.config, .chunked = chunked};
      f.registry.Serve(BlobPath(image.config), config);
      // The connection breaks once: the rest is asked for.
      auto broken = std::make_shared<std::atomic<bool>>(false);
      f.registry.Serve(BlobPath("second"), [=](const EvilRequest&) {
        EvilReply reply{.body = "second", .chunked = chunked};
        if (!broken->exchange(true)) reply.reset_after = 3;
        return reply;
      });
      const auto pulled = f.Pull();
      INFO(pulled.status());
      REQUIRE(pulled.ok());
      const auto less = static_cast<int64_t>(image.manifest.size() - unstated.manifest.size());
      CHECK((*pulled)->size == (*expected)->size - less);
      CHECK(f.target.layers() == stated.target.layers());
    }
  }
}

TEST_CASE("what has no stated size must have the digest, and end") {
  const TestImage image = MakeImage({"good"});
  PullFixture f;
  Serve(f.registry, image, "unused");
  ServeManifest(f.registry, "v1", WithSizes(image.manifest, ""), oci::kOciManifestType);
  f.registry.Serve(BlobPath("good"), EvilReply{.body = "good and more"});
  const absl::Status longer = f.Refused();
  CHECK(absl::IsDataLoss(longer));
  CHECK(Holds(longer, "digest is "));
  f.registry.Serve(BlobPath("good"), EvilReply{.body = "good", .content_length = int64_t{1} << 41});
  CHECK(Holds(f.Refused(), "size is more than 1099511627776"));
  EvilReply endless{.body = std::string(1 << 20, ' '), .chunked = true, .endless = true};
  f.registry.Serve(BlobPath(image.config), endless);
  const absl::Status config = f.Refused();
  CHECK(absl::IsInvalidArgument(config));
  CHECK(Holds(config, "longer than 4194304"));
}

TEST_CASE("a chart or a signature is not taken for an image") {
  PullFixture f;
  const std::string config = R"({"name":"chart","version":"1"})";
  ServeBlob(f.registry, config);
  ServeBlob(f.registry, "chart");
  ServeManifest(
      f.registry, "v1",
      absl::StrCat(
          R"({"schemaVersion":2,"config":)",
          DescriptorOf("application/vnd.cncf.helm.config.v1+json", config), R"(,"layers":[)",
          DescriptorOf("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart"), "]}"),
      oci::kOciManifestType);
  const absl::Status status = f.Refused();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(Holds(status, "charts, signatures and other artifacts"));
}
