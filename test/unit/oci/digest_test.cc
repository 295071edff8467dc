#include "oci/digest.h"

#include <catch2/catch.hpp>
#include <string>

using crisp::oci::Digest;

TEST_CASE("a digest gives its algorithm and its hex digits") {
  const std::string hex(64, 'a');
  const auto digest = Digest::Parse("sha256:" + hex);
  REQUIRE(digest.ok());
  CHECK(digest->algorithm() == "sha256");
  CHECK(digest->hex() == hex);
  CHECK(digest->str() == "sha256:" + hex);
  CHECK(Digest().empty());
  CHECK(Digest().hex().empty());
  CHECK(Digest::Parse("sha512:" + std::string(128, '0'))->algorithm() == "sha512");
}

TEST_CASE("text that is not exactly a digest is refused") {
  const std::string hex(64, 'a');
  const std::string texts[] = {"",
                               hex,
                               "sha256:",
                               "sha256:" + hex.substr(1),
                               "sha256:" + hex + "a",
                               "sha256:" + std::string(64, 'A'),
                               "sha256:" + hex.substr(3) + "/..",
                               "sha512:" + hex,
                               "SHA256:" + hex,
                               "sha1:" + hex.substr(0, 40),
                               "md5:" + hex,
                               "sha256:../../../etc/passwd",
                               "sha256+b64:" + hex,
                               "sha256:" + std::string(64, 'g'),
                               " sha256:" + hex,
                               "sha256:" + hex + "\n",
                               "sha256:" + hex.substr(1) + std::string(1, '\0'),
                               "sha256",
                               "x"};
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(Digest::Parse(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
}
