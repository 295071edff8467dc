#include "image/auth.h"

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "image/credentials.h"
#include "image/registry_codec.h"

using namespace crisp::image;

TEST_CASE("WWW-Authenticate is parsed into challenges") {
  const auto challenges =
      ParseChallenges(R"(Negotiate, Basic realm="a, b", BEARER realm = "https://x/t?a=\"1\"",)"
                      R"(service=reg,scope="s:p:pull,push")");
  REQUIRE(challenges.size() == 3);
  CHECK(challenges[0].scheme == "negotiate");
  CHECK(challenges[1].scheme == "basic");
  CHECK(challenges[1].realm == "a, b");
  CHECK(challenges[2].scheme == "bearer");
  CHECK(challenges[2].realm == "https://x/t?a=\"1\"");
  CHECK(challenges[2].service == "reg");
  CHECK(challenges[2].scope == "s:p:pull,push");
}

TEST_CASE("malformed challenges in WWW-Authenticate are skipped, and their number is bounded") {
  for (const char* text :
       {"", ",", "=", "\"", "=\"x\"", "Bearer realm=", "Bearer realm=\"", "a=b", "\\"}) {
    CAPTURE(text);
    CHECK(ParseChallenges(text).size() <= 1);
  }
  std::string many;
  for (int i = 0; i < 10000; ++i) many += "Basic,";
  CHECK(ParseChallenges(many).size() == 16);
}

TEST_CASE("AuthConfig.auth decodes to user and password") {
  CHECK(DecodeBasicAuth(absl::Base64Escape("ann:a:b"))->username == "ann");
  CHECK(DecodeBasicAuth(absl::Base64Escape("ann:a:b"))->password == "a:b");
  CHECK(DecodeBasicAuth(absl::Base64Escape(std::string("ann:pw\0\0", 8)))->password == "pw");
  CHECK(DecodeBasicAuth(absl::Base64Escape("ann:"))->password.empty());
  // base64(1) breaks lines and ends with one.
  CHECK(DecodeBasicAuth("YW5u\r\nOnB3\n")->password == "pw");
  for (const std::string& bad :
       {std::string("%%%"), absl::Base64Escape("hunter2"), std::string(100000, 'A')}) {
    const absl::Status status = DecodeBasicAuth(bad).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_FALSE(absl::StrContains(status.message(), "hunter2"));
  }
}

TEST_CASE("addresses of servers are compared as all tools write them") {
  for (const char* same : {"docker.io", "index.docker.io", "https://index.docker.io/v1/",
                           "https://registry-1.docker.io", "HTTPS://Index.Docker.IO:443/v1/"})
    CHECK(ServerName(same) == "docker.io");
  for (const char* same : {"r.example", "https://r.example", "http://r.example:80/v2/",
                           "https://R.Example:443", "r.example:443", " r.example\n", "r.example/x"})
    CHECK(ServerName(same) == "r.example");
  for (const char* other : {"r.example:80", "r.example:5000", "https://r.example:80",
                            "http://r.example:443", "x.r.example"})
    CHECK(ServerName(other) != "r.example");
  CHECK(ServerName("[::1]:5000") == "[::1]:5000");
}

TEST_CASE("the first error of a registry's error body is what it says") {
  CHECK(DecodeRegistryError(R"({"errors":[{"code":"DENIED","message":"no\nway"}]})") ==
        "DENIED: no\nway");
  CHECK(DecodeRegistryError(R"({"errors":[{"code":"DENIED"}]})") == "DENIED");
  for (const char* text :
       {"", "<html>", "{}", R"({"errors":[]})", R"({"errors":{}})", R"({"errors":[7]})"}) {
    CAPTURE(text);
    CHECK(DecodeRegistryError(text).empty());
  }
}
