#include "image/artifact.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "image/digests.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

constexpr char kEmptyType[] = "application/vnd.oci.empty.v1+json";
constexpr size_t kMax = 1000;

struct ArtifactFixture : PullFixture {
  absl::StatusOr<std::string> Fetch(const std::string& manifest) {
    ServeManifest(registry, "v1", manifest, oci::kOciManifestType);
    return FetchArtifact({.reference = Ref(absl::StrCat("repo@", Sha256(manifest).str())),
                          .credentials = {},
                          .type = kSeccompArtifactType,
                          .max_bytes = kMax},
                         options, {});
  }
};

std::string OfType(const char* type) { return absl::StrCat(R"(,"artifactType":")", type, "\""); }

}  // namespace

TEST_CASE("an artifact is the bytes of its only layer, and says what it is in one of two places") {
  ArtifactFixture f;
  const std::string document = "{\"any\": \"text\"}\n";
  ServeBlob(f.registry, document);
  for (const std::string& manifest :
       {MakeArtifactManifest(kSeccompArtifactType, {document}),
        MakeArtifactManifest(kSeccompArtifactType, {document}, OfType(kSeccompArtifactType)),
        MakeArtifactManifest(kEmptyType, {document}, OfType(kSeccompArtifactType))}) {
    INFO(manifest);
    const absl::StatusOr<std::string> fetched = f.Fetch(manifest);
    INFO(fetched.status());
    CHECK(fetched.value_or("") == document);
  }
  const std::string full(kMax, 'x');
  ServeBlob(f.registry, full);
  CHECK(f.Fetch(MakeArtifactManifest(kSeccompArtifactType, {full})).value_or("") == full);
}

TEST_CASE("what is not the artifact that was asked for is refused before its layer is fetched") {
  ArtifactFixture f;
  const auto refused = [&](const std::string& manifest, const std::string& why) {
    INFO(manifest);
    const absl::Status status = f.Fetch(manifest).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(Holds(status, why));
    CHECK(absl::StartsWith(status.message(), absl::StrCat("pull ", f.registry.host(), "/repo@")));
  };
  const std::string good = MakeArtifactManifest(kSeccompArtifactType, {"x"});
  refused(MakeArtifactManifest("text/plain", {"x"}), "has the type \"text/plain\"");
  refused(MakeArtifactManifest(kEmptyType, {"x"}), "has the type \"\"");
  refused(MakeArtifactManifest(kEmptyType, {"x"}, OfType("other")), "has the type \"other\"");
  refused(MakeArtifactManifest(kSeccompArtifactType, {"x"}, OfType("other")), "as artifactType");
  refused(MakeImage({"x"}).manifest, "has the type \"application/vnd.oci.image.config.v1+json\"");
  refused(MakeArtifactManifest(kSeccompArtifactType, {}), "has 0 layers");
  refused(MakeArtifactManifest(kSeccompArtifactType, {"x", "y"}), "has 2 layers");
  refused(MakeArtifactManifest(kSeccompArtifactType, {std::string(kMax + 1, 'x')}),
          "has 1001 bytes, at most 1000");
  refused(absl::StrReplaceAll(good, {{"\"size\":1}", "\"size\":0}"}}), "the size of its layer");
  refused("{}", "config");
  for (const EvilRequest& request : f.registry.requests())
    CHECK_FALSE(absl::StrContains(request.path, "/blobs/"));
}

TEST_CASE("an index of artifacts is refused") {
  ArtifactFixture f;
  const std::string index = absl::StrCat(
      R"({"schemaVersion":2,"manifests":[)",
      DescriptorOf(oci::kOciManifestType, MakeArtifactManifest(kSeccompArtifactType, {"x"})), "]}");
  ServeManifest(f.registry, "v1", index, oci::kOciIndexType);
  const absl::Status status =
      FetchArtifact({.reference = f.Ref(absl::StrCat("repo@", Sha256(index).str())),
                     .credentials = {},
                     .type = kSeccompArtifactType,
                     .max_bytes = kMax},
                    f.options, {})
          .status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(Holds(status, "is an index"));
}

TEST_CASE("what may go away is not the artifact's fault") {
  ArtifactFixture f;
  const std::string manifest = MakeArtifactManifest(kSeccompArtifactType, {"document"});
  CHECK(absl::IsNotFound(f.Fetch(manifest).status()));  // its layer is not there yet
  f.registry.Serve(BlobPath("document"), EvilReply{.body = "docume-t"});
  CHECK(absl::IsDataLoss(f.Fetch(manifest).status()));
  f.registry.Serve(BlobPath("document"), EvilReply{.status = 503});
  const absl::Status down = f.Fetch(manifest).status();
  CHECK(absl::IsUnavailable(down));
  CHECK(absl::StartsWith(down.message(), "RegistryUnavailable: pull "));
  f.WriteHostsToml("server = ");
  CHECK(absl::IsFailedPrecondition(f.Fetch(manifest).status()));
}
