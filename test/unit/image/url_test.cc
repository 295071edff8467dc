#include "image/url.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"

using crisp::image::PercentEncode;
using crisp::image::Url;

TEST_CASE("URLs are split and their origin names the port") {
  const auto url = Url::Parse("https://Registry.example/v2/a?sig=1");
  REQUIRE(url.ok());
  CHECK(url->scheme() == "https");
  CHECK(url->host() == "registry.example");
  CHECK(url->path() == "/v2/a");
  CHECK(url->Origin() == "https://registry.example:443");
  CHECK_FALSE(absl::StrContains(url->Printable(), "sig"));
  CHECK(Url::Parse("http://h")->Origin() == "http://h:80");
  CHECK(Url::Parse("http://[::1]:5000/x")->Origin() == "http://[::1]:5000");
}

TEST_CASE("invalid URLs are refused, and the error contains no secret") {
  for (const char* text :
       {"", "x", "/x", "ftp://h/", "file:///etc/passwd", "http://user:hunter2@h/", "http://user@h/",
        "http://h/#hunter2", "http://h/a b", "http://h/\n", "http://", "http://h:99999/",
        "javascript:hunter2"}) {
    CAPTURE(text);
    const absl::Status status = Url::Parse(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    if (absl::StrContains(text, "@")) CHECK_FALSE(absl::StrContains(status.message(), "hunter2"));
  }
  CHECK_FALSE(Url::Parse("http://h/" + std::string(20000, 'a')).ok());
}

TEST_CASE("a redirect is resolved against the URL of the request") {
  const Url base = *Url::Parse("https://h/v2/a/b?x=1");
  CHECK(base.Resolve("/c?d=1")->text() == "https://h/c?d=1");
  CHECK(base.Resolve("c")->text() == "https://h/v2/a/c");
  CHECK(base.Resolve("http://o/x#frag")->text() == "http://o/x");
  CHECK(base.Resolve("//o/x")->text() == "https://o/x");
  // As browsers and Go do; what is encoded stays so.
  CHECK(base.Resolve("http://o/a b%20c?d%2f=\xc3\xa9")->text() == "http://o/a%20b%20c?d%2f=%c3%a9");
  for (const char* text : {"file:///x", "http://u:p@h/", "a\nb", "http://a b/", "ftp://x"}) {
    CHECK_FALSE(base.Resolve(text).ok());
  }
}

TEST_CASE(
    "a URL is the plain http of an https one at the same host and port, or at their own ones") {
  const auto is_plain = [](const char* plain, const char* secure) {
    return Url::Parse(plain)->IsPlainOf(*Url::Parse(secure));
  };
  CHECK(is_plain("http://a/x", "https://A/y"));
  CHECK(is_plain("http://a:5000/", "https://a:5000/"));
  CHECK_FALSE(is_plain("http://a/", "https://a:5000/"));
  CHECK_FALSE(is_plain("http://a:5000/", "https://a/"));
  CHECK_FALSE(is_plain("http://b/", "https://a/"));
  CHECK_FALSE(is_plain("https://a/", "https://a/"));
  CHECK_FALSE(is_plain("http://a/", "http://a/"));
  CHECK(Url::Parse("http://a:80/x/y?z=1")->AtOriginOf(*Url::Parse("https://a:443"))->text() ==
        "https://a:443/x/y?z=1");
}

TEST_CASE("loopback and link-local hosts are found in every spelling") {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"}) {
    CAPTURE(host);
    CHECK(Url::IsLoopbackHost(host));
  }
  for (const char* host : {"localhost.evil", "128.0.0.1", "127.0.0.1.nip.io", "", "[::2]"}) {
    CAPTURE(host);
    CHECK_FALSE(Url::IsLoopbackHost(host));
  }
  for (const char* text : {"http://169.254.169.254/", "http://2852039166/", "http://0xa9fea9fe/",
                           "http://0251.0376.0251.0376/", "http://[fe80::1]/", "http://[febf::1]/",
                           "http://[::ffff:169.254.1.1]/"}) {
    CAPTURE(text);
    CHECK(Url::Parse(text)->IsLinkLocal());
  }
  CHECK_FALSE(Url::Parse("http://169.253.0.1/")->IsLinkLocal());
  CHECK_FALSE(Url::Parse("http://[fec0::1]/")->IsLinkLocal());
}

TEST_CASE("PercentEncode leaves only unreserved characters") {
  CHECK(PercentEncode("aZ0-._~") == "aZ0-._~");
  CHECK(PercentEncode("a b&c=/:\n\xff") == "a%20b%26c%3d%2f%3a%0a%ff");
}
