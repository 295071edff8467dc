// Registries that redirect, ask for passwords, stall, lie and break off.
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fakes/tar_builder.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {
namespace {

using grpc::StatusCode;
using image::EvilReply;
using image::EvilRequest;

constexpr char kRedirects[] = "image/redirects.cc PerformAndFollow";
constexpr char kAuth[] = "image/auth.cc FetchToken";
constexpr char kRetries[] = "image/registry.cc FetchBlobFrom";
constexpr absl::Duration kGivesUp = absl::Seconds(10);

// 3 MiB that gzip makes nothing of.
std::string BigLayer() {
  std::string text;
  uint32_t state = 1;
  while (text.size() < (3 << 20)) {
    state = state * 1664525 + 1013904223;
    text += static_cast<char>(state >> 24);
  }
  return snapshot::TarBuilder().File("big", text).File("f", "x").Done();
}

std::string ManifestPath(Target& target) {
  return absl::StrCat("/v2/", target.Repository(), "/manifests/v1");
}

EvilReply ManifestReply(const image::TestImage& image) {
  EvilReply reply;
  reply.body = image.manifest;
  reply.headers = {"Content-Type: " + image.manifest_type};
  return reply;
}

EvilReply Redirect(const std::string& location) {
  EvilReply reply;
  reply.status = 307;
  reply.headers = {"Location: " + location};
  return reply;
}

// The first `broken` answers are `bad`, then come `good` ones.
image::EvilRegistry::Handler Breaking(EvilReply good, EvilReply bad, int broken) {
  return [good, bad, left = std::make_shared<int>(broken)](const EvilRequest&) {
    return (*left)-- > 0 ? bad : good;
  };
}

grpc::Status PullWithPassword(Target& target, const std::string& reference) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(reference);
  request.mutable_auth()->set_username("user");
  request.mutable_auth()->set_password("the node's password");
  v1::PullImageResponse response;
  return target.endpoint().Try(target.endpoint().images(), &v1::ImageService::Stub::PullImage,
                               request, &response);
}

Case RedirectTo(const std::string& what, const std::string& location) {
  return {.name = "registry: it redirects to " + what,
          .allowed = Allowed::kRefused,
          .run =
              [=](Target& t) {
                t.registry().Serve(ManifestPath(t), Redirect(location));
                return t.Refused(t.Pull(t.Reference()), {StatusCode::INVALID_ARGUMENT});
              },
          .check = "image/url.cc Parse, IsLinkLocal"};
}

Case RealmAt(const std::string& what, const std::string& realm) {
  return {.name = "registry: its token server is " + what,
          .allowed = Allowed::kRefused,
          .run =
              [=](Target& t) {
                EvilReply challenge;
                challenge.status = 401;
                challenge.headers = {
                    absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm, "\",service=\"s\"")};
                t.registry().Serve(ManifestPath(t), challenge);
                return t.Refused(PullWithPassword(t, t.Reference()),
                                 {StatusCode::INVALID_ARGUMENT});
              },
          .check = kAuth};
}

// The layer comes from another host, which must not see the password, and the redirect's query,
// which is a secret of the registry, must not be in an error.
Outcome PasswordStays(Target& target) {
  image::EvilRegistry elsewhere;
  const std::string layer = FileLayer("x");
  const std::string reference = target.Publish({layer});
  const std::string other =
      absl::StrCat("http://localhost:", elsewhere.host().substr(elsewhere.host().find(':') + 1));
  elsewhere.Serve("/blob", EvilReply{.body = layer});
  target.registry().Serve(image::BlobPath(layer, target.Repository()),
                          Redirect(other + "/blob?signature=hunter2"));
  target.registry().Guard([](const EvilRequest& request) {
    EvilReply reply;
    reply.status = request.headers.contains("authorization") ? 0 : 401;
    reply.headers = {"WWW-Authenticate: Basic realm=\"r\""};
    return reply;
  });
  const grpc::Status status = PullWithPassword(target, reference);
  for (const EvilRequest& request : elsewhere.requests()) {
    Demand(!request.headers.contains("authorization"), "the other host got the password");
  }
  Demand(!absl::StrContains(status.error_message(), "hunter2"), "the error shows the query");
  if (!status.ok()) return target.Refused(status);
  Demand(!elsewhere.requests().empty(), "the other host was not asked");
  return {Outcome::kHarmless, "the other host did not get the password"};
}

Outcome RedirectLoop(Target& target) {
  target.registry().Serve(ManifestPath(target), Redirect(ManifestPath(target)));
  const Outcome outcome = target.Refused(target.Pull(target.Reference()));
  const size_t requests = target.registry().requests().size();
  Demand(requests <= 100, absl::StrCat(requests, " requests"));
  return outcome;
}

