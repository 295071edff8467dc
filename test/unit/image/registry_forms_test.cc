// Registries behind proxies and below paths.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <list>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "image/http_client.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

TEST_CASE("a registry may be below a path, or with override_path at the root of its host") {
  for (const std::string below : {"", "/deep/er"}) {
    for (const bool override_path : {false, true}) {
      CAPTURE(below, override_path);
      PullFixture f;
      EvilRegistry behind;
      Serve(behind, MakeImage({"a"}));
      f.registry.Guard([&, there = behind.host()](const EvilRequest& request) {
        EvilReply reply;
        absl::string_view target = request.target;
        reply.status = 307;
        const bool right = absl::ConsumePrefix(&target, below + (override_path ? "/" : "/v2/"));
        if (!right || absl::StartsWith(target, "/")) return EvilReply{.status = 404};
        reply.headers = {absl::StrCat("Location: http://", there, "/v2/", target)};
        return reply;
      });
      f.WriteHostsToml(absl::StrCat("server = \"http://", f.registry.host(), below,
                                    "\"\noverride_path = ", override_path ? "true" : "false"));
      const auto pulled = f.Pull();
      INFO(pulled.status());
      CHECK(pulled.ok());
    }
  }
}

namespace {

void Unset() {
  for (const char* name : {"http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"}) unsetenv(name);
}

// Whether a request goes to the proxy.
bool UsesProxy(const std::string& proxy_variable, const std::string& no_proxy,
               const std::string& url = "http://registry.invalid:5000/v2/") {
  Unset();
  const absl::Cleanup reset = Unset;
  EvilRegistry proxy;
  setenv(proxy_variable.c_str(), ("http://" + proxy.host()).c_str(), 1);
  if (!no_proxy.empty()) setenv("NO_PROXY", no_proxy.c_str(), 1);
  HttpClient client(HttpPace{absl::Seconds(5), 1});
  HttpRequest request;
  request.url = *Url::Parse(url);
  request.connect_timeout = absl::Seconds(1);
  const auto response = client.Perform(request, {});
  if (proxy.requests().empty()) return false;
  CHECK(proxy.requests()[0].target == url);
  CHECK(response.ok());
  return true;
}

}  // namespace

TEST_CASE("proxies of the environment are used in the spellings that other runtimes take") {
  CHECK(UsesProxy("http_proxy", ""));
  CHECK(UsesProxy("HTTP_PROXY", ""));
  CHECK(UsesProxy("HTTP_PROXY", "other.invalid,registry.invalid:80,10.0.0.0/8,[::1]:5000"));
  for (const char* exception : {"*", "x.invalid,*", "registry.invalid", ".invalid", "*.invalid",
                                "x, invalid", "registry.invalid:5000"}) {
    CAPTURE(exception);
    CHECK_FALSE(UsesProxy("HTTP_PROXY", exception));
  }
  const std::string address = "http://[2001:db8::1]:5000/v2/";
  CHECK(UsesProxy("HTTP_PROXY", "[2001:db8::1]:80,2001:db8::2", address));
  for (const char* exception : {"[2001:db8::1]:5000", "x,[2001:db8::1]", "2001:db8::1"}) {
    CAPTURE(exception);
    CHECK_FALSE(UsesProxy("HTTP_PROXY", exception, address));
  }
}

TEST_CASE("a proxy may be at a link-local address, where no registry may lead") {
  Unset();
  const absl::Cleanup reset = Unset;
  HttpClient client(HttpPace{absl::Seconds(5), 1});
  HttpRequest request;
  request.url = *Url::Parse("http://registry.invalid/v2/");
  request.connect_timeout = absl::Seconds(1);
  // Nothing answers there: what matters is who refuses.
  for (const char* proxy : {"http://[fe80::1]:3128", "ann:secret@[fe80::1%25lo]:3128"}) {
    CAPTURE(proxy);
    setenv("HTTP_PROXY", proxy, 1);
    const absl::Status status = client.Perform(request, {}).status();
    CHECK_FALSE(status.ok());
    CHECK_FALSE(absl::StrContains(status.message(), "link-local"));
  }
  setenv("HTTP_PROXY", "http://[fe80::1]:3128", 1);
  request.url = *Url::Parse("http://[fe80::1]:3128/v2/");
  CHECK(absl::IsInvalidArgument(client.Perform(request, {}).status()));
}

