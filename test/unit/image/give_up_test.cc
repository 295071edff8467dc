// A pull that is given up while a layer's bytes are being unpacked.
#include <catch2/catch.hpp>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "image_fixture.h"

namespace crisp::image {
namespace {

TEST_CASE("a pull that is given up does not wait for the unpacking") {
  PullFixture f;
  Serve(f.registry, MakeImage({"a layer"}));
  absl::Notification writing, abandoned;
  std::atomic<int> abandons = 0;
  bool in_time = false;
  f.target.before_write = [&](const LayerInfo&) {
    writing.Notify();
    in_time = abandoned.WaitForNotificationWithTimeout(absl::Seconds(20));
  };
  f.target.on_abandon = [&] {
    if (++abandons == 1) abandoned.Notify();
  };
  Puller& puller = f.MakePuller();
  const base::Call call;
  std::thread caller([&] { (void)puller.Pull(f.Ref("repo:v1"), {}, call); });
  writing.WaitForNotification();
  call.cancel->Cancel();
  caller.join();
  f.puller.reset();  // waits for the pull
  CHECK(in_time);
  CHECK(f.target.layers().empty());
}

}  // namespace
}  // namespace crisp::image
