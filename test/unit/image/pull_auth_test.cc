// Authentication of pulls, also with hostile registries. No secret may appear in an error.
#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/printable.h"
#include "image/auth.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

const std::string kBasicOk = "Basic " + absl::Base64Escape("ann:hunter2");

EvilReply Ask(const std::string& header) {
  EvilReply reply;
  reply.status = 401;
  reply.headers = {"WWW-Authenticate: " + header};
  reply.body = R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})";
  return reply;
}

std::string InJson(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"\"", "\\\""}, {"\\", "\\\\"}, {"\xc3\xa9", "\\u00e9"}, {"\x1b", "\\u001b"}});
}

// All paths except /token require `wanted` in Authorization.
void Demand(EvilRegistry& registry, const std::string& wanted, const std::string& challenge) {
  registry.Guard([=](const EvilRequest& request) {
    if (request.path == "/token" || Authorization(request) == wanted) return EvilReply{.status = 0};
    return Ask(challenge);
  });
}

std::string BearerOf(const std::string& host) {
  return absl::StrCat("Bearer realm=\"http://", host,
                      "/token\",service=\"the registry\","
                      "scope=\"repository:repo:pull\"");
}

}  // namespace

TEST_CASE("basic credentials are sent after a challenge") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a", "b", "c"}));
  Demand(f.registry, kBasicOk, "Basic realm=\"x\"");
  REQUIRE(f.Pull("repo:v1", User("ann", "hunter2")).ok());
  CHECK(Authorization(f.registry.requests().at(0)).empty());
  // Further requests have it from the beginning.
  CHECK(f.registry.Count("GET", "/v2/repo/manifests/v1") == 2);
  CHECK(f.registry.Count("GET", BlobPath("b")) == 1);
}

TEST_CASE("a wrong or missing password is Unauthenticated") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  Demand(f.registry, kBasicOk, "Basic realm=\"x\"");
  const absl::Status status = f.Refused("repo:v1", User("ann", "wrong-password"));
  CHECK(status.code() == absl::StatusCode::kUnauthenticated);
  CHECK_FALSE(absl::StrContains(status.message(), "wrong-password"));
  CHECK(f.registry.requests().size() == 2);
  CHECK(f.Refused().code() == absl::StatusCode::kUnauthenticated);
  EvilReply forbidden;
  forbidden.status = 403;
  f.registry.Guard([=](const EvilRequest&) { return forbidden; });
  CHECK(f.Refused().code() == absl::StatusCode::kPermissionDenied);
}

TEST_CASE("an anonymous bearer token is fetched once for all layers") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a", "b", "c", "d"}));
  f.registry.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  Demand(f.registry, "Bearer t0ken", BearerOf(f.registry.host()));
  REQUIRE(f.Pull().ok());
  CHECK(f.registry.Count("GET", "/token") == 1);
  for (const EvilRequest& request : f.registry.requests()) {
    if (request.path != "/token") continue;
    CHECK(request.target == "/token?service=the%20registry&scope=repository%3arepo%3apull");
    CHECK(Authorization(request).empty());
  }
}

TEST_CASE("a user's bearer token is fetched with the user's password") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve("/token", [](const EvilRequest& request) {
    if (Authorization(request) != kBasicOk) return EvilReply{.status = 401};
    return EvilReply{.body = R"({"access_token":"t0ken"})"};
  });
  Demand(f.registry, "Bearer t0ken", BearerOf(f.registry.host()));
  CHECK(f.Pull("repo:v1", User("ann", "hunter2")).ok());
  const absl::Status status = f.Pull("repo:v1", User("ann", "swordfish")).status();
  CHECK(status.code() == absl::StatusCode::kUnauthenticated);
  CHECK_FALSE(absl::StrContains(status.message(), "swordfish"));
}

TEST_CASE("an identity token is exchanged by OAuth2 refresh") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve("/token", [](const EvilRequest& request) {
    if (request.method != "POST" ||
        request.body !=
            "grant_type=refresh_token&service=the%20registry&"
            "scope=repository%3arepo%3apull&client_id=crisp&refresh_token=r%2bfresh") {
      return EvilReply{.status = 400};
    }
    return EvilReply{.body = R"({"access_token":"t0ken"})"};
  });
  Demand(f.registry, "Bearer t0ken", BearerOf(f.registry.host()));
  Credentials credentials;
  credentials.identity_token = "r+fresh";
  const auto pulled = f.Pull("repo:v1", credentials);
  INFO(pulled.status().ToString());
  CHECK(pulled.ok());
}

