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