std::vector<Case> Addresses() {
  return {
      RedirectTo("a file of the host", "file:///etc/passwd"),
      RedirectTo("ftp", "ftp://127.0.0.1/x"),
      RedirectTo("the cloud's metadata", "http://169.254.169.254/latest/meta-data"),
      RedirectTo("the cloud's metadata as an IPv6 address", "http://[::ffff:169.254.169.254]/x"),
      RedirectTo("the cloud's metadata as a number", "http://0xA9FEA9FE/"),
      RedirectTo("an address with a password", "http://user:pw@127.0.0.1/"),
      RealmAt("a file of the host", "file:///etc/passwd"),
      RealmAt("the cloud's metadata", "http://169.254.169.254/latest/meta-data"),
      RealmAt("gopher", "gopher://127.0.0.1:70/x"),
      {.name = "registry: it redirects to itself for ever",
       .allowed = Allowed::kRefused,
       .run = RedirectLoop,
       .check = kRedirects},
      {.name = "registry: it redirects to another host, which must not get the password",
       .run = PasswordStays,
       .check = kRedirects},
  };
}

// A pull that its client gives up after two seconds must end, and must not hold up the pull of
// another image that has the same layer.
Outcome OthersGoOn(Target& target, EvilReply layer_reply) {
  const std::string layer = BigLayer();
  layer_reply.body = layer;
  const image::TestImage honest = target.ImageOf({layer}, R"({"Env":["A=honest"]})");
  const std::string good = target.Serve(honest);
  // The same layer in another repository, where it never comes.
  const std::string evil = target.Repository() + "-evil";
  image::Serve(target.registry(), target.ImageOf({layer}, R"({"Env":["A=evil"]})"), "v1", evil);
  target.registry().Serve(image::BlobPath(layer, evil), layer_reply);
  grpc::Status stuck;
  std::thread pull([&] {
    stuck = target.Pull(absl::StrCat(target.registry().host(), "/", evil, ":v1"), nullptr, 4);
  });
  const absl::Time give_up = absl::Now() + absl::Seconds(4);
  while (target.registry().Count("GET", image::BlobPath(layer, evil)) == 0 &&
         absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  const grpc::Status status = target.Pull(good, nullptr, 3);
  pull.join();
  Demand(status.ok(), "an honest pull of the same layer: " + Words(status));
  Demand(target.registry().AwaitIdle(kGivesUp), "a pull goes on after its client has gone");
  // OK when the runtime took the layer from the honest pull.
  return {Outcome::kHarmless, "another pull went on; the stuck one ended: " + Words(stuck)};
}

Outcome Arrives(Target& target, const image::EvilRegistry::Handler& handler,
                const std::string& layer) {
  const std::string reference = target.Publish({layer});
  target.registry().Serve(image::BlobPath(layer, target.Repository()), handler);
  return target.FactsOrRefused(reference, {"content f x"});
}

Outcome NeverComplete(Target& target, const EvilReply& reply) {
  const std::string layer = FileLayer("x");
  const std::string reference = target.Publish({layer});
  target.registry().Serve(image::BlobPath(layer, target.Repository()), reply);
  return target.Refused(target.Pull(reference), {StatusCode::DATA_LOSS, StatusCode::UNAVAILABLE});
}

std::vector<Case> Transfers() {
  return {
      {.name = "registry: a byte at a time, for a layer that others need",
       .run = [](Target& t) { return OthersGoOn(t, EvilReply{.drip = true}); },
       .check = "layers/layer_use.cc, image/puller.cc Run"},
      {.name = "registry: it stalls in a layer that others need",
       .run = [](Target& t) { return OthersGoOn(t, EvilReply{.stall_after = 1 << 20}); },
       .check = "layers/layer_use.cc, image/http_client.cc Transfer"},
      {.name = "registry: a reset in the middle of a layer",
       .run =
           [](Target& t) {
             const std::string layer = BigLayer();
             return Arrives(t,
                            Breaking(EvilReply{.body = layer},
                                     EvilReply{.body = layer, .reset_after = 1 << 20}, 1),
                            layer);
           },
       .check = kRetries,
       .of_crisp = Allowed::kHarmless},
      {.name = "registry: resets for ever",
       .allowed = Allowed::kRefused,
       .run = [](Target& t) { return NeverComplete(t, EvilReply{.body = "x", .reset_after = 0}); },
       .check = kRetries},
      {.name = "registry: it announces more than it sends",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return NeverComplete(t, EvilReply{.body = "x", .content_length = 1'000'000'000});
           },
       .check = "image/blob_reader.cc Start"},
      {.name = "registry: a layer that never ends",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             return NeverComplete(
                 t, EvilReply{.body = std::string(1 << 16, 'x'), .chunked = true, .endless = true});
           },
       .check = "image/blob_reader.cc Read"},
      {.name = "registry: it sends the whole layer when asked for the rest",
       .run =
           [](Target& t) {
             const std::string layer = BigLayer();
             return Arrives(t,
                            Breaking(EvilReply{.body = layer, .ignore_range = true},
                                     EvilReply{.body = layer, .reset_after = 3 << 19}, 1),
                            layer);
           },
       .check = "image/blob_reader.cc Start",
       .of_crisp = Allowed::kHarmless},
      {.name = "registry: it sends another part than asked for",
       .run =
           [](Target& t) {
             const std::string layer = BigLayer();
             EvilReply other;
             other.status = 206;
             other.body = layer.substr(5);
             other.headers = {
                 absl::StrCat("Content-Range: bytes 5-", layer.size() - 1, "/", layer.size())};
             const std::string reference = t.Publish({layer});
             t.registry().Serve(
                 image::BlobPath(layer, t.Repository()),
                 Breaking(other, EvilReply{.body = layer, .reset_after = 3 << 19}, 1));
             return t.Refused(t.Pull(reference), {StatusCode::DATA_LOSS});
           },
       .check = "image/blob_reader.cc Start"},
  };
}

Outcome AnHour(Target& target) {
  EvilReply busy;
  busy.status = 429;
  busy.headers = {"Retry-After: 3600"};
  target.registry().Serve(ManifestPath(target), busy);
  const grpc::Status status = target.Pull(target.Reference(), nullptr, 3);
  Demand(!status.ok(), "was accepted");
  const size_t requests = target.registry().requests().size();
  Demand(requests <= 10, absl::StrCat(requests, " requests within three seconds"));
  return {Outcome::kHarmless, absl::StrCat(requests, " requests; ", Words(status))};
}

std::vector<Case> Answers() {
  return {
      {.name = "registry: busy twice, with Retry-After",
       .run =
           [](Target& t) {
             const image::TestImage image = t.ImageOf({FileLayer("x")});
             const std::string reference = t.Serve(image);
             EvilReply busy;
             busy.status = 429;
             busy.headers = {"Retry-After: 1"};
             t.registry().Serve(ManifestPath(t), Breaking(ManifestReply(image), busy, 2));
             busy.status = 503;
             const std::string& layer = image.layers[0];
             t.registry().Serve(image::BlobPath(layer, t.Repository()),
                                Breaking(EvilReply{.body = layer}, busy, 1));
             return t.FactsOrRefused(reference, {"content f x"});
           },
       .check = "image/registry.cc Ask",
       .of_crisp = Allowed::kHarmless},
      {.name = "registry: busy for an hour", .run = AnHour, .check = "image/registry.cc Backoff"},
      {.name = "registry: 450 KiB of headers",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             const image::TestImage image = t.ImageOf({FileLayer("x")});
             t.Serve(image);
             EvilReply bomb = ManifestReply(image);
             for (int i = 0; i < 5000; ++i) {
               bomb.headers.push_back(absl::StrCat("X-", i, ": ", std::string(90, 'x')));
             }
             t.registry().Serve(ManifestPath(t), bomb);
             return t.Refused(t.Pull(t.Reference()), {StatusCode::INVALID_ARGUMENT});
           },
       .check = "image/http_client.cc OnHeader"},
      {.name = "registry: an error page that never ends",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             EvilReply page;
             page.status = 403;
             page.body = std::string(1 << 16, '<');
             page.chunked = true;
             page.endless = true;
             t.registry().Serve(ManifestPath(t), page);
             return t.Refused(t.Pull(t.Reference()), {StatusCode::PERMISSION_DENIED});
           },
       .check = "image/http_client.cc OnBody"},
      {.name = "registry: an error with control characters and terminal sequences",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             EvilReply page;
             page.status = 403;
             page.body = R"({"errors":[{"code":"DENIED","message":"a\n\u001b[2Jb\u0000c"}]})";
             t.registry().Serve(ManifestPath(t), page);
             return t.Refused(t.Pull(t.Reference()), {StatusCode::PERMISSION_DENIED});
           },
       .check = "image/registry_codec.cc DecodeRegistryError"},
      {.name = "registry: it sends the password back in an error",
       .allowed = Allowed::kRefused,
       .run =
           [](Target& t) {
             t.registry().Serve(ManifestPath(t), [](const EvilRequest& request) {
               EvilReply page;
               const auto header = request.headers.find("authorization");
               page.status = header == request.headers.end() ? 401 : 403;
               page.headers = {"WWW-Authenticate: Basic realm=\"r\""};
               std::string said = header == request.headers.end() ? "" : header->second;
               std::string plain;
               if (absl::Base64Unescape(said.substr(said.find(' ') + 1), &plain)) said += plain;
               page.body =
                   absl::StrCat(R"({"errors":[{"code":"DENIED","message":")", said, "\"}]}");
               return page;
             });
             const grpc::Status status = PullWithPassword(t, t.Reference());
             Demand(!absl::StrContains(status.error_message(), "the node's password"),
                    "the error shows the password");
             return t.Refused(status, {StatusCode::PERMISSION_DENIED});
           },
       .check = "image/registry.cc Conceal"},
  };
}

}  // namespace

std::vector<Case> RegistryCases() {
  std::vector<Case> cases;
  for (const std::vector<Case>& group : {Addresses(), Transfers(), Answers()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

}  // namespace crisp::hostile
