// Manifests, indexes, configs and references that are not what they should be.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "fakes/tar_builder.h"
#include "oci/image_spec.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {
namespace {

using grpc::StatusCode;
using image::DescriptorOf;
using image::TestImage;
using Codes = std::initializer_list<StatusCode>;

constexpr Codes kInvalid = {StatusCode::INVALID_ARGUMENT};
constexpr Codes kDataLoss = {StatusCode::DATA_LOSS};
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kManifestPath[] = "/manifests/v1";
constexpr char kCodec[] = "oci/image_spec_codec.cc ";

std::string PathOf(Target& target) {
  return absl::StrCat("/v2/", target.Repository(), kManifestPath);
}

// The case's image with another manifest text under its tag; config and layers are served.
Outcome RefusedManifest(Target& target, const std::string& text, Codes codes = kInvalid,
                        const std::string& type = oci::kOciManifestType) {
  image::Serve(target.registry(), target.ImageOf({FileLayer("x")}), "other", target.Repository());
  image::ServeManifest(target.registry(), "v1", text, type, target.Repository());
  return target.Refused(target.Pull(target.Reference()), codes);
}

std::string ManifestOf(Target& target) { return target.ImageOf({FileLayer("x")}).manifest; }

// A case whose manifest is that of a good image with `from` replaced.
Case Edited(const std::string& name, const std::string& from, const std::string& to,
            const std::string& check) {
  return {.name = "manifest: " + name,
          .allowed = Allowed::kRefused,
          .run =
              [=](Target& t) {
                return RefusedManifest(t, absl::StrReplaceAll(ManifestOf(t), {{from, to}}));
              },
          .check = kCodec + check};
}

// The layer is `honest` by name and `body` by content.
Outcome OtherBlob(Target& target, const std::string& honest, const std::string& body,
                  bool chunked) {
  const std::string reference = target.Publish({honest});
  image::EvilReply reply;
  reply.body = body;
  reply.chunked = chunked;
  target.registry().Serve(image::BlobPath(honest, target.Repository()), reply);
  return target.Refused(target.Pull(reference), kDataLoss);
}

std::vector<Case> Digests() {
  const char kDiffIds[] = "snapshot/layer_writer.cc Seal";
  return {
      {.name = "manifest: a layer has another digest",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             // Only the header of gzip differs, so that size and diff id are right.
             const std::string honest = snapshot::Gzip(FileLayer("x"));
             std::string other = honest;
             other[9] ^= 1;  // the operating system (RFC 1952)
             return OtherBlob(t, honest, other, false);
           },
       .check = "image/blob_reader.cc Seal"},
      {.name = "manifest: a layer is shorter than announced",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return OtherBlob(t, FileLayer("x"), FileLayer("x").substr(0, 700), true);
           },
       .check = "image/blob_reader.cc Read, Seal"},
      {.name = "manifest: a layer is longer than announced",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return OtherBlob(t, FileLayer("x"), FileLayer("x") + "more", true); },
       .check = "image/blob_reader.cc Read, Seal"},
      {.name = "manifest: a layer is empty",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return OtherBlob(t, FileLayer("x"), "", true); },
       .check = "image/blob_reader.cc Read, Seal"},
      {.name = "manifest: a layer has another diff id than the config says",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             TestImage image = t.ImageOf({FileLayer("good")});
             image.config = absl::StrReplaceAll(
                 image.config,
                 {{image::DiffId(image.layers[0]).str(), image::DiffId("other").str()}});
             image.manifest = image::MakeManifest(image.config, image.layers);
             return t.Refused(t.Pull(t.Serve(image)), kDataLoss);
           },
       .check = kDiffIds},
      {.name = "manifest: more diff ids than layers",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             TestImage image = t.ImageOf({FileLayer("good")});
             std::vector<std::string> more = image.layers;
             more.push_back(more.back());
             image.config = image::MakeConfig(more);
             image.manifest = image::MakeManifest(image.config, image.layers);
             return t.Refused(t.Pull(t.Serve(image)));
           },
       .check = "oci/image_spec_codec.cc FileSystemLayers"},
      {.name = "manifest: the config has another digest",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             const TestImage image = t.ImageOf({FileLayer("x")});
             const std::string reference = t.Serve(image);
             image::EvilReply reply;
             reply.body = std::string(image.config.size(), ' ');
             t.registry().Serve(image::BlobPath(image.config, t.Repository()), reply);
             return t.Refused(t.Pull(reference), kDataLoss);
           },
       .check = "image/blob_reader.cc Seal"},
      {.name = "manifest: another digest than Docker-Content-Digest says",
       .run =
           [](Target& t) {
             const TestImage image = t.ImageOf({FileLayer("x")});
             const std::string reference = t.Serve(image);
             image::EvilReply reply;
             reply.body = image.manifest;
             reply.headers = {"Content-Type: " + image.manifest_type,
                              "Docker-Content-Digest: " + image::DiffId("other").str()};
             t.registry().Serve(PathOf(t), reply);
             return t.FactsOrRefused(reference, {"content f x"});
           },
       .check = "image/registry.cc FetchDocument",
       .of_crisp = Allowed::kRefused},
      {.name = "manifest: Docker-Content-Digest is a path",
       .run =
           [](Target& t) {
             const TestImage image = t.ImageOf({FileLayer("x")});
             const std::string reference = t.Serve(image);
             image::EvilReply reply;
             reply.body = image.manifest;
             reply.headers = {"Content-Type: " + image.manifest_type,
                              absl::StrCat("Docker-Content-Digest: ../../../../", t.Canary())};
             t.registry().Serve(PathOf(t), reply);
             return t.FactsOrRefused(reference, {"content f x"});
           },
       .check = "oci/digest.cc Parse"},
  };
}

