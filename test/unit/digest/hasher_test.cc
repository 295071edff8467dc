// Digests against the examples of FIPS 180-4, and chain ids against their definition.
#include "digest/hasher.h"

#include <catch2/catch.hpp>

namespace crisp::digest {
namespace {

constexpr char kAbc256[] =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kAbc512[] =
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

TEST_CASE("digests are those of FIPS 180-4") {
  CHECK(Sha256("abc") == kAbc256);
  CHECK(Sha256("") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Hasher hasher(Algorithm::kSha512);
  hasher.Update("abc");
  CHECK(hasher.Finish() == kAbc512);
}

TEST_CASE("bytes given in parts have the digest of the whole") {
  Hasher hasher;
  hasher.Update("a");
  hasher.Update("");
  hasher.Update("bc");
  CHECK(hasher.Finish() == kAbc256);
}

TEST_CASE("a chain id is the lowest diff id, then the digest of parent and diff id") {
  CHECK(ChainId("", "sha256:1") == "sha256:1");
  CHECK(ChainId("sha256:1", "sha256:2") == Sha256("sha256:1 sha256:2"));
}

}  // namespace
}  // namespace crisp::digest
