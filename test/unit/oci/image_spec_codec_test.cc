#include "oci/image_spec_codec.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

using namespace crisp::oci;

namespace {

const std::string kHex(64, 'a');

std::string Entry(absl::string_view type, absl::string_view size = "10",
                  absl::string_view more = "") {
  return absl::StrCat("{\"mediaType\":\"", type, "\",\"digest\":\"sha256:", kHex,
                      "\",\"size\":", size, more, "}");
}
const std::string kLayer = Entry("application/vnd.oci.image.layer.v1.tar+gzip");
const std::string kConfig = Entry(kOciConfigType);

std::string ManifestText(absl::string_view layers, absl::string_view config = kConfig,
                         absl::string_view more = "") {
  return absl::StrCat("{\"schemaVersion\":2,\"config\":", config, ",\"layers\":[", layers, "]",
                      more, "}");
}

void CheckRefused(absl::string_view text, absl::string_view type, absl::string_view word) {
  const absl::Status status = DecodeManifestOrIndex(text, type).status();
  CAPTURE(std::string(status.message()));
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(std::string(status.message()).find(std::string(word)) != std::string::npos);
  CHECK(status.message().size() < 1000);
}

std::string ConfigText(absl::string_view run) {
  return absl::StrCat("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":", run,
                      ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:", kHex, "\"]}}");
}

}  // namespace

TEST_CASE("artifactType is taken as it is, and of no matter for images") {
  const auto type = [](absl::string_view more) {
    const auto decoded = DecodeManifestOrIndex(ManifestText(kLayer, kConfig, more), "");
    REQUIRE(decoded.ok());
    return std::get<Manifest>(*decoded).artifact_type;
  };
  CHECK(type("").empty());
  CHECK(type(R"(,"artifactType":"a/b")") == "a/b");
  CHECK(type(R"(,"artifactType":7)").empty());
  CHECK(type(R"(,"artifactType":null)").empty());
}

TEST_CASE("OCI's and Docker's manifests decode to the same struct") {
  struct Row {
    const char* manifest;
    const char* config;
    const char* layer;
  };
  const Row rows[] = {
      {kOciManifestType, kOciConfigType, "application/vnd.oci.image.layer.v1.tar+zstd"},
      {kDockerManifestType, kDockerConfigType,
       "application/vnd.docker.image.rootfs.diff.tar.gzip"}};
  for (const Row& row : rows) {
    const std::string own = absl::StrCat(",\"mediaType\":\"", row.manifest, "\"");
    const std::string text = ManifestText(Entry(row.layer, "7"), Entry(row.config), own);
    for (const char* type : {row.manifest, "", "application/json; charset=utf-8", "text/plain"}) {
      const auto decoded = DecodeManifestOrIndex(text, type);
      REQUIRE(decoded.ok());
      const auto& manifest = std::get<Manifest>(*decoded);
      CHECK(manifest.layers.size() == 1);
      CHECK(manifest.layers[0].size == 7);
      CHECK(manifest.layers[0].media_type == row.layer);
      CHECK(manifest.config.digest.str() == "sha256:" + kHex);
      CHECK(manifest.media_type == row.manifest);
    }
  }
  // OCI manifests may omit their media type.
  CHECK(DecodeManifestOrIndex(ManifestText(kLayer), kOciManifestType).ok());
}

TEST_CASE("an index keeps the order of its platforms") {
  const std::string text = absl::StrCat(
      "{\"manifests\":[",
      Entry(kOciManifestType, "5",
            ",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"),
      ",", Entry(kOciManifestType), "]}");
  const auto decoded = DecodeManifestOrIndex(text, kOciIndexType);
  REQUIRE(decoded.ok());
  const auto& index = std::get<Index>(*decoded);
  REQUIRE(index.manifests.size() == 2);
  CHECK(index.manifests[0].platform->architecture == "arm64");
  CHECK(index.manifests[0].platform->variant == "v8");
  CHECK_FALSE(index.manifests[1].platform.has_value());
}