// The digest of the image's first layer becomes `bad`.
Case BadDigest(const std::string& what, const std::string& bad) {
  return {.name = "manifest: a digest " + what,
          .allowed = Allowed::kRefused,
          .run =
              [=](Target& t) {
                return RefusedManifest(
                    t, absl::StrReplaceAll(ManifestOf(t),
                                           {{image::DiffId(FileLayer("x")).str(),
                                             absl::StrReplaceAll(bad, {{"CANARY", t.Canary()}})}}));
              },
          .check = "oci/digest.cc Parse"};
}

Outcome ForeignLayer(Target& target) {
  TestImage image = target.ImageOf({FileLayer("x")});
  image.manifest = absl::StrReplaceAll(
      image.manifest,
      {{"\"layers\":[{", absl::StrCat("\"layers\":[{\"urls\":[\"http://", target.registry().host(),
                                      "/elsewhere\"],")}});
  const Outcome outcome = target.FactsOrRefused(target.Serve(image), {"content f x"});
  for (const image::EvilRequest& request : target.registry().requests()) {
    Demand(request.path != "/elsewhere", "it asked another address");
  }
  return outcome;
}

std::vector<Case> Documents() {
  return {
      Edited("it is both manifest and index", "\"layers\"", "\"manifests\":[],\"layers\"",
             "KindOfDocument"),
      {.name = "manifest: a layer from elsewhere by urls (CVE-2020-15157)",
       .run = ForeignLayer,
       .check = "image/registry.cc UrlOf"},
      Edited(
          "a negative size", "\"layers\":[{",
          R"("layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":-2,"digest":)"
          R"("sha256:0000000000000000000000000000000000000000000000000000000000000000"},{)",
          "DecodeDescriptor"),
      Edited("a size of 2^63", "\"layers\":[{",
             R"("layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":)"
             R"("sha256:0000000000000000000000000000000000000000000000000000000000000000",)"
             R"("size":9223372036854775808},{)",
             "DecodeDescriptor"),
      BadDigest("is a path", "sha256:../../../../CANARY/secret"),
      BadDigest("in upper case", "sha256:" + std::string(64, 'A')),
      BadDigest("of an unknown algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e"),
      BadDigest("ends with a slash", "sha256:" + std::string(63, 'a') + "/"),
      {.name = "manifest: it says that it is an index (CVE-2021-41190)",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedManifest(t, ManifestOf(t), kInvalid, oci::kDockerListType);
           },
       .check = "oci/image_spec_codec.cc KindOfDocument "},
      {.name = "manifest: schema 1",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedManifest(t, R"({"schemaVersion":1,"fsLayers":[]})", kInvalid,
                                    "application/vnd.docker.distribution.manifest.v1+prettyjws");
           },
       .check = "oci/image_spec_codec.cc KindOfDocument"},
      {.name = "manifest: a web page",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return RefusedManifest(t, "<html></html>", kInvalid, "text/html"); },
       .check = "oci/image_spec_codec.cc KindOfDocument"},
      {.name = "manifest: a NUL and a newline in names of the config",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             Outcome outcome;
             for (const char* run : {R"({"User":"a\n0:0"})", R"({"WorkingDir":"/\u0000"})",
                                     R"({"Env":["A=\u0000"]})", R"({"Volumes":{"/a\nb":{}}})"}) {
               Ended ended;
               outcome = t.Refused(t.PullAndRun(t.Publish({FileLayer("x")}, run), {"ids"}, &ended));
             }
             return outcome;
           },
       .check = "oci/image_spec_codec.cc RequireNoControl"},
      {.name = "manifest: a newline in the platform",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             TestImage image = t.ImageOf({FileLayer("x")});
             image.config = absl::StrReplaceAll(image.config, {{"\"linux\"", "\"li\\nnux\""}});
             image.manifest = image::MakeManifest(image.config, image.layers);
             return t.Refused(t.Pull(t.Serve(image)), kInvalid);
           },
       .check = "oci/image_spec_codec.cc DecodePlatform"},
  };
}

