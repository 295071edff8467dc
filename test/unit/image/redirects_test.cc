// What stays behind when a registry or a token server redirects to another host.
#include "image/redirects.h"

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

// The registry's owner would learn from the error what the node's own services answer.
TEST_CASE("https leads to plain http only for what has a digest, and not to the node itself") {
  const auto may = [](const char* from, const char* to, bool digest_decides) {
    return MayLead(*Url::Parse(from), *Url::Parse(to), digest_decides);
  };
  CHECK(may("https://r.test/x", "http://blobs.test/x", true));
  CHECK_FALSE(may("https://r.test/x", "http://blobs.test/x", false));
  CHECK(may("https://r.test/x", "https://blobs.test/x", false));
  CHECK(may("http://r.test/x", "http://blobs.test/x", false));
  for (const char* node : {"http://127.0.0.1:10250/x", "http://localhost/x", "http://[::1]:80/x"}) {
    INFO(node);
    CHECK_FALSE(may("https://r.test/x", node, true));
    CHECK(may("https://127.0.0.1:5000/x", node, true));
  }
}

TEST_CASE("a redirect that leads back to the first host does not bring the secrets back") {
  PullFixture f;
  EvilRegistry other;
  Serve(f.registry, MakeImage({"a"}));
  f.registry.Serve(BlobPath("a"), RedirectTo(absl::StrCat("http://", other.host(), "/there")));
  other.Serve("/there", RedirectTo(absl::StrCat("http://", f.registry.host(), "/back")));
  f.registry.Serve("/back", EvilReply{.body = "a"});
  const std::string password = "Basic " + absl::Base64Escape("ann:hunter2");
  f.registry.Guard([=](const EvilRequest& request) {
    const auto sent = request.headers.find("authorization");
    const bool known = sent != request.headers.end() && sent->second == password;
    if (known || request.path == "/back") return EvilReply{.status = 0};
    EvilReply ask{.status = 401};
    ask.headers = {"WWW-Authenticate: Basic realm=\"x\""};
    return ask;
  });
  f.WriteHostsToml(absl::StrCat("server = \"http://", f.registry.host(),
                                "\"\n[header]\nX-Secret = \"opensesame\"\n"));
  const auto pulled = f.Pull("repo:v1", User("ann", "hunter2"));
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  REQUIRE(f.registry.Count("GET", "/back") == 1);
  for (const EvilRequest& request : f.registry.requests()) {
    CHECK(request.headers.contains("x-secret") == (request.path != "/back"));
    if (request.path == "/back") CHECK_FALSE(request.headers.contains("authorization"));
  }
}

TEST_CASE("the client certificate and the right to link-local addresses are for the first host") {
  EvilRegistry first, other;
  first.Serve("/same", RedirectTo("/end"));
  first.Serve("/end", EvilReply{.body = "x"});
  first.Serve("/other", RedirectTo(absl::StrCat("http://", other.host(), "/end")));
  other.Serve("/end", EvilReply{.body = "x"});
  for (const bool leaves : {false, true}) {
    HttpClient client(HttpPace{absl::Seconds(5), 1});
    HttpRequest request;
    request.url = *Url::Parse(absl::StrCat("http://", first.host(), leaves ? "/other" : "/same"));
    request.tls.clients = {{"cert.pem", "key.pem"}, {"both.pem", ""}};
    request.tls.ca_pem = "ca";
    request.allow_link_local = true;
    bool left_origin = false;
    const auto response = PerformAndFollow(client, request, {}, {}, nullptr, left_origin);
    INFO(response.status());
    REQUIRE(response.ok());
    CHECK(response->status == 200);
    CHECK(left_origin == leaves);
    CHECK(request.tls.clients.empty() == leaves);
    CHECK(request.allow_link_local != leaves);
    CHECK(request.tls.ca_pem == "ca");
  }
}

TEST_CASE("a token server cannot redirect to a link-local address") {
  for (const char* where : {"http://169.254.169.254/latest/api/token", "http://[fe80::1]/",
                            "http://2852039166/", "http://[::ffff:169.254.169.254]/"}) {
    CAPTURE(where);
    PullFixture f;
    f.registry.Serve("/token", RedirectTo(where));
    f.registry.Guard([host = f.registry.host()](const EvilRequest& request) {
      EvilReply ask{.status = request.path == "/token" ? 0 : 401};
      ask.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", host, "/token\"")};
      return ask;
    });
    const absl::Status status = f.Refused("repo:v1", User("ann", "hunter2"));
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(Holds(status, "link-local addresses are not allowed"));
    CHECK(f.registry.Count("GET", "/token") == 1);
  }
}