TEST_CASE("a document that is both manifest and index is refused") {
  for (const char* type : {kOciManifestType, kOciIndexType, kDockerListType, ""}) {
    CheckRefused(ManifestText(kLayer, kConfig, ",\"manifests\":[]"), type,
                 "must not be given together");
  }
}

TEST_CASE("wrong media types, schema 1 and artifacts that are not images are refused") {
  const std::string manifest = ManifestText(kLayer);
  CheckRefused(manifest, kOciIndexType, "does not match");
  CheckRefused("{\"manifests\":[]}", kOciManifestType, "does not match");
  CheckRefused(
      ManifestText(kLayer, kConfig, absl::StrCat(",\"mediaType\":\"", kOciIndexType, "\"")),
      kOciManifestType, "differs from the content type");
  const std::string schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
  CheckRefused("{\"schemaVersion\":1,\"fsLayers\":[]}", schema1, "schema 1");
  CheckRefused("{\"schemaVersion\":1,\"fsLayers\":[]}", "", "schema 1");
  CheckRefused(ManifestText(kLayer, kConfig, ",\"mediaType\":\"" + schema1 + "\""), "", "schema 1");
  CheckRefused(ManifestText(kLayer, kConfig,
                            R"(,"mediaType":"application/vnd.oci.artifact.manifest.v1+json")"),
               "", "not an image manifest");
  CheckRefused("[]", "", "must be an object");
  CheckRefused("{}", "", "config");
  CheckRefused("<html>", "", "image manifest");
}

TEST_CASE("deeply nested documents are refused before they are parsed") {
  const std::string depth(100000, '[');
  CheckRefused(depth, "", "deep");
  CheckRefused(absl::StrCat("{\"config\":", depth), "", "deep");
}

TEST_CASE("a manifest has at most 500 layers, an index at most 1024 entries") {
  std::string layers = kLayer;
  for (size_t i = 1; i < kMaxLayers; ++i) absl::StrAppend(&layers, ",", kLayer);
  CHECK(DecodeManifestOrIndex(ManifestText(layers), "").ok());
  absl::StrAppend(&layers, ",", kLayer);
  CheckRefused(ManifestText(layers), "", "at most 500");
  for (const char* none :
       {R"({"config":%)", R"({"layers":null,"config":%)", R"({"layers":[],"config":%)"}) {
    const auto decoded =
        DecodeManifestOrIndex(absl::StrReplaceAll(none, {{"%", kConfig + "}"}}), "");
    INFO(decoded.status());
    REQUIRE(decoded.ok());
    CHECK(std::get<Manifest>(*decoded).layers.empty());
  }
  std::string entries = kLayer;
  for (size_t i = 0; i < kMaxIndexEntries; ++i) absl::StrAppend(&entries, ",", kLayer);
  CheckRefused(absl::StrCat("{\"manifests\":[", entries, "]}"), "", "at most 1024");
}

TEST_CASE("sizes outside the range are refused") {
  const std::string type = "application/vnd.oci.image.layer.v1.tar";
  for (const char* size : {"-2", "-1.0", "1.5", "\"10\"", "9223372036854775808", "1099511627777",
                           "18446744073709551615", "1e99"}) {
    CAPTURE(size);
    CheckRefused(ManifestText(Entry(type, size)), "", "layers[0]: size");
  }
  CHECK(DecodeManifestOrIndex(ManifestText(Entry(type, "1099511627776")), "").ok());
  CheckRefused(ManifestText(kLayer, Entry(kOciConfigType, "4194305")), "", "config.size");
}

TEST_CASE("a size may be absent, null, 0 or -1, and is not stated then") {
  for (const char* size : {"null", "0", "-1"}) {
    CAPTURE(size);
    const auto decoded = DecodeManifestOrIndex(
        ManifestText(Entry("application/vnd.oci.image.layer.v1.tar", size)), "");
    REQUIRE(decoded.ok());
    CHECK(std::get<Manifest>(*decoded).layers.at(0).size == 0);
  }
  const std::string absent =
      absl::StrReplaceAll(ManifestText(kLayer, kConfig), {{"\"size\":", "\"else\":"}});
  const auto decoded = DecodeManifestOrIndex(absent, "");
  REQUIRE(decoded.ok());
  CHECK(std::get<Manifest>(*decoded).config.size == 0);
}

