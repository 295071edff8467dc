// Token servers that know only one of the two ways to be asked: the query of a GET, the form of a
// POST; and registries whose challenge names no token server.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

// A registry with the image "repo:v1" and a token server beside it.
struct TokenFixture : PullFixture {
  EvilRegistry tokens;

  TokenFixture() {
    Serve(registry, MakeImage({"a"}));
    registry.Guard(
        [realm = absl::StrCat("http://", tokens.host(), "/token")](const EvilRequest& request) {
          if (Authorization(request) == "Bearer t0ken") return EvilReply{.status = 0};
          EvilReply ask{.status = 401};
          ask.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm,
                                      "\",service=\"s\",scope=\"repository:repo:pull\"")};
          return ask;
        });
  }
  // Answers requests of this method with a token, others with this status.
  void TakeOnly(const std::string& method, int otherwise) {
    tokens.Serve("/token", [=](const EvilRequest& request) {
      if (request.method != method) return EvilReply{.status = otherwise};
      return EvilReply{.body = R"({"access_token":"t0ken"})"};
    });
  }
  void Answer(int to_get, int to_post) {
    tokens.Serve("/token", [=](const EvilRequest& request) {
      return EvilReply{.status = request.method == "GET" ? to_get : to_post};
    });
  }
};

Credentials IdentityToken(const std::string& token) {
  Credentials credentials;
  credentials.identity_token = token;
  return credentials;
}

EvilReply Challenged(const std::string& challenge) {
  EvilReply reply{.status = 401};
  reply.headers = {"WWW-Authenticate: " + challenge};
  return reply;
}

}  // namespace

TEST_CASE("a token server that takes only POST gets the user's password in a form") {
  for (const int refused : {400, 401, 404, 405, 501}) {
    CAPTURE(refused);
    TokenFixture f;
    f.TakeOnly("POST", refused);
    const auto pulled = f.Pull("repo:v1", User("ann", "hunter&2"));
    INFO(pulled.status());
    REQUIRE(pulled.ok());
    REQUIRE(f.tokens.Count("POST", "/token") == 1);
    const EvilRequest form = f.tokens.requests().back();
    CHECK(form.target == "/token");
    CHECK(form.body ==
          "grant_type=password&service=s&scope=repository%3arepo%3apull&client_id=crisp&"
          "username=ann&password=hunter%262");
    for (const EvilRequest& request : f.registry.requests()) {
      CHECK(request.body.empty());
      CHECK_FALSE(absl::StartsWith(Authorization(request), "Basic"));
    }
  }
}

TEST_CASE("a token server without OAuth2 gets an identity token by GET, as a password") {
  for (const int refused : {400, 401, 403, 404, 405, 501}) {
    CAPTURE(refused);
    TokenFixture f;
    f.TakeOnly("GET", refused);
    REQUIRE(f.Pull("repo:v1", IdentityToken("fresh")).ok());
    CHECK(Authorization(f.tokens.requests().back()) == "Basic " + absl::Base64Escape(":fresh"));
  }
  TokenFixture f;
  f.TakeOnly("GET", 404);
  Credentials both = User("ann", "hunter2");
  both.identity_token = "fresh";
  REQUIRE(f.Pull("repo:v1", both).ok());
  CHECK(Authorization(f.tokens.requests().back()) == "Basic " + absl::Base64Escape("ann:hunter2"));
}

TEST_CASE("an anonymous user's token is not asked for by POST, nor is one after another error") {
  TokenFixture f;
  f.options.attempts = 1;
  f.TakeOnly("POST", 405);
  CHECK(absl::IsUnauthenticated(f.Refused()));
  f.TakeOnly("POST", 403);
  CHECK(absl::IsUnauthenticated(f.Refused("repo:v1", User("ann", "hunter2"))));
  f.TakeOnly("POST", 503);
  CHECK(absl::IsUnavailable(f.Refused("repo:v1", User("ann", "hunter2"))));
  CHECK(f.tokens.Count("POST", "/token") == 0);
}

TEST_CASE("of a token server that knows one way the error is what it says of the user") {
  for (const auto& [to_get, to_post] : {std::pair(401, 405), {405, 401}, {401, 400}, {404, 401}}) {
    CAPTURE(to_get, to_post);
    TokenFixture f;
    f.Answer(to_get, to_post);
    const absl::Status status = f.Refused("repo:v1", User("ann", "hunter2"));
    CHECK(absl::IsUnauthenticated(status));
    CHECK(Holds(status, "/token: status 401"));
    CHECK_FALSE(absl::StrContains(status.message(), "hunter2"));
  }
  TokenFixture f;
  f.Answer(405, 429);
  f.options.attempts = 1;
  CHECK(absl::IsResourceExhausted(f.Refused("repo:v1", User("ann", "hunter2"))));
}

TEST_CASE("the form with the password follows no redirect to another host") {
  TokenFixture f;
  EvilRegistry other;
  other.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  f.tokens.Serve("/token", [there = other.host()](const EvilRequest& request) {
    if (request.method == "GET") return EvilReply{.status = 405};
    EvilReply redirect{.status = 307};
    redirect.headers = {absl::StrCat("Location: http://", there, "/token")};
    return redirect;
  });
  CHECK(absl::IsUnauthenticated(f.Refused("repo:v1", User("ann", "hunter2"))));
  CHECK(f.tokens.Count("POST", "/token") == 1);
  CHECK(other.requests().empty());
}

TEST_CASE("a token that expires is renewed though the registry, like Harbor, asks for a password") {
  Credentials identity;
  identity.identity_token = "fresh";
  for (const Credentials& credentials : {Credentials(), identity}) {
    PullFixture f;
    Serve(f.registry, MakeImage({"a"}));
    auto issued = std::make_shared<std::atomic<int>>(0);
    f.registry.Serve("/token", [=](const EvilRequest&) {
      return EvilReply{.body = absl::StrCat(R"({"token":"t)", ++*issued, "\"}")};
    });
    f.registry.Guard([=, host = f.registry.host()](const EvilRequest& request) {
      const bool blob = absl::StartsWith(request.path, "/v2/repo/blobs");
      const std::string sent = Authorization(request);
      if (request.path == "/token" || sent == (blob ? "Bearer t2" : "Bearer t1"))
        return EvilReply{.status = 0};
      const std::string bearer = absl::StrCat("Bearer realm=\"http://", host, "/token\"");
      return Challenged(sent.empty() ? bearer : "Basic realm=\"harbor\"");
    });
    const auto pulled = f.Pull("repo:v1", credentials);
    INFO(pulled.status().ToString());
    CHECK(pulled.ok());
    CHECK(*issued == 2);
  }
}

TEST_CASE("a 401 whose authentication is not named, or not known, says so in the error") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Guard([](const EvilRequest&) { return EvilReply{.status = 401}; });
  CHECK(Holds(f.Refused(), "requires an authentication that it does not name"));
  f.registry.Guard([](const EvilRequest&) { return Challenged("Negotiate"); });
  CHECK(Holds(f.Refused(), "requires an authentication that is not supported"));
}
