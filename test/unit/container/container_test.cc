#include "container/container.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/file.h"

namespace crisp::container {
namespace {

namespace v1 = ::runtime::v1;

struct Fixture {
  store::RecordDirectory directory{"/proc/none", "/proc/none"};
  Container container{[] {
                        store::ContainerRecord record;
                        record.id = base::ContainerId("a");
                        record.sandbox_id = base::SandboxId("b");
                        return record;
                      }(),
                      &directory};
  int announced = 0;
};

store::Outcome Ended(int64_t finished_at_ns, int exit_code) {
  store::Outcome outcome;
  outcome.finished_at_ns = finished_at_ns;
  outcome.exit_code = exit_code;
  return outcome;
}

TEST_CASE("a container is created, runs and exits; its exit is announced before waiters return") {
  Fixture fix;
  CHECK(fix.container.state() == v1::CONTAINER_CREATED);
  fix.container.MarkStarted(
      {.process = {.pid = 7, .start_ticks = 8}, .started_at_ns = 9, .phases = {}});
  CHECK(fix.container.running());
  CHECK_FALSE(fix.container.WaitExited(base::Deadline::At(0)));
  (void)fix.container.MarkExited(Ended(10, 3), [&] {
    CHECK(fix.container.state() == v1::CONTAINER_EXITED);
    CHECK_FALSE(fix.container.WaitExited(base::Deadline::At(0)));
    ++fix.announced;
  });
  CHECK(fix.announced == 1);
  CHECK(fix.container.WaitExited(base::Deadline::At(0)));
  CHECK(fix.container.init()->process.pid == 7);
}

TEST_CASE("the first outcome stays") {
  Fixture fix;
  (void)fix.container.MarkExited(Ended(1, 1), [] {});
  (void)fix.container.MarkExited(Ended(2, 2), [] {});
  CHECK(fix.container.record().outcome->exit_code == 1);
}

TEST_CASE("an exit is known at once, whatever waits for the disk to write the record") {
  char dir[] = "/tmp/crisp-container-XXXXXX";
  REQUIRE(mkdtemp(dir) != nullptr);
  const store::RecordDirectory directory(absl::StrCat(dir, "/records"), dir);
  store::ContainerRecord record;
  record.id = base::ContainerId(std::string(64, 'a'));
  record.sandbox_id = base::SandboxId(std::string(64, 'b'));
  Container container(record, &directory);
  absl::Notification writing, written;
  std::thread update([&] {
    // The lock under which records are written is held, as while the disk hangs.
    REQUIRE(container
                .Update([&](store::ContainerRecord& next) {
                  if (!writing.HasBeenNotified()) writing.Notify();
                  written.WaitForNotification();
                  next.image_id = "updated";
                })
                .ok());
  });
  writing.WaitForNotification();
  absl::Notification announced;
  std::thread exit([&] { container.PublishExit(Ended(10, 3), [&] { announced.Notify(); }); });
  CHECK(announced.WaitForNotificationWithTimeout(absl::Seconds(10)));
  CHECK(container.state() == v1::CONTAINER_EXITED);
  CHECK(container.WaitExited(base::Deadline::In(absl::Seconds(10))));
  written.Notify();
  update.join();
  exit.join();
  // Neither change has undone the other, in memory and on disk.
  REQUIRE(container.WriteRecord().ok());
  const absl::StatusOr<std::string> text =
      base::ReadFile(directory.Dir(record.id.str()) + "/record.json");
  store::ContainerRecord on_disk;
  REQUIRE(store::Decode(text.value(), on_disk).ok());
  for (const store::ContainerRecord& each : {container.record(), on_disk}) {
    CHECK(each.image_id == "updated");
    CHECK(each.outcome.value_or(store::Outcome()).exit_code == 3);
  }
  REQUIRE(base::RemoveTree(dir).ok());
}

TEST_CASE("the stop signal is sent once, and again only when it could not be sent") {
  Fixture fix;
  CHECK(fix.container.TakeStopSignal());
  CHECK_FALSE(fix.container.TakeStopSignal());
  fix.container.ReturnStopSignal();
  CHECK(fix.container.TakeStopSignal());
}

TEST_CASE("a caller that leaves does not wait for the exit") {
  Fixture fix;
  const base::Call call;
  call.cancel->Cancel();
  CHECK(absl::IsCancelled(fix.container.WaitExited(call)));
}

}  // namespace
}  // namespace crisp::container