TEST_CASE("a registry token is the bearer token itself") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  Demand(f.registry, "Bearer direct", BearerOf(f.registry.host()));
  Credentials credentials;
  credentials.registry_token = "direct";
  CHECK(f.Pull("repo:v1", credentials).ok());
  CHECK(f.registry.Count("GET", "/token") == 0);
  credentials.registry_token = "direct\r\nX-Evil: 1";
  CHECK(f.Pull("repo:v1", credentials).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a token that expires during the pull is renewed") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  auto issued = std::make_shared<std::atomic<int>>(0);
  f.registry.Serve("/token", [=](const EvilRequest&) {
    return EvilReply{.body = absl::StrCat(R"({"token":"t)", ++*issued, "\"}")};
  });
  f.registry.Guard([=, host = f.registry.host()](const EvilRequest& request) {
    const std::string wanted =
        absl::StartsWith(request.path, "/v2/repo/blobs") ? "Bearer t2" : "Bearer t1";
    if (request.path == "/token" || Authorization(request) == wanted) return EvilReply{.status = 0};
    return Ask(BearerOf(host));
  });
  const auto pulled = f.Pull();
  INFO(pulled.status().ToString());
  CHECK(pulled.ok());
  CHECK(*issued == 2);
}

TEST_CASE("credentials for another server are not sent") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  Demand(f.registry, kBasicOk, "Basic realm=\"x\"");
  Credentials credentials = User("ann", "hunter2");
  credentials.server_address = "https://index.docker.io/v1/";
  CHECK(f.Refused("repo:v1", credentials).code() == absl::StatusCode::kUnauthenticated);
  for (const EvilRequest& request : f.registry.requests()) CHECK(Authorization(request).empty());
  credentials.server_address = absl::StrCat("http://", f.registry.host());
  CHECK(f.Pull("repo:v1", credentials).ok());
}

