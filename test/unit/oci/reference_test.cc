#include "oci/reference.h"

#include <catch2/catch.hpp>
#include <string>

using crisp::oci::Digest;
using crisp::oci::Reference;

namespace {
const std::string kDigestHex(64, 'a');
}

TEST_CASE("a reference is normalised as by Docker and containerd") {
  struct Row {
    std::string text;
    std::string host;
    std::string path;
    std::string canonical;
  };
  const Row rows[] = {
      {"busybox", "docker.io", "library/busybox", "docker.io/library/busybox:latest"},
      {"busybox:1.36", "docker.io", "library/busybox", "docker.io/library/busybox:1.36"},
      {"library/busybox", "docker.io", "library/busybox", "docker.io/library/busybox:latest"},
      {"bitnami/redis", "docker.io", "bitnami/redis", "docker.io/bitnami/redis:latest"},
      {"docker.io/busybox", "docker.io", "library/busybox", "docker.io/library/busybox:latest"},
      {"index.docker.io/a/b", "docker.io", "a/b", "docker.io/a/b:latest"},
      {"quay.io/a", "quay.io", "a", "quay.io/a:latest"},
      {"localhost/a", "localhost", "a", "localhost/a:latest"},
      {"localhost:5000", "docker.io", "library/localhost", "docker.io/library/localhost:5000"},
      {"localhost:5000/a/b:v1", "localhost:5000", "a/b", "localhost:5000/a/b:v1"},
      {"127.0.0.1:5000/a", "127.0.0.1:5000", "a", "127.0.0.1:5000/a:latest"},
      {"[::1]:5000/a", "[::1]:5000", "a", "[::1]:5000/a:latest"},
      {"[fd00::2]/a", "[fd00::2]", "a", "[fd00::2]/a:latest"},
      {"REGISTRY/a", "REGISTRY", "a", "REGISTRY/a:latest"},
      {"a/b@sha256:" + kDigestHex, "docker.io", "a/b", "docker.io/a/b@sha256:" + kDigestHex},
      {"quay.io/a:v1@sha256:" + kDigestHex, "quay.io", "a", "quay.io/a@sha256:" + kDigestHex},
      {"h.io/a__b/c-d/e---f.g_h:_T", "h.io", "a__b/c-d/e---f.g_h", "h.io/a__b/c-d/e---f.g_h:_T"},
      {"a:" + std::string(128, 't'), "docker.io", "library/a",
       "docker.io/library/a:" + std::string(128, 't')},
      {std::string(63, 'a'), "docker.io", "library/" + std::string(63, 'a'),
       "docker.io/library/" + std::string(63, 'a') + ":latest"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto reference = Reference::Parse(row.text);
    REQUIRE(reference.ok());
    CHECK(reference->host() == row.host);
    CHECK(reference->path() == row.path);
    CHECK(reference->ToString() == row.canonical);
    CHECK(reference->tag().empty() != reference->digest().empty());
    // The canonical form parses to the same reference.
    CHECK(Reference::Parse(row.canonical)->ToString() == row.canonical);
  }
}

TEST_CASE("references outside the grammar are refused") {
  const std::string texts[] = {"",
                               ":",
                               "/",
                               "@",
                               "a:",
                               "a@",
                               ":tag",
                               "a/",
                               "/a",
                               "a//b",
                               "../a",
                               "a/../b",
                               "a/./b",
                               "a/..",
                               "Busybox",
                               "quay.io/A",
                               "a b",
                               "a\n",
                               "a:b c",
                               "a:.x",
                               "a:-x",
                               "a:" + std::string(129, 't'),
                               "a:x/../y",
                               "a..b",
                               "a___b",
                               "a-",
                               "-a",
                               "a._b",
                               "quay.io:/a",
                               "quay.io:x/a",
                               "quay.io:65536/a",
                               "-h.io/a",
                               "h-.io/a",
                               "h..io/a",
                               "[::1/a",
                               "[]:1/a",
                               "[g::1]:1/a",
                               "https://quay.io/a",
                               "file:///etc/passwd",
                               "/var/lib/x",
                               "~/a",
                               "a@sha256:" + kDigestHex.substr(1),
                               "a@sha256:" + kDigestHex + "@sha256:" + kDigestHex,
                               "a@md5:" + kDigestHex,
                               kDigestHex,
                               "quay.io/" + std::string(256, 'a'),
                               std::string(10240, 'a'),
                               std::string(300, 'h') + ".io/a",
                               std::string("a\0b", 3),
                               "\xc3\xa9",
                               "user:pw@quay.io/a"};
  for (const std::string& text : texts) {
    CAPTURE(text);
    const absl::Status status = Reference::Parse(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(status.message().size() < 2000);
  }
}

TEST_CASE("Reference::WithDigest keeps the repository and drops the tag") {
  const Digest digest = *Digest::Parse("sha256:" + kDigestHex);
  const Reference reference = Reference::Parse("quay.io/a/b:v1")->WithDigest(digest);
  CHECK(reference.ToString() == "quay.io/a/b@sha256:" + kDigestHex);
  CHECK(reference.Object() == digest.str());
  CHECK(reference.tag().empty());
}
