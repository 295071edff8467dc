// What the next start finds of images that a crispd which is killed was putting or removing.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "image/digests.h"
#include "image/image_record_codec.h"
#include "image/image_store.h"
#include "image_fixture.h"
#include "test/unit/killed_process.h"

namespace crisp::image {
namespace {

class EveryLayer final : public LayerTarget {
 public:
  bool Has(const oci::ChainId&) const override { return true; }
  absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo&) override {
    return absl::UnimplementedError("not a target");
  }
};

Image TaggedImage(const std::string& layer, const std::string& tag) {
  Image image;
  image.config_json = MakeConfig({layer}, "{}");
  image.id = Sha256(image.config_json);
  image.manifest_digest = Sha256("manifest of " + image.config_json);
  image.size = 100;
  image.repo_tags = {"example.com/" + tag};
  image.repo_digests = {"example.com/repo@" + image.manifest_digest.str()};
  REQUIRE(DeriveFromConfig(image).ok());
  return image;
}

struct ImagesOnDisk {
  TempDir dir;
  base::Paths paths{dir.path + "/root", dir.path + "/state"};
  EveryLayer layers;

  // As crispd does at start.
  std::unique_ptr<ImageStore> Open() {
    auto store = ImageStore::Open(paths, layers);
    REQUIRE(store.ok());
    CHECK((*store)->quarantined().empty());
    return *std::move(store);
  }
  // The image's letter, or "none".
  std::string Find(const std::string& name, const std::vector<Image>& images) {
    const auto found = Open()->Find(name);
    if (!found.ok()) return "none";
    for (size_t i = 0; i < images.size(); ++i)
      if ((*found)->id == images[i].id) return std::string(1, static_cast<char>('a' + i));
    return "another";
  }
  // One record for each image and nothing else.
  void CheckFiles(size_t images) {
    const auto names = base::ListDir(paths.Images());
    REQUIRE(names.ok());
    CHECK(names->size() == images);
    CHECK(Open()->List().size() == images);
  }
  void Clear() { REQUIRE(base::RemoveTree(dir.path + "/root").ok()); }
};

}  // namespace

TEST_CASE("an image that is put or removed by a crispd that is killed is there or not") {
  ImagesOnDisk f;
  const Image image = TaggedImage("a", "repo:one");
  const auto put = [&] { return f.Open()->Put(image).ok(); };
  const auto remove = [&] { return f.Open()->Remove(image.id).ok(); };
  const int puts = test::KillBeforeEachChange([&] { f.Clear(); }, put,
                                              [&](bool killed) {
                                                const bool there =
                                                    f.Find("example.com/repo:one", {image}) == "a";
                                                CHECK((there || killed));
                                                f.CheckFiles(there ? 1 : 0);
                                                CHECK(put());
                                                f.CheckFiles(1);
                                              });
  CHECK(puts >= 6);
  const int removals = test::KillBeforeEachChange(
      [&] { REQUIRE(put()); }, remove,
      [&](bool killed) {
        const bool there = f.Find("example.com/repo:one", {image}) == "a";
        CHECK((!there || killed));
        f.CheckFiles(there ? 1 : 0);
        if (there) CHECK(remove());
        f.CheckFiles(0);
      });
  CHECK(removals >= 2);
}

TEST_CASE("a tag whose move was cut short does not come back to its old image") {
  ImagesOnDisk f;
  const std::string tag = "example.com/repo:one";
  const std::vector<Image> images = {TaggedImage("a", "repo:one"), TaggedImage("b", "repo:one")};
  const int changes = test::KillBeforeEachChange(
      [&] {
        f.Clear();
        REQUIRE(f.Open()->Put(images[0]).ok());
      },
      [&] { return f.Open()->Put(images[1]).ok(); },
      [&](bool killed) {
        const std::string holder = f.Find(tag, images);
        CHECK((holder == "b" || (killed && holder == "a")));
        f.CheckFiles(f.Open()->Find(images[1].id.str()).ok() ? 2 : 1);
        if (holder != "b") return;
        REQUIRE(f.Open()->Remove(images[1].id).ok());
        CHECK(f.Find(tag, images) == "none");
        CHECK(f.Find(images[0].id.str(), images) == "a");
        f.CheckFiles(1);
      });
  CHECK(changes >= 10);
}

}  // namespace crisp::image