TEST_CASE("bad digests are refused") {
  CheckRefused(absl::StrReplaceAll(ManifestText(kLayer), {{"sha256:a", "sha256:/"}}), "", "digest");
}

TEST_CASE("the type of a document is what it or the registry says, in any spelling") {
  for (const char* type :
       {"", "text/html; charset=utf-8", "binary/octet-stream", "application/octet-stream",
        "text/plain", "application/json", "APPLICATION/VND.OCI.IMAGE.MANIFEST.V1+JSON",
        "application/vnd.oci.image.manifest.v1+json ; charset=utf-8"}) {
    INFO(type);
    const auto manifest = DecodeManifestOrIndex(ManifestText(kLayer), type);
    REQUIRE(manifest.ok());
    CHECK(std::holds_alternative<Manifest>(*manifest));
  }
  CHECK(std::holds_alternative<Index>(*DecodeManifestOrIndex(R"({"manifests":[]})", "text/html")));
  CHECK(
      DecodeManifestOrIndex(
          ManifestText(kLayer, kConfig, R"(,"mediaType":null,"annotations":{"a":"b"},"x":{})"), "")
          .ok());
}

TEST_CASE("a manifest is not of schema 1 because a number or the registry's type says so") {
  for (const char* type : {"", "application/vnd.docker.distribution.manifest.v1+prettyjws",
                           "application/vnd.docker.distribution.manifest.v1+json"}) {
    for (const char* version : {"1", "2", "3", "\"2\"", "null"}) {
      CAPTURE(type, version);
      const std::string text = absl::StrReplaceAll(
          ManifestText(kLayer),
          {{"\"schemaVersion\":2", absl::StrCat("\"schemaVersion\":", version)}});
      const auto decoded = DecodeManifestOrIndex(text, type);
      REQUIRE(decoded.ok());
      CHECK(std::holds_alternative<Manifest>(*decoded));
    }
  }
}

TEST_CASE("names of members count in any case, and not twice") {
  const std::string manifest = absl::StrReplaceAll(
      ManifestText(kLayer),
      {{"\"config\"", "\"Config\""}, {"layers", "LAYERS"}, {"digest", "Digest"}});
  const auto decoded = DecodeManifestOrIndex(manifest, kOciManifestType);
  INFO(decoded.status());
  REQUIRE(decoded.ok());
  CHECK(std::get<Manifest>(*decoded).layers.size() == 1);
  const auto config = DecodeImageConfig(ConfigText(R"({"user":"7","CMD":["c"]})"));
  REQUIRE(config.ok());
  CHECK(config->user == "7");
  CHECK(config->cmd == std::vector<std::string>{"c"});
  for (const char* more : {R"(,"Layers":[])", R"(,"layers":[])", R"(,"\u006cayers":[])"}) {
    CheckRefused(ManifestText(kLayer, kConfig, more), "", "layers is given twice");
  }
  CheckRefused(absl::StrReplaceAll(ManifestText(kLayer), {{"\"size\"", "\"size\":7,\"size\""}}), "",
               "size is given twice");
  CheckRefused(R"({"manifests":[{"a":1,"a":2}]})", "", "a is given twice");
  CHECK(absl::StrContains(
      DecodeImageConfig(ConfigText(R"({"User":"7","user":"0"})")).status().message(),
      "User is given twice"));
  CHECK(absl::StrContains(
      DecodeImageConfig(ConfigText(R"({"User":"7","User":"0"})")).status().message(),
      "User is given twice"));
}

