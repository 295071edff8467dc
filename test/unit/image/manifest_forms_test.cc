// The forms of manifests that builders write and wrote: all of them are pulled.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "image/digests.h"
#include "image/image_record_codec.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

TEST_CASE("an image without layers is pulled and has an empty one") {
  PullFixture f;
  Serve(f.registry, MakeImage({}, R"({"Cmd":["/x"]})"));
  const auto pulled = f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  REQUIRE((*pulled)->layers.size() == 1);
  CHECK(f.target.layers() ==
        std::map<oci::ChainId, std::string>{{(*pulled)->layers[0].chain_id, EmptyLayer()}});
  // The next pull, a restart and another such image find it.
  REQUIRE(f.Pull().ok());
  Serve(f.registry, MakeImage({}, R"({"Cmd":["/y"]})"), "v2");
  REQUIRE(f.Pull("repo:v2").ok());
  CHECK(f.target.begun() == 1);
  const auto reopened = ImageStore::Open(f.paths, f.target);
  REQUIRE(reopened.ok());
  CHECK((*reopened)->quarantined().empty());
  CHECK((*reopened)->List().size() == 2);
}
