#include "layers/layer_use.h"

#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "image/digests.h"
#include "layers/layer_store.h"
#include "unit/hung_directory.h"
#include "unit/snapshot/store_fixture.h"

namespace crisp::layers {
namespace {

using ChainIds = std::vector<oci::ChainId>;

struct Fixture {
  Fixture() {
    auto opened = image::ImageStore::Open(paths, target);
    REQUIRE(opened.ok());
    images = *std::move(opened);
    use = std::make_unique<LayerUse>(*images, *snapshots.store);
  }
  // One more layer on `parent`; its chain id.
  oci::ChainId Layer(const std::string& content, const oci::ChainId& parent = {}) {
    return *snapshots.Unpack(snapshot::TarBuilder().File("file", content).Done(), parent);
  }
  oci::Digest PutImage(const std::string& name, const ChainIds& chain_ids) {
    image::Image image;
    image.id = image::Sha256(name);
    image.manifest_digest = image.id;
    for (const oci::ChainId& chain_id : chain_ids)
      image.layers.push_back({.diff_id = {}, .chain_id = chain_id});
    REQUIRE(images->Put(std::move(image)).ok());
    return image::Sha256(name);
  }
  void Use(const ChainIds& chain_ids) {
    absl::MutexLock lock(&use->mu());
    use->Add(chain_ids);
  }
  bool Has(const oci::ChainId& chain_id) const { return snapshots.store->Has(chain_id); }

  snapshot::StoreFixture snapshots;
  base::Paths paths{snapshots.root() + "/../root", snapshots.root() + "/../state"};
  LayerStore target{*snapshots.store};
  std::unique_ptr<image::ImageStore> images;
  std::unique_ptr<LayerUse> use;
};

TEST_CASE("what another pull left on an image's layers goes with the image") {
  Fixture f;
  const oci::ChainId base = f.Layer("base");
  const oci::ChainId middle = f.Layer("middle", base);
  const oci::ChainId top = f.Layer("top", middle);
  const oci::ChainId left = f.Layer("left behind", middle);
  const oci::Digest image = f.PutImage("image", {base, middle, top});
  const oci::Digest lone = f.PutImage("lone", {f.Layer("lone")});
  f.use->DeleteUnused();
  CHECK_FALSE(f.Has(left));
  CHECK(f.snapshots.store->Layers().size() == 4);

  const oci::ChainId again = f.Layer("left behind", middle);
  REQUIRE(f.images->Remove(image).ok());
  f.use->DeleteUnused();
  CHECK(f.snapshots.store->Layers().size() == 1);
  REQUIRE(f.images->Remove(lone).ok());
  f.use->DeleteUnused();
  CHECK(f.snapshots.Empty());
}

TEST_CASE("layers that a pull or a container holds stay, with all below them") {
  Fixture f;
  const oci::ChainId base = f.Layer("base");
  const oci::ChainId top = f.Layer("top", base);
  const oci::ChainId pulled = f.Layer("pulled", base);
  const oci::ChainId run = f.Layer("run", base);
  const oci::Digest image = f.PutImage("image", {base, top});
  f.Use({base, run});
  {
    auto lease = f.images->leases().Acquire(pulled, {});
    REQUIRE(lease.ok());
    REQUIRE(f.images->Remove(image).ok());
    f.use->DeleteUnused();
    CHECK_FALSE(f.Has(top));
    // The container goes first; the pull may need no more than the layer it has reached.
    f.use->Release({base, run});
    CHECK_FALSE(f.Has(run));
    CHECK(f.Has(pulled));
    CHECK(f.Has(base));
  }
  f.use->DeleteUnused();
  CHECK(f.snapshots.Empty());
}

TEST_CASE("a disk that hangs while layers are deleted holds up no new container") {
  Fixture f;
  const oci::ChainId base = f.Layer("base");
  f.PutImage("image", {base});
  f.Layer("unused");
  std::optional<HungDirectory> hung(f.snapshots.root() + "/layers");
  std::thread deletion([&] { f.use->DeleteUnused(); });
  CHECK(hung->AwaitSomebody());
  // What CreateContainer does.
  absl::Notification created;
  std::thread create([&] {
    CHECK(f.images->Find("sha256:" + std::string(image::Sha256("image").hex())).ok());
    f.Use({base});
    CHECK(f.snapshots.store->Prepare(std::string(64, 'a'), base, {}).ok());
    created.Notify();
  });
  CHECK(created.WaitForNotificationWithTimeout(absl::Seconds(10)));
  hung.reset();
  deletion.join();
  create.join();
}

}  // namespace
}  // namespace crisp::layers
