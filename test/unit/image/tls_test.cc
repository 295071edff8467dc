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
  EvilRegistry secure;
  const TestImage image = MakeImage({"a"});
  const std::string origin = absl::StrCat("https://", secure.host());

  explicit TlsFixture(const std::vector<std::string>& accepted = {}) : secure(identity, accepted) {
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
  for (const char* line : {"", "client = \"../../both.pem\"", "client = [\"../../both.pem\"]",
                           "client = [[\"../../cert.pem\", \"../../key.pem\"]]",
                           "client = [[\"../../both.pem\", \"\"]]"}) {
    CAPTURE(line);
    TlsFixture f;
    f.Write("both.pem", client.certificate + client.key);
    f.Write("cert.pem", client.certificate);
    f.Write("key.pem", client.key);
    f.secure.Guard([](const EvilRequest& request) {
      return EvilReply{.status = request.certificate.empty() ? 400 : 0};
    });
    f.Configure(f.origin, line);
    const auto pulled = f.Pull();
    INFO(pulled.status());
    CHECK(pulled.ok() == (*line != '\0'));
  }
  // Docker's directory has no hosts.toml, but files with certain names.
  TlsFixture f;
  f.secure.Guard([](const EvilRequest& request) {
    return EvilReply{.status = request.certificate.empty() ? 400 : 0};
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

namespace {

// Of the certificate that the registry got; it must be the same with each request.
std::string NameThatCame(const TlsFixture& f) {
  const std::vector<EvilRequest> requests = f.secure.requests();
  REQUIRE_FALSE(requests.empty());
  for (const EvilRequest& request : requests) CHECK(request.certificate == requests[0].certificate);
  return requests[0].certificate;
}

}  // namespace

TEST_CASE("of several client certificates a registry gets one that its authorities have signed") {
  const TlsIdentity one = MakeTlsIdentity("one"), two = MakeTlsIdentity("two");
  const TlsIdentity other = MakeTlsIdentity("other");
  struct Case {
    std::vector<std::string> accepted;
    std::string comes;
  };
  for (const Case& c : {Case{{two.certificate}, "two"}, Case{{one.certificate}, "one"},
                        Case{{other.certificate, two.certificate}, "two"}, Case{{}, "one"},
                        Case{{other.certificate}, "one"}}) {
    for (const char* line :
         {"client = [\"../../one\", \"../../two\"]", "",
          "client = [[\"../../one.cert\", \"../../one.key\"], [\"../../two.cert\", "
          "\"../../two.key\"]]"}) {
      CAPTURE(c.comes, line);
      TlsFixture f(c.accepted);
      // Without a line, in Docker's directory.
      const std::string certs = *line != '\0' ? "" : absl::StrCat("certs.d/", f.secure.host(), "/");
      if (!certs.empty()) REQUIRE(base::MakeDirs(base::JoinPath(f.dir.path, certs), 0700).ok());
      f.Write(certs + "ca.crt", f.identity.certificate);
      for (const auto& [name, identity] : {std::pair("one", one), {"two", two}}) {
        f.Write(certs + name, identity.certificate + identity.key);
        f.Write(absl::StrCat(certs, name, ".cert"), identity.certificate);
        f.Write(absl::StrCat(certs, name, ".key"), identity.key);
      }
      if (certs.empty()) f.Configure(f.origin, line);
      const auto pulled = f.Pull(certs.empty() ? "repo:v1" : f.secure.host() + "/repo:v1");
      INFO(pulled.status());
      REQUIRE(pulled.ok());
      CHECK(NameThatCame(f) == c.comes);
    }
  }
}

TEST_CASE("a client certificate that cannot be read is an error with the file's name") {
  const TlsIdentity one = MakeTlsIdentity("one"), two = MakeTlsIdentity("two");
  TlsFixture f;
  f.Write("one", one.certificate + one.key);
  f.Write("only_key", one.key);
  f.Write("only_cert", two.certificate);
  f.Write("mixed", two.certificate + one.key);
  for (const auto& [file, words] : {std::pair("missing", "no such file or directory"),
                                    {"only_key", "has no PEM certificate"},
                                    {"only_cert", "has no PEM key"},
                                    {"mixed", "is not the key of the certificate"}}) {
    CAPTURE(file);
    f.Configure(f.origin, absl::StrCat("client = [\"../../one\", \"../../", file, "\"]"));
    const absl::Status status = f.Refused();
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(Holds(status, "client certificate"));
    CHECK(Holds(status, absl::StrCat("../../", file)));
    CHECK(Holds(status, words));
  }
  CHECK(f.secure.requests().empty());
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
  CHECK(f.secure.requests().at(0).certificate == "crisp test");
  CHECK(storage.requests().at(0).certificate.empty());
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

TEST_CASE("https leads to the plain http of a token server only for anonymous users") {
  TlsFixture f;
  const std::string plain = absl::StrCat("http://", f.registry.host());
  f.registry.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  f.Configure(f.origin);
  DemandToken(f.secure, f.origin + "/token");
  f.secure.Serve("/token", RedirectTo(plain + "/token"));
  const absl::Status redirected = f.Refused("repo:v1", User("ann", "hunter2"));
  CHECK(absl::IsInvalidArgument(redirected));
  CHECK(Holds(redirected, absl::StrCat("redirects from https to ", plain)));
  DemandToken(f.secure, plain + "/token");
  CHECK(Holds(f.Refused("repo:v1", User("ann", "hunter2")), "needs an https token server"));
  CHECK(f.registry.requests().empty());
  // Without a password there is nothing to be read.
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
}

TEST_CASE("a token server that is the registry's own host gets a password by https, if at all") {
  TlsFixture f;
  f.secure.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  DemandToken(f.secure, absl::StrCat("http://", f.secure.host(), "/token"));
  f.Configure(f.origin);
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.secure.Count("GET", "/token") == 1);
}

TEST_CASE(
    "https leads to plain http for what has a digest, without secrets, and for nothing else") {
  TlsFixture f;
  const std::string plain = absl::StrCat("http://", f.registry.host());
  const std::string manifest = absl::StrCat("/v2/repo/manifests/", f.image.digest().str());
  f.registry.Serve("/a", EvilReply{.body = "a"});
  f.registry.Serve("/m", EvilReply{.body = f.image.manifest});
  f.Configure(f.origin, "[header]\nX-Secret = \"opensesame\"");
  f.secure.Serve("/v2/repo/manifests/v1", RedirectTo(plain + "/m"));
  const absl::Status by_tag = f.Refused();
  CHECK(absl::IsInvalidArgument(by_tag));
  CHECK(Holds(by_tag, absl::StrCat("redirects from https to ", plain)));
  CHECK(f.registry.requests().empty());

  f.secure.Serve(BlobPath("a"), RedirectTo(plain + "/a"));
  f.secure.Serve(manifest, RedirectTo(plain + "/m"));
  const std::string by_digest = absl::StrCat("repo@", f.image.digest().str());
  f.registry.Serve("/a", EvilReply{.body = "b"});
  CHECK(absl::IsDataLoss(f.Refused(by_digest)));
  f.registry.Serve("/a", EvilReply{.body = "a"});
  const auto pulled = f.Pull(by_digest);
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.secure.requests().back().headers.contains("x-secret"));
  for (const EvilRequest& request : f.registry.requests())
    CHECK_FALSE(request.headers.contains("x-secret"));
}

TEST_CASE("a registry that names itself with http, as behind a proxy, is asked by https") {
  TlsFixture f;
  const std::string itself = absl::StrCat("http://", f.secure.host());
  const std::string manifest = "/v2/repo/manifests/v1";
  f.secure.Serve("/m", EvilReply{.body = f.image.manifest});
  f.secure.Serve("/a", EvilReply{.body = "a"});
  f.secure.Serve(manifest, RedirectTo(itself + "/m?x=1"));
  f.secure.Serve(BlobPath("a"), RedirectTo(itself + "/a"));
  f.Configure(f.origin, "[header]\nX-Secret = \"opensesame\"");
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.secure.Count("GET", "/m") == 1);
  // It is the same origin, so nothing stays behind.
  for (const EvilRequest& request : f.secure.requests()) {
    CHECK(request.headers.contains("x-secret"));
    if (request.path == "/m") CHECK(request.target == "/m?x=1");
  }
  // To where it was: then plain http is what it means.
  f.secure.Serve("/v2/repo/manifests/v2", RedirectTo(itself + "/v2/repo/manifests/v2"));
  CHECK(Holds(f.Pull("repo:v2").status(), "redirects from https to http"));
}

TEST_CASE("a registry on loopback without configuration may speak TLS, one with it does not") {
  for (const bool answers : {false, true}) {
    CAPTURE(answers);
    TlsFixture f;
    f.secure.AnswerPlainHttp(answers);
    f.secure.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
    DemandToken(f.secure, f.origin + "/token");
    const auto pulled = f.Pull(f.secure.host() + "/repo:v1");
    INFO(pulled.status());
    CHECK(pulled.ok());
  }
  TlsFixture f;
  f.options.attempts = 1;
  f.WriteHostsToml(absl::StrCat("server = \"http://", f.secure.host(), "\"\n"));
  CHECK(absl::IsUnavailable(f.Refused()));
  CHECK(f.secure.requests().empty());
}

TEST_CASE("where a registry on loopback leads, certificates are checked") {
  TlsFixture f;
  f.options.attempts = 1;
  EvilRegistry other(f.identity);
  const std::string there = absl::StrCat("https://", other.host());
  const std::string name = f.secure.host() + "/repo:v1";
  f.secure.Serve(BlobPath("a"), RedirectTo(there + "/a"));
  CHECK(Holds(f.Refused(name), "certificate"));
  DemandToken(f.secure, there + "/token");
  CHECK(Holds(f.Refused(name, User("ann", "hunter2")), "certificate"));
  CHECK(other.requests().empty());
}

TEST_CASE("a registry on loopback that has answered plain HTTP is not asked by TLS") {
  PullFixture f;
  f.registry.Guard([](const EvilRequest&) { return EvilReply{.status = 400}; });
  CHECK(Holds(f.Refused(), ": status 400"));
  CHECK(f.registry.tls_attempts() == 1);  // that may have meant it
  f.registry.Guard(nullptr);
  Serve(f.registry, MakeImage({"a"}));
  for (const EvilReply& reply :
       {EvilReply{.body = "a", .reset_after = 0}, EvilReply{.status = 400}}) {
    f.registry.Serve(BlobPath("a"), reply);
    CHECK_FALSE(f.Refused().ok());
  }
  CHECK(f.registry.tls_attempts() == 1);
}