TEST_CASE(
    "an entry of an index that cannot be an image and names no platform does not spoil the "
    "others") {
  const std::string good = Entry(kOciManifestType);
  for (const std::string& bad :
       {std::string("null"), std::string("7"), std::string("{}"),
        absl::StrReplaceAll(good, {{"sha256:", "md5:"}}), Entry(kOciManifestType, "-2"),
        Entry(kOciManifestType, "5", R"(,"platform":{"os":7})"),
        Entry(kOciManifestType, "5", R"(,"platform":{"os":"li\nnux"})"),
        Entry("application/vnd.dev.cosign.simplesigning.v1+json"),
        Entry("application/vnd.docker.distribution.manifest.v1+json")}) {
    INFO(bad);
    const auto decoded = DecodeManifestOrIndex(
        absl::StrCat(R"({"manifests":[)", bad, ",", good, "]}"), kOciIndexType);
    INFO(decoded.status());
    REQUIRE(decoded.ok());
    CHECK(std::get<Index>(*decoded).manifests.size() == 1);
  }
  const auto empty = DecodeManifestOrIndex(
      absl::StrCat(R"({"manifests":[)", Entry(kOciManifestType, "5", R"(,"platform":{})"), "]}"),
      kOciIndexType);
  REQUIRE(empty.ok());
  CHECK_FALSE(std::get<Index>(*empty).manifests.at(0).platform.has_value());
  const auto null = DecodeManifestOrIndex(R"({"manifests":null})", kOciIndexType);
  CHECK(std::get<Index>(*null).manifests.empty());
}

TEST_CASE("an entry of an index that names a platform and cannot be an image keeps its error") {
  const std::string platform = R"(,"platform":{"os":"linux","architecture":"amd64"})";
  const std::string good = Entry(kOciManifestType, "5", platform);
  const std::pair<std::string, const char*> rows[] = {
      {Entry(kOciManifestType, "\"5\"", platform), "manifests[0]: size: must be an integer"},
      {absl::StrReplaceAll(good, {{"sha256:", "md5:"}}), "manifests[0]: digest"},
      {absl::StrReplaceAll(good, {{"\"sha256:" + kHex + "\"", "7"}}), "manifests[0]: type must be"},
      {Entry("application/vnd.dev.cosign.simplesigning.v1+json", "5", platform),
       "is not an image manifest"},
      {Entry("application/vnd.docker.distribution.manifest.v1+json", "5", platform),
       "is not an image manifest"}};
  for (const auto& [bad, words] : rows) {
    INFO(bad);
    const auto decoded = DecodeManifestOrIndex(
        absl::StrCat(R"({"manifests":[)", bad, ",", good, "]}"), kOciIndexType);
    INFO(decoded.status());
    REQUIRE(decoded.ok());
    const Index& index = std::get<Index>(*decoded);
    REQUIRE(index.manifests.size() == 2);
    CHECK(index.manifests[0].platform->architecture == "amd64");
    CHECK(absl::StrContains(index.manifests[0].manifest.status().message(), words));
    CHECK(index.manifests[1].manifest.ok());
  }
}

