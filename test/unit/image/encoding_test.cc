// Content-Encoding: bodies are asked for as they are, and some servers compress them all the same.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "fakes/tar_builder.h"
#include "image/digests.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;
using crisp::snapshot::Gzip;

namespace {

EvilReply Encoded(const std::string& body, const std::string& encoding = "gzip") {
  EvilReply reply{.body = body};
  reply.headers = {"Content-Encoding: " + encoding, "Docker-Content-Digest: none"};
  return reply;
}

// A pull of "repo:v1" from a registry that answers all requests with these bodies.
void ServeGzip(EvilRegistry& registry, const TestImage& image, const std::string& encoding) {
  registry.Serve("/v2/repo/manifests/v1", Encoded(Gzip(image.manifest), encoding));
  registry.Serve(BlobPath(image.config), Encoded(Gzip(image.config), encoding));
  for (const std::string& layer : image.layers)
    registry.Serve(BlobPath(layer), Encoded(Gzip(layer), encoding));
}

}  // namespace

TEST_CASE("bodies are asked for without an encoding") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  f.registry.Guard(
      [realm = absl::StrCat("http://", f.registry.host(), "/token")](const EvilRequest& request) {
        if (request.path == "/token" || request.headers.contains("authorization"))
          return EvilReply{.status = 0};
        EvilReply ask{.status = 401};
        ask.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm, "\"")};
        return ask;
      });
  REQUIRE(f.Pull().ok());
  REQUIRE(f.Pull().ok());
  REQUIRE(f.registry.Count("HEAD", "/v2/repo/manifests/v1") > 0);
  REQUIRE(f.registry.Count("GET", "/token") > 0);
  for (const EvilRequest& request : f.registry.requests()) {
    CAPTURE(request.method, request.path);
    REQUIRE(request.headers.contains("accept-encoding"));
    CHECK(request.headers.at("accept-encoding") == "identity");
  }
}

TEST_CASE("what a server compresses all the same is read as it was before") {
  for (const char* encoding : {"gzip", "GZIP", "x-gzip"}) {
    CAPTURE(encoding);
    PullFixture f;
    const TestImage image = MakeImage({"the first layer", "the second layer"});
    ServeGzip(f.registry, image, encoding);
    const auto pulled = f.Pull();
    INFO(pulled.status());
    REQUIRE(pulled.ok());
    CHECK((*pulled)->id == image.id());
    CHECK(f.target.layers().at((*pulled)->layers[1].chain_id) == "the second layer");
  }
}

TEST_CASE("a token that comes compressed all the same is read") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve("/token", Encoded(Gzip(R"({"token":"t0ken"})")));
  f.registry.Guard(
      [realm = absl::StrCat("http://", f.registry.host(), "/token")](const EvilRequest& request) {
        const auto sent = request.headers.find("authorization");
        const bool known = sent != request.headers.end() && sent->second == "Bearer t0ken";
        if (request.path == "/token" || known) return EvilReply{.status = 0};
        EvilReply ask{.status = 401};
        ask.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm, "\"")};
        return ask;
      });
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
}

TEST_CASE("an encoding that names the layer's own compression, or nothing, changes no byte") {
  const std::string layer = Gzip("files");
  for (const char* encoding : {"gzip", "aws-chunked", "identity", "zstd"}) {
    CAPTURE(encoding);
    PullFixture f;
    TestImage image = MakeImage({layer});
    // The fake target takes the bytes for the layer's plain ones.
    image.config = absl::StrReplaceAll(image.config, {{DiffId(layer).str(), Sha256(layer).str()}});
    image.manifest = MakeManifest(image.config, image.layers);
    Serve(f.registry, image);
    f.registry.Serve(BlobPath(layer), Encoded(layer, encoding));
    f.registry.Serve(BlobPath(image.config), Encoded(image.config, encoding));
    const auto pulled = f.Pull();
    INFO(pulled.status());
    REQUIRE(pulled.ok());
    CHECK(f.registry.Count("GET", BlobPath(layer)) == 1);
    CHECK(f.target.layers().at((*pulled)->layers[0].chain_id) == layer);
  }
}

TEST_CASE("a compressed transfer that breaks begins again: its bytes are not the server's") {
  PullFixture f;
  const std::string layer(100'000, 'a');
  const TestImage image = MakeImage({layer});
  Serve(f.registry, image);
  auto asked = std::make_shared<std::atomic<int>>(0);
  f.registry.Serve(BlobPath(layer), [=](const EvilRequest&) {
    // Stored, so that some of it is read before the connection breaks.
    EvilReply reply = Encoded(Gzip(layer, 0));
    if (++*asked == 2) reply.reset_after = 70'000;
    return reply;
  });
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(*asked == 3);
  CHECK(f.target.layers().at((*pulled)->layers[0].chain_id) == layer);
  for (const EvilRequest& request : f.registry.requests()) {
    if (request.path == BlobPath(layer)) CHECK_FALSE(request.headers.contains("range"));
  }
}

TEST_CASE("what is compressed has the bounds and the digest of what it was before") {
  const TestImage image = MakeImage({"good"});
  const std::string large(64 << 20, ' ');
  PullFixture f;
  f.options.attempts = 1;
  Serve(f.registry, image);
  f.registry.Serve("/v2/repo/manifests/v1", Encoded(Gzip(large, 9)));
  CHECK(Holds(f.Refused(), "longer than 4194304"));
  Serve(f.registry, image);
  f.registry.Serve(BlobPath("good"), Encoded(Gzip(large, 9)));
  CHECK(Holds(f.Refused(), "size is more than 4"));
  f.registry.Serve(BlobPath("good"), Encoded(Gzip("evil")));
  CHECK(Holds(f.Refused(), "digest is "));
  f.registry.Serve(BlobPath("good"), Encoded("\x1f\x8b, but not gzip"));
  CHECK(absl::IsDataLoss(f.Refused()));
}
