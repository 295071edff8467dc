// Layers that are complete but for what they need of the layers below.
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "image/layer_fetch.h"
#include "image_fixture.h"
#include "test/unit/eventually.h"

namespace crisp::image {
namespace {

std::vector<std::string> Layers() {
  std::vector<std::string> layers;
  for (int i = 0; i < 40; ++i) layers.push_back(absl::StrCat("layer ", i));
  return layers;
}

// The lowest layer does not come before as many wait for it as may, and then for a second: time for
// far more to wait, and for the threads of the pull to wait as well. Then `others_wait`, and with
// `holds` it comes only after Come().
struct LowestIsLate {
  explicit LowestIsLate(bool holds = false, int status = 200) {
    const TestImage image = MakeImage(Layers());
    Serve(f.registry, image);
    EvilReply lowest{.status = status, .body = image.layers[0]};
    lowest.before_reply = [this, holds] {
      (void)enough.WaitForNotificationWithTimeout(absl::Seconds(20));
      (void)comes.WaitForNotificationWithTimeout(absl::Seconds(1));
      if (!others_wait.HasBeenNotified()) others_wait.Notify();
      if (holds) comes.WaitForNotification();
    };
    f.registry.Serve(BlobPath(image.layers[0]), lowest);
    f.target.layers_wait = true;
    f.target.on_wait = [this](int waiting) {
      if (waiting == LayerFetch::kMaxWaiting && !enough.HasBeenNotified()) enough.Notify();
      if (waiting == 20) Come();
    };
  }
  ~LowestIsLate() { Come(); }
  void Come() {
    if (!comes.HasBeenNotified()) comes.Notify();
  }
  absl::Notification enough, others_wait, comes;
  PullFixture f;
};

TEST_CASE("few layers wait for a lowest one that does not come, and all arrive after it") {
  LowestIsLate late;
  const auto pulled = late.f.Pull();
  INFO(pulled.status());
  REQUIRE(pulled.ok());
  CHECK(late.f.target.layers().size() == Layers().size());
  // Each of the parallel downloads has begun when fewer waited.
  const int most = late.f.target.most_waiting();
  CHECK(most >= LayerFetch::kMaxWaiting);
  CHECK(most <= LayerFetch::kMaxWaiting - 1 + late.f.options.parallel_layers);
}

TEST_CASE("a pull whose layers wait for a lowest one can be given up") {
  LowestIsLate late(/*holds=*/true);
  Puller& puller = late.f.MakePuller();
  const base::Call call;
  absl::Status status;
  std::thread caller([&] { status = puller.Pull(late.f.Ref("repo:v1"), {}, call).status(); });
  late.others_wait.WaitForNotification();
  call.cancel->Cancel();
  caller.join();
  late.f.puller.reset();  // waits for the pull
  CHECK(absl::IsCancelled(status));
  CHECK(late.f.target.most_waiting() >= LayerFetch::kMaxWaiting);
  CHECK(late.f.target.layers().empty());
}

TEST_CASE("a lowest layer that fails ends the pull of those that wait for it") {
  LowestIsLate late(/*holds=*/false, /*status=*/404);
  CHECK(absl::IsNotFound(late.f.Refused()));
  CHECK(late.f.target.most_waiting() >= LayerFetch::kMaxWaiting);
  CHECK(late.f.target.layers().empty());
}

TEST_CASE("a layer that fails ends the downloads of the others, which may last long") {
  PullFixture f;
  const TestImage image = MakeImage({"lowest", std::string(1000, 'x')});
  Serve(f.registry, image);
  f.registry.Serve(BlobPath(image.layers[1]),
                   EvilReply{.body = image.layers[1], .stall_after = 10});
  EvilReply missing{.status = 404};
  missing.before_reply = [&] { (void)test::Eventually([&] { return f.target.begun() == 2; }); };
  f.registry.Serve(BlobPath(image.layers[0]), missing);
  const base::Call call = base::Call::Until(base::Deadline::In(absl::Seconds(10)));
  CHECK(absl::IsNotFound(f.MakePuller().Pull(f.Ref("repo:v1"), {}, call).status()));
  CHECK(f.target.begun() == 2);
}

TEST_CASE("a lowest layer that cannot be published ends the pull of those that wait for it") {
  LowestIsLate late;
  late.f.target.publish_error = absl::ResourceExhaustedError("the disk is full");
  const absl::Status refused = late.f.Refused();
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(Holds(refused, "layer 0 "));
  CHECK(late.f.target.most_waiting() >= LayerFetch::kMaxWaiting);
  CHECK(late.f.target.layers().empty());
}

}  // namespace
}  // namespace crisp::image