// `chunk` again and again.
Outcome EndlessManifest(Target& target, const std::string& first, const std::string& chunk) {
  image::EvilReply reply;
  reply.headers = {absl::StrCat("Content-Type: ", oci::kOciManifestType)};
  reply.body = first + chunk;
  reply.chunked = true;
  reply.endless = true;
  target.registry().Serve(PathOf(target), reply);
  return target.Refused(target.Pull(target.Reference()), kInvalid);
}

Outcome NestedIndex(Target& target) {
  const TestImage image = target.ImageOf({FileLayer("x")});
  target.Serve(image, "inner");
  std::string document = image.manifest;
  std::string type = oci::kOciManifestType;
  for (int i = 0; i < 1000; ++i) {
    image::ServeManifest(target.registry(), "inner", document, type, target.Repository());
    document =
        absl::StrCat(R"({"schemaVersion":2,"manifests":[)", DescriptorOf(type, document), "]}");
    type = oci::kOciIndexType;
  }
  image::ServeManifest(target.registry(), "v1", document, type, target.Repository());
  return target.FactsOrRefused(target.Reference(), {"content f x"});
}

std::vector<Case> Bombs() {
  return {
      {.name = "manifest: it never ends (CVE-2023-25153)",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return EndlessManifest(t, "{", std::string(1 << 20, ' ')); },
       .check = "image/http_client.cc max_body_bytes"},
      {.name = "manifest: a config of 100 MiB",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             const TestImage image = t.ImageOf({FileLayer("x")});
             return RefusedManifest(
                 t, absl::StrReplaceAll(image.manifest,
                                        {{absl::StrCat("\"size\":", image.config.size(), "}"),
                                          "\"size\":104857600}"}}));
           },
       .check = "oci/image_spec_codec.cc DecodeManifest"},
      {.name = "manifest: 100,000 levels of JSON",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return RefusedManifest(t, std::string(100'000, '[')); },
       .check = "base/json.h JsonDepthWithin"},
      {.name = "manifest: a config of 100,000 levels of JSON",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             TestImage image = t.ImageOf({FileLayer("x")});
             image.config.back() = ',';
             absl::StrAppend(&image.config, "\"x\":", std::string(100'000, '['),
                             std::string(100'000, ']'), "}");
             image.manifest = image::MakeManifest(image.config, image.layers);
             return t.Refused(t.Pull(t.Serve(image)), kInvalid);
           },
       .check = "base/json.h JsonDepthWithin"},
      {.name = "manifest: a million layers",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             const std::string layer = DescriptorOf(kLayerType, FileLayer("x")) + ",";
             return EndlessManifest(
                 t,
                 absl::StrCat("{\"config\":", DescriptorOf(oci::kOciConfigType, "{}"),
                              ",\"layers\":["),
                 absl::StrCat(layer, layer, layer, layer));
           },
       .check = "image/http_client.cc max_body_bytes"},
      {.name = "manifest: 20,000 layers",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             const std::string layer = DescriptorOf(kLayerType, FileLayer("x"));
             std::string layers = layer;
             for (int i = 1; i < 20'000; ++i) absl::StrAppend(&layers, ",", layer);
             return RefusedManifest(
                 t,
                 absl::StrCat(R"({"schemaVersion":2,"config":)",
                              DescriptorOf(oci::kOciConfigType, t.ImageOf({FileLayer("x")}).config),
                              ",\"layers\":[", layers, "]}"));
           },
       .check = "oci/image_spec_codec.cc DecodeDescriptors"},
      {.name = "manifest: 300 layers, more than a page of mount options names",
       .run =
           [](Target& t) {
             std::vector<std::string> layers;
             for (int i = 0; i < 300; ++i) layers.push_back(FileLayer(absl::StrCat(i)));
             return t.FactsOrRefused(t.Publish(layers), {"content f 299"});
           },
       .check = "shim/overlay.cc StageLayers",
       .of_crisp = Allowed::kHarmless},
      {.name = "manifest: a thousand indexes, one within the other",
       .run = NestedIndex,
       .check = "image/puller.cc ChooseFrom",
       .of_crisp = Allowed::kRefused},
      {.name = "manifest: no layers (CVE-2026-24054)",
       .run =
           [](Target& t) {
             TestImage image = t.ImageOf({});
             image.layers.clear();
             image.config = image::MakeConfig({}, R"({"Entrypoint":["/probe"]})");
             image.manifest = image::MakeManifest(image.config, {});
             const std::string reference = t.Serve(image);
             if (const grpc::Status pulled = t.Pull(reference); !pulled.ok()) {
               return t.Refused(pulled);
             }
             // There is no program in it.
             Ended ended;
             return t.Refused(t.PullAndRun(reference, {"ids"}, &ended));
           },
       .check = "image/puller.cc MakeEmptyLayer"},
  };
}

Outcome RefusedReference(Target& target, const std::string& reference) {
  const Outcome outcome = target.Refused(target.Pull(reference));
  for (const image::EvilRequest& request : target.registry().requests()) {
    Demand(!absl::StrContains(request.target, ".."), "it asked for " + request.target);
  }
  return outcome;
}

Outcome ReservedLabels(Target& target) {
  const std::string run = R"({"Labels":{
      "io.cri-containerd.pinned":"pinned", "io.cri-containerd.kind":"sandbox",
      "io.cri-containerd.image":"managed", "containerd.io/gc.root":"x",
      "containerd.io/restart.status":"running", "containerd.io/restart.loguri":"binary:///bin/sh",
      "containerd.io/snapshot.ref":"x", "io.kubernetes.pod.name":"kube-apiserver",
      "io.kubernetes.pod.namespace":"kube-system", "io.kubernetes.cri-o.ContainerType":"sandbox",
      "io.kubernetes.cri-o.Annotations":"x", "run.oci.handler":"krun",
      "crisp.pinned":"true", "org.criu.config":"/etc/passwd"}})";
  const std::string reference = target.Publish({FileLayer("x")}, run);
  if (const grpc::Status status = target.Pull(reference); !status.ok()) {
    return target.Refused(status);
  }
  v1::ImageStatusRequest wanted;
  wanted.mutable_image()->set_image(reference);
  const v1::ImageStatusResponse image = target.endpoint().Call(
      target.endpoint().images(), &v1::ImageService::Stub::ImageStatus, wanted);
  Demand(image.has_image(), "the image is not there");
  Demand(!image.image().pinned(), "the image has pinned itself");
  test::Pod& pod = target.ThePod();
  const std::string container = pod.Create(target.ContainerConfig(reference, {"args", "ran"}));
  pod.Start(container);
  const v1::ContainerStatus status = pod.WaitExited(container);
  Demand(status.labels().empty() && status.annotations().empty(),
         "the image has given its container labels or annotations");
  Demand(pod.LogText(container) == "ran\n", "it did not run as asked");
  return {Outcome::kHarmless, "no label of the image counts"};
}

