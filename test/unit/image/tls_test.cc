// Registries and token servers that speak TLS: certificates of both sides, and redirects from one
// scheme to the other.
#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

// All paths except /token want the token "t0ken" of the token server at `realm`.
void DemandToken(EvilRegistry& registry, const std::string& realm) {
  registry.Guard([=](const EvilRequest& request) {
    const auto sent = request.headers.find("authorization");
    const bool known = sent != request.headers.end() && sent->second == "Bearer t0ken";
    if (known || request.path == "/token") return EvilReply{.status = 0};
    EvilReply ask{.status = 401};
    ask.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm, "\"")};
    return ask;
  });
}

// A registry that speaks TLS, with a private CA, for the reference "repo:v1".
struct TlsFixture : PullFixture {
  const TlsIdentity identity = MakeTlsIdentity();
  EvilRegistry secure{identity};
  const TestImage image = MakeImage({"a"});
  const std::string origin = absl::StrCat("https://", secure.host());

  TlsFixture() {
    Write("ca.pem", identity.certificate);
    Serve(secure, image);
  }
  void Write(const std::string& name, const std::string& text) const {
    REQUIRE(base::WriteFileAtomic(base::JoinPath(dir.path, name), text, 0600).ok());
  }
  // hosts.toml with the registry's CA. Names of files begin at the directory of all.
  void Configure(const std::string& server, const std::string& more = "") {
    WriteHostsToml(absl::StrCat("server = \"", server, "\"\nca = \"../../ca.pem\"\n", more, "\n"));
  }
};

}  // namespace

TEST_CASE("a registry with a private CA is trusted if hosts.toml names the CA, else it is not") {
  TlsFixture f;
  f.WriteHostsToml(absl::StrCat("server = \"", f.origin, "\"\n"));
  const absl::Status status = f.Refused();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(Holds(status, "certificate"));
  CHECK(f.secure.requests().empty());
  f.Configure(f.origin);
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
}

TEST_CASE("a client certificate is sent, in each of the forms that hosts.toml and Docker have") {
  const TlsIdentity client = MakeTlsIdentity();
  for (const char* line :
       {"", "client = \"../../both.pem\"", "client = [\"../../both.pem\"]",
        "client = [[\"../../cert.pem\", \"../../key.pem\"]]",
        "client = [[\"../../cert.pem\", \"../../key.pem\"], [\"other\", \"other\"]]"}) {
    CAPTURE(line);
    TlsFixture f;
    f.Write("both.pem", client.certificate + client.key);
    f.Write("cert.pem", client.certificate);
    f.Write("key.pem", client.key);
    f.secure.Guard([](const EvilRequest& request) {
      return EvilReply{.status = request.with_certificate ? 0 : 400};
    });
    f.Configure(f.origin, line);
    const auto pulled = f.Pull();
    INFO(pulled.status());
    CHECK(pulled.ok() == (*line != '\0'));
  }
  // Docker's directory has no hosts.toml, but files with certain names.
  TlsFixture f;
  f.secure.Guard([](const EvilRequest& request) {
    return EvilReply{.status = request.with_certificate ? 0 : 400};
  });
  const std::string certs = absl::StrCat("certs.d/", f.secure.host());
  REQUIRE(base::MakeDirs(base::JoinPath(f.dir.path, certs), 0700).ok());
  f.Write(certs + "/ca.crt", f.identity.certificate);
  f.Write(certs + "/client.cert", client.certificate);
  f.Write(certs + "/client.key", client.key);
  const auto pulled = f.Pull(f.secure.host() + "/repo:v1");
  INFO(pulled.status());
  CHECK(pulled.ok());
}

TEST_CASE("a redirect to another host leaves the client certificate behind") {
  TlsFixture f;
  EvilRegistry storage(f.identity);
  storage.Serve("/a", EvilReply{.body = "a"});
  f.secure.Serve(BlobPath("a"), RedirectTo(absl::StrCat("https://", storage.host(), "/a")));
  const TlsIdentity client = MakeTlsIdentity();
  f.Write("both.pem", client.certificate + client.key);
  f.Configure(f.origin, "client = \"../../both.pem\"");
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.secure.requests().at(0).with_certificate);
  CHECK_FALSE(storage.requests().at(0).with_certificate);
}

TEST_CASE("a token server may redirect from http to https; the password stays with the first") {
  TlsFixture f;
  Serve(f.registry, f.image);
  f.registry.Serve("/token", RedirectTo(f.origin + "/token"));
  f.secure.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  DemandToken(f.registry, absl::StrCat("http://", f.registry.host(), "/token"));
  f.Configure(absl::StrCat("http://", f.registry.host()));
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  REQUIRE(f.secure.Count("GET", "/token") == 1);
  CHECK_FALSE(f.secure.requests().at(0).headers.contains("authorization"));
  for (const EvilRequest& request : f.registry.requests()) {
    if (request.path != "/token") continue;
    CHECK(request.headers.at("authorization") == "Basic " + absl::Base64Escape("ann:hunter2"));
  }
}

TEST_CASE("https does not lead to plain http, but to the token server of anonymous users") {
  TlsFixture f;
  const std::string plain = absl::StrCat("http://", f.registry.host());
  f.registry.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  f.registry.Serve("/a", EvilReply{.body = "a"});
  f.Configure(f.origin);
  f.secure.Serve(BlobPath("a"), RedirectTo(plain + "/a"));
  CHECK(Holds(f.Refused(), absl::StrCat("redirects from https to ", plain)));
  DemandToken(f.secure, f.origin + "/token");
  f.secure.Serve("/token", RedirectTo(plain + "/token"));
  const absl::Status redirected = f.Refused("repo:v1", User("ann", "hunter2"));
  CHECK(absl::IsInvalidArgument(redirected));
  CHECK(Holds(redirected, absl::StrCat("redirects from https to ", plain)));
  DemandToken(f.secure, plain + "/token");
  CHECK(Holds(f.Refused("repo:v1", User("ann", "hunter2")), "needs an https token server"));
  CHECK(f.registry.requests().empty());
  // Without a password there is nothing to be read.
  f.secure.Serve(BlobPath("a"), EvilReply{.body = "a"});
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
}