TEST_CASE("a bearer realm may be another host, but not just any URL") {
  PullFixture f;
  EvilRegistry tokens;
  Serve(f.registry, MakeImage({"a"}));
  tokens.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  Demand(f.registry, "Bearer t0ken", BearerOf(tokens.host()));
  CHECK(f.Pull().ok());
  CHECK(tokens.requests().size() == 1);

  for (const char* realm : {"file:///etc/passwd", "http://169.254.169.254/latest/api/token",
                            "http://[fe80::1]/", "http://2852039166/", "ftp://x/", "", "x"}) {
    CAPTURE(realm);
    PullFixture g;
    g.registry.Guard(
        [=](const EvilRequest&) { return Ask(absl::StrCat("Bearer realm=\"", realm, "\"")); });
    CHECK(g.Refused("repo:v1", User("ann", "hunter2")).code() ==
          absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("an https registry cannot send its users to a plain http realm") {
  RegistryHost host;
  host.api = *Url::Parse("https://registry.example/v2");
  HttpClient client(HttpPace{absl::Seconds(1), 1});
  EvilRegistry tokens;
  const auto value =
      Authorize(client, host, BearerOf(tokens.host()), "repo", User("ann", "hunter2"), {});
  CHECK(value.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(tokens.requests().empty());
}

TEST_CASE("invalid answers of a token server are errors") {
  for (const std::string body : {"", "{}", "[]", R"({"token":7})", R"({"token":""})",
                                 R"({"token":"a\r\nX-Evil: 1"})", R"({"token":"a b"})"}) {
    CAPTURE(body);
    PullFixture f;
    f.registry.Serve("/token", EvilReply{.body = body});
    Demand(f.registry, "Bearer never", BearerOf(f.registry.host()));
    CHECK(f.Refused().code() == absl::StatusCode::kUnauthenticated);
  }
  PullFixture f;
  EvilReply endless;
  endless.body = std::string(64 << 10, 'x');
  endless.chunked = endless.endless = true;
  f.registry.Serve("/token", endless);
  Demand(f.registry, "Bearer never", BearerOf(f.registry.host()));
  CHECK(f.Refused().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a redirect to another host drops Authorization and configured headers") {
  PullFixture f;
  EvilRegistry storage;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  storage.Serve("/a", EvilReply{.body = "a"});
  EvilReply redirect;
  redirect.status = 307;
  redirect.headers = {absl::StrCat("Location: http://", storage.host(), "/a")};
  f.registry.Serve(BlobPath("a"), redirect);
  EvilReply local;
  local.status = 302;
  local.headers = {absl::StrCat("Location: ", BlobPath(image.config), "/moved")};
  f.registry.Serve(BlobPath(image.config), local);
  f.registry.Serve(BlobPath(image.config) + "/moved", EvilReply{.body = image.config});
  Demand(f.registry, kBasicOk, "Basic realm=\"x\"");
  f.WriteHostsToml(absl::StrCat("server = \"http://", f.registry.host(),
                                "\"\n[header]\nX-Secret = \"opensesame\"\n"));
  REQUIRE(f.Pull("repo:v1", User("ann", "hunter2")).ok());
  const EvilRequest elsewhere = storage.requests().at(0);
  CHECK_FALSE(elsewhere.headers.contains("authorization"));
  CHECK_FALSE(elsewhere.headers.contains("x-secret"));
  // A redirect on the same host keeps both.
  bool moved = false;
  for (const EvilRequest& request : f.registry.requests()) {
    CHECK(request.headers.at("x-secret") == "opensesame");
    if (!absl::EndsWith(request.path, "/moved")) continue;
    moved = true;
    CHECK(Authorization(request) == kBasicOk);
  }
  CHECK(moved);
}

TEST_CASE("credentials are not sent after a 401 of another host") {
  PullFixture f;
  EvilRegistry storage;
  Serve(f.registry, MakeImage({"a"}));
  EvilReply redirect;
  redirect.status = 307;
  redirect.headers = {absl::StrCat("Location: http://", storage.host(), "/a")};
  f.registry.Serve(BlobPath("a"), redirect);
  storage.Serve("/a", Ask("Basic realm=\"x\""));
  CHECK(f.Refused("repo:v1", User("ann", "hunter2")).code() == absl::StatusCode::kUnauthenticated);
  CHECK(storage.requests().size() == 1);
  CHECK(Authorization(storage.requests().at(0)).empty());
}

TEST_CASE("a registry that echoes secrets does not get them into an error") {
  // Also with what would be escaped, in JSON and in messages.
  const std::string secret = "pa\"ss'wo\\rd/+\xc3\xa9\x1b";
  const std::string basic = absl::Base64Escape("ann:" + secret);
  const std::string escaped = base::Printable(secret);
  for (const std::string& echo : {secret, escaped, basic, PercentEncode(secret)}) {
    for (const int code : {400, 403, 404, 429, 500}) {
      PullFixture f;
      f.options.attempts = 1;
      f.registry.Guard([=](const EvilRequest& request) {
        if (Authorization(request).empty()) return Ask("Basic realm=\"x\"");
        EvilReply reply;
        reply.status = code;
        // At a position where shortening the message would cut the secret in two.
        reply.body = absl::StrCat(R"({"errors":[{"code":"A)", InJson(echo), R"(","message":")",
                                  std::string(230, '-'), InJson(echo), "\"}]}");
        return reply;
      });
      const absl::Status status = f.Refused("repo:v1", User("ann", secret));
      const std::string text = status.ToString();
      CAPTURE(text, code);
      for (const std::string& form : {secret, escaped, basic, PercentEncode(secret)}) {
        CHECK_FALSE(absl::StrContains(text, form));
        CHECK_FALSE(absl::StrContains(text, "-" + form.substr(0, 6)));
      }
    }
  }
  // Without a secret in it, too, it is one line and short.
  PullFixture g;
  g.registry.Guard([](const EvilRequest&) {
    return EvilReply{.status = 403,
                     .body = absl::StrCat(R"({"errors":[{"code":"X","message":"a\nb)",
                                          std::string(2000, 'm'), "\"}]}")};
  });
  const std::string words(g.Refused().message());
  CHECK(absl::StrContains(words, "X: a\\nbm"));
  CHECK(words.size() < 500);
  // In a Location header, in a realm, in a host name.
  for (const char* header :
       {"Location: http://hunter2.invalid/hunter2", "Location: ftp://hunter2/"}) {
    PullFixture f;
    f.options.attempts = 1;
    f.registry.Guard([=](const EvilRequest& request) {
      if (Authorization(request).empty()) return Ask("Basic realm=\"x\"");
      EvilReply reply;
      reply.status = 302;
      reply.headers = {header};
      return reply;
    });
    CHECK_FALSE(
        absl::StrContains(f.Refused("repo:v1", User("ann", "hunter2")).message(), "hunter2"));
  }
  PullFixture f;
  f.registry.Guard(
      [](const EvilRequest&) { return Ask("Bearer realm=\"http://127.0.0.1:1/hunter2\""); });
  f.options.attempts = 1;
  CHECK_FALSE(absl::StrContains(f.Refused("repo:v1", User("ann", "hunter2")).message(), "hunter2"));
}

namespace {

// Sends every request of the first registry, with its path, to the second.
void RedirectAll(EvilRegistry& from, const EvilRegistry& to) {
  from.Guard([host = to.host()](const EvilRequest& request) {
    EvilReply redirect;
    redirect.status = 307;
    redirect.headers = {absl::StrCat("Location: http://", host, request.target)};
    return redirect;
  });
}

}  // namespace

TEST_CASE("a registry that another one redirects to gets a token of its own, without our secrets") {
  PullFixture f;
  EvilRegistry second;
  Serve(second, MakeImage({"a", "b"}));
  auto issued = std::make_shared<std::atomic<int>>(0);
  second.Serve("/token", [=](const EvilRequest& request) {
    if (!Authorization(request).empty()) return EvilReply{.status = 403};
    ++*issued;
    return EvilReply{.body = R"({"token":"theirs"})"};
  });
  Demand(second, "Bearer theirs", BearerOf(second.host()));
  RedirectAll(f.registry, second);
  f.options.parallel_layers = 1;
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(f.target.layers().size() == 2);
  CHECK(*issued == 1);
  for (const EvilRequest& request : second.requests()) {
    const std::string authorization = Authorization(request);
    CHECK((authorization.empty() || authorization == "Bearer theirs"));
  }
}

TEST_CASE(
    "a token for a host that another one redirects to is renewed once, as the host says then") {
  PullFixture f;
  EvilRegistry second;
  const TestImage image = MakeImage({"a", "b", "c", "d"});
  Serve(second, image);
  second.Serve("/token", EvilReply{.body = R"({"token":"first"})"});
  second.Serve("/renew", EvilReply{.body = R"({"token":"second"})"});
  const std::string challenge = BearerOf(second.host());
  second.Guard([=, config = BlobPath(image.config)](const EvilRequest& request) {
    const bool layer = absl::StartsWith(request.path, "/v2/repo/blobs") && request.path != config;
    const std::string authorization = Authorization(request);
    if (request.path == "/token" || request.path == "/renew" ||
        authorization == (layer ? "Bearer second" : "Bearer first")) {
      return EvilReply{.status = 0};
    }
    return Ask(authorization.empty() ? challenge
                                     : absl::StrReplaceAll(challenge, {{"/token", "/renew"}}));
  });
  RedirectAll(f.registry, second);
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(second.Count("GET", "/token") == 1);
  CHECK(second.Count("GET", "/renew") == 1);
}

TEST_CASE("the first registry's challenge is answered before it redirects to another one") {
  PullFixture f;
  EvilRegistry second;
  Serve(second, MakeImage({"a"}));
  second.Serve("/token", EvilReply{.body = R"({"token":"theirs"})"});
  Demand(second, "Bearer theirs", BearerOf(second.host()));
  f.registry.Serve("/token", [](const EvilRequest& request) {
    return Authorization(request) == kBasicOk ? EvilReply{.body = R"({"token":"ours"})"}
                                              : EvilReply{.status = 401};
  });
  f.registry.Guard(
      [=, here = f.registry.host(), there = second.host()](const EvilRequest& request) {
        if (request.path == "/token") return EvilReply{.status = 0};
        if (Authorization(request) != "Bearer ours") return Ask(BearerOf(here));
        EvilReply redirect;
        redirect.status = 307;
        redirect.headers = {absl::StrCat("Location: http://", there, request.target)};
        return redirect;
      });
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  CHECK(pulled.ok());
  // A token that the second registry does not accept is not fetched for ever.
  PullFixture g;
  EvilRegistry never;
  never.Serve("/token", EvilReply{.body = R"({"token":"worthless"})"});
  Demand(never, "Bearer other", BearerOf(never.host()));
  RedirectAll(g.registry, never);
  CHECK(g.Refused().code() == absl::StatusCode::kUnauthenticated);
  CHECK(never.Count("GET", "/token") == 1);
}

TEST_CASE("a token server may redirect; the password stays with the first one") {
  PullFixture f;
  EvilRegistry tokens;
  Serve(f.registry, MakeImage({"a"}));
  const auto redirect = [](const std::string& where) {
    EvilReply reply;
    reply.status = 302;
    reply.headers = {"Location: " + where};
    return reply;
  };
  f.registry.Serve("/token", redirect("/moved"));
  f.registry.Serve("/moved", redirect(absl::StrCat("http://", tokens.host(), "/token")));
  tokens.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  f.registry.Guard([=, host = f.registry.host()](const EvilRequest& request) {
    const bool open = request.path == "/token" || request.path == "/moved";
    if (open || Authorization(request) == "Bearer t0ken") return EvilReply{.status = 0};
    return Ask(BearerOf(host));
  });
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(Authorization(tokens.requests().at(0)).empty());
  for (const EvilRequest& request : f.registry.requests()) {
    if (request.path == "/moved") CHECK(Authorization(request) == kBasicOk);
  }
  // A refresh token goes to no other server.
  Credentials credentials;
  credentials.identity_token = "refresh";
  const size_t before = tokens.requests().size();
  CHECK_FALSE(f.Pull("repo:v1", credentials).ok());
  CHECK(tokens.requests().size() == before);
}

TEST_CASE("each scope of a challenge is a parameter, and a service only if it is named") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve("/token", EvilReply{.body = R"({"token":"t0ken"})"});
  Demand(f.registry, "Bearer t0ken",
         absl::StrCat("Bearer realm=\"http://", f.registry.host(),
                      "/token\",scope=\"repository:a:pull repository:b:pull\""));
  REQUIRE(f.Pull().ok());
  for (const EvilRequest& request : f.registry.requests()) {
    if (request.path != "/token") continue;
    CHECK(request.target == "/token?scope=repository%3aa%3apull&scope=repository%3ab%3apull");
  }
}

TEST_CASE("a registry may refuse HEAD in any way where GET works") {
  for (const int status : {400, 401, 403, 404, 405, 429, 500, 501, 503}) {
    CAPTURE(status);
    PullFixture f;
    Serve(f.registry, MakeImage({"a"}));
    REQUIRE(f.Pull().ok());
    f.registry.Guard([=](const EvilRequest& request) {
      return EvilReply{.status = request.method == "HEAD" ? status : 0};
    });
    const auto again = f.Pull();
    INFO(again.status());
    CHECK(again.ok());
    CHECK(f.registry.Count("HEAD", "/v2/repo/manifests/v1") == 1);
  }
  // Also a mirror, if there is no other host with the image, and by closing the connection.
  for (const bool silent : {true, false}) {
    CAPTURE(silent);
    PullFixture f;
    EvilRegistry mirror;
    Serve(mirror, MakeImage({"a"}));
    f.WriteHostsToml(absl::StrCat("[host.\"http://", mirror.host(), "\"]\n"));
    REQUIRE(f.Pull().ok());
    mirror.Guard([=](const EvilRequest& request) {
      return EvilReply{.status = request.method == "HEAD" ? 503 : 0, .silent = silent};
    });
    const auto again = f.Pull();
    INFO(again.status());
    CHECK(again.ok());
    CHECK(mirror.Count("GET", "/v2/repo/manifests/v1") == 2);
  }
}