Outcome MovingTag(Target& target) {
  const auto of = [&](const std::string& who) {
    return target.ImageOf({FileLayer(who)}, R"({"Env":["WHO=)" + who + "\"]}");
  };
  const TestImage one = of("one");
  const TestImage two = of("two");
  target.Serve(one);
  const std::string reference = target.Serve(two);
  target.registry().Serve(PathOf(target), [=](const image::EvilRequest& request) {
    const TestImage& now = request.method == "HEAD" ? one : two;
    image::EvilReply reply;
    reply.body = now.manifest;
    reply.headers = {"Content-Type: " + now.manifest_type,
                     "Docker-Content-Digest: " + now.digest().str()};
    return reply;
  });
  Ended ended;
  const grpc::Status status = target.PullAndRun(reference, {"cat", "/f", "--", "env"}, &ended);
  if (!status.ok()) return target.Refused(status);
  const bool file = absl::StartsWith(ended.output, "one");
  const bool config = absl::StrContains(ended.output, "WHO=one");
  Demand(file == config, "config and layers are of two images: " + ended.output);
  return {Outcome::kHarmless, file ? "the first image" : "the second image"};
}

std::vector<Case> Names() {
  return {
      {.name = "reference: .. in the repository",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedReference(t, t.registry().host() + "/../../v2/_catalog");
           },
       .check = "oci/reference.cc Parse"},
      {.name = "reference: .. in the tag",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedReference(t, t.registry().host() + "/case:../../../_catalog");
           },
       .check = "oci/reference.cc Parse"},
      {.name = "reference: 10 KiB",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedReference(t, t.registry().host() + "/" + std::string(10 << 10, 'a'));
           },
       .check = "oci/reference.cc Parse"},
      {.name = "reference: a path of the host",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return RefusedReference(t, t.Canary()); },
       .check = "oci/reference.cc Parse"},
      {.name = "reference: a newline",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return RefusedReference(t, t.registry().host() + "/a\r\nHost: evil:v1");
           },
       .check = "oci/reference.cc Parse"},
      {.name = "image: labels that runtimes reserve for themselves (CVE-2026-53488)",
       .run = ReservedLabels,
       .check = "runtime/images.cc pinned"},
      {.name = "image: a tag that moves between two requests",
       .run = MovingTag,
       .check = "image/puller.cc digest of the manifest"},
  };
}

}  // namespace

std::vector<Case> ManifestCases() {
  std::vector<Case> cases;
  for (const std::vector<Case>& group : {Digests(), Documents(), Bombs(), Names()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

}  // namespace crisp::hostile