TEST_CASE("layers of every type that a builder has written are layers") {
  Manifest manifest;
  const auto add = [&](const std::string& type) {
    manifest.layers.push_back({.media_type = type, .digest = {}, .size = 1});
  };
  const char* kTypes[] = {"",
                          "application/octet-stream",
                          "application/x-tar",
                          "application/vnd.oci.image.layer.v1.tar+gzip",
                          "application/vnd.oci.image.layer.v1.tar+zstd",
                          "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                          "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                          "application/vnd.docker.image.rootfs.diff.tar.zstd",
                          "application/vnd.docker.container.image.rootfs.diff+x-gtar"};
  for (const char* type : kTypes) add(type);
  CHECK(FileSystemLayers(manifest, std::size(kTypes))->size() == std::size(kTypes));
  // With other content between them the types decide.
  manifest.layers.clear();
  add("application/vnd.oci.image.layer.v1.tar+gzip");
  add("application/vnd.in-toto+json");
  add("application/vnd.docker.image.rootfs.diff.tar.gzip");
  const auto layers = FileSystemLayers(manifest, 2);
  REQUIRE(layers.ok());
  REQUIRE(layers->size() == 2);
  CHECK((*layers)[1].media_type == manifest.layers[2].media_type);
  CHECK(absl::StrContains(FileSystemLayers(manifest, 1).status().message(),
                          "1 diff ids for 3 layers"));
  CHECK_FALSE(FileSystemLayers(manifest, 4).ok());
  add("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
  CHECK(absl::IsInvalidArgument(FileSystemLayers(manifest, 4).status()));
}

TEST_CASE("an image config decodes to what a container needs") {
  const auto config = DecodeImageConfig(ConfigText(
      R"({"User":"1000:5","Env":["A=1","B=x\ny"],"Entrypoint":["/e"],"Cmd":["c"],)"
      R"("WorkingDir":"/w",)"
      R"("Volumes":{"/v":{},"/a":{}},"StopSignal":"SIGQUIT","Labels":{"k":"v","n":null}})"));
  REQUIRE(config.ok());
  CHECK(config->user == "1000:5");
  CHECK(config->env == std::vector<std::string>{"A=1", "B=x\ny"});
  CHECK(config->entrypoint == std::vector<std::string>{"/e"});
  CHECK(config->cmd == std::vector<std::string>{"c"});
  CHECK(config->working_dir == "/w");
  CHECK(config->volumes == std::vector<std::string>{"/a", "/v"});
  CHECK(config->stop_signal == "SIGQUIT");
  CHECK(config->labels.at("k") == "v");
  CHECK(config->labels.at("n").empty());
  CHECK(config->platform.architecture == "amd64");
  CHECK(config->diff_ids.size() == 1);
}

TEST_CASE("a single word may stand for a list of them, as Docker takes it") {
  const auto config = DecodeImageConfig(ConfigText(R"({"Entrypoint":"/e","Cmd":"a b"})"));
  REQUIRE(config.ok());
  CHECK(config->entrypoint == std::vector<std::string>{"/e"});
  CHECK(config->cmd == std::vector<std::string>{"a b"});
  CHECK_FALSE(DecodeImageConfig(ConfigText(R"({"Cmd":"\u0000"})")).ok());
}

TEST_CASE("members of an image config may be null or absent, and the stop signal any text") {
  for (const char* run :
       {"null", "{}", R"({"StopSignal":"SIG\r"})",
        R"({"User":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"Labels":null})"}) {
    CAPTURE(run);
    CHECK(DecodeImageConfig(ConfigText(run)).ok());
  }
}

TEST_CASE("null among the words of a list is an empty one, as for Go") {
  const auto config = DecodeImageConfig(ConfigText(R"({"Env":[null,"A=b"],"Cmd":["echo",null]})"));
  REQUIRE(config.ok());
  CHECK(config->env == std::vector<std::string>{"", "A=b"});
  CHECK(config->cmd == std::vector<std::string>{"echo", ""});
}

TEST_CASE("control characters are refused where they would reach a file or a path") {
  for (const char* run :
       {R"({"User":"a\nroot:x:0:0"})", R"({"User":"a\u0000"})", R"({"WorkingDir":"/a\u0000b"})",
        R"({"WorkingDir":"/a\nb"})", R"({"Env":["A=\u0000"]})", R"({"Cmd":["\u0000"]})",
        R"({"Entrypoint":["a\u0000"]})", R"({"Volumes":{"/a\u0000":{}}})",
        R"({"Volumes":{"/a\n":{}}})", R"({"Labels":{"a":"\u0000"}})"}) {
    CAPTURE(run);
    CHECK(DecodeImageConfig(ConfigText(run)).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("an image config with members of the wrong type is refused") {
  const std::string texts[] = {"",
                               "[]",
                               "null",
                               "{}",
                               R"({"rootfs":null})",
                               R"({"rootfs":{"diff_ids":{}}})",
                               R"({"rootfs":{"diff_ids":["sha256:.."]}})",
                               R"({"rootfs":{"diff_ids":[1]}})",
                               ConfigText("[]"),
                               ConfigText(R"({"User":7})"),
                               ConfigText(R"({"Env":"A=1"})"),
                               ConfigText(R"({"Env":[7]})"),
                               ConfigText(R"({"Volumes":["/a"]})"),
                               ConfigText(R"({"Labels":[]})"),
                               "{\"a\":\"" + std::string("\xff\xfe") + "\"}",
                               "\"" + std::string(1 << 20, 'x')};
  for (const std::string& text : texts) {
    CAPTURE(text.substr(0, 100));
    const absl::Status status = DecodeImageConfig(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(status.message().size() < 2000);
  }
}