TEST_CASE("mirrors that fail, each differently, do not keep an image from being pulled") {
  const TestImage image = MakeImage({"a"});
  EvilReply page;
  page.headers = {"Content-Type: text/html"};
  page.body = "<html>please log in</html>";
  EvilReply other = page;
  other.headers = {"Docker-Content-Digest: " + image.id().str()};
  other.body = "{}";
  EvilReply basic{.status = 401};
  basic.headers = {"WWW-Authenticate: Basic realm=\"x\""};
  EvilReply loop{.status = 302};
  loop.headers = {"Location: /v2/"};
  const std::vector<EvilReply> failures = {page,
                                           other,
                                           basic,
                                           loop,
                                           EvilReply{.status = 403},
                                           EvilReply{.status = 404},
                                           EvilReply{.status = 429},
                                           EvilReply{.status = 500}};
  PullFixture f;
  Serve(f.registry, image);
  std::list<EvilRegistry> mirrors;
  std::string toml = absl::StrCat("server = \"http://", f.registry.host(), "\"\n");
  for (const EvilReply& failure : failures) {
    EvilRegistry& mirror = mirrors.emplace_back();
    mirror.Guard([failure](const EvilRequest&) { return failure; });
    absl::StrAppend(&toml, "[host.\"http://", mirror.host(), "\"]\n");
  }
  f.WriteHostsToml(toml);
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  for (const EvilRegistry& mirror : mirrors) CHECK_FALSE(mirror.requests().empty());
}

TEST_CASE("another host is asked when a mirror's bytes are not a layer and not the image's") {
  PullFixture f;
  EvilRegistry mirror;
  f.WriteHostsToml(absl::StrCat("[host.\"http://", mirror.host(), "\"]\n"));

  SECTION("other bytes, which are read before their digest is known") {
    const TestImage image = MakeImage({"a"});
    Serve(f.registry, image);
    Serve(mirror, image);
    mirror.Serve(BlobPath("a"), EvilReply{.body = "?"});
    f.target.unreadable = "?";
    REQUIRE(f.Pull().ok());
    CHECK(mirror.Count("GET", BlobPath("a")) == 1);
    CHECK(f.registry.Count("GET", BlobPath("a")) == 1);
  }
  SECTION("the image's own bytes, which are the same everywhere") {
    TestImage image = MakeImage({"a"});
    image.config = MakeConfig({"b"});
    image.manifest = MakeManifest(image.config, {"a"});
    Serve(f.registry, image);
    Serve(mirror, image);
    CHECK(Holds(f.Refused(), "diff id does not match"));
    CHECK(f.registry.Count("GET", BlobPath("a")) == 0);
  }
}

TEST_CASE("a proxy may answer with 203, as it has looked into the body") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  for (const std::string& blob : {image.config, image.layers[0]})
    f.registry.Serve(BlobPath(blob), EvilReply{.status = 203, .body = blob});
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
}

TEST_CASE("when all hosts fail the error has what each of the first ones said") {
  PullFixture f;
  std::list<EvilRegistry> mirrors;
  std::string toml;
  for (int status = 400; status < 406; ++status) {
    EvilRegistry& mirror = mirrors.emplace_back();
    mirror.Guard([status](const EvilRequest&) { return EvilReply{.status = status}; });
    absl::StrAppend(&toml, "[host.\"http://", mirror.host(), "\"]\n");
  }
  f.WriteHostsToml(toml);
  const absl::Status status = f.Refused();
  INFO(status);
  CHECK(absl::IsNotFound(status));  // the registry's own
  for (const char* words : {"status 400; http", "requires an auth", "status 402; 3 more mirrors"})
    CHECK(Holds(status, words));
  CHECK(
      absl::StrContains(status.message(), absl::StrCat("failed; GET http://", f.registry.host())));
}

TEST_CASE("what a user reads of a registry that cannot be reached ends in the system's words") {
  PullFixture f;
  f.options.attempts = 1;
  int port = 0;
  {
    const EvilRegistry gone;
    port = std::stoi(gone.host().substr(gone.host().find(':') + 1));
  }
  const std::string host = absl::StrCat("127.0.0.1:", port);
  const absl::Status status = f.Refused(host + "/repo:v1");
  CHECK(absl::StartsWith(status.message(), absl::StrCat("RegistryUnavailable: pull ", host)));
  CHECK(absl::EndsWith(status.message(), ": connection refused (ECONNREFUSED)"));
}
