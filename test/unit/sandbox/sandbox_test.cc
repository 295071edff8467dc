#include "sandbox/sandbox.h"

#include <catch2/catch.hpp>

namespace crisp::sandbox {
namespace {

struct Fixture {
  explicit Fixture(bool acknowledged = true)
      : sandbox(
            [&] {
              store::SandboxRecord record;
              record.id = base::SandboxId("a");
              record.ready = acknowledged;
              return record;
            }(),
            &directory) {}
  store::RecordDirectory directory{"/proc/none", "/proc/none"};
  Sandbox sandbox;
  int announced = 0;
};

TEST_CASE(
    "a sandbox is ready while its pause lives, and its end is announced once clients know it") {
  Fixture fix;
  CHECK_FALSE(fix.sandbox.ready());
  fix.sandbox.MarkLaunched({.pid = 7, .start_ticks = 8});
  CHECK(fix.sandbox.ready());
  CHECK(fix.sandbox.pause()->pid == 7);
  fix.sandbox.MarkAnnounced([&] { ++fix.announced; });
  CHECK(fix.announced == 0);
  CHECK_FALSE(fix.sandbox.WaitPauseGone(base::Deadline::At(0)));
  fix.sandbox.PauseGone([&] { ++fix.announced; });
  CHECK(fix.announced == 1);
  CHECK(fix.sandbox.WaitPauseGone(base::Deadline::At(0)));
  CHECK_FALSE(fix.sandbox.ready());
  CHECK(fix.sandbox.pause()->pid == 7);
}

TEST_CASE("a sandbox that is not acknowledged is not ready, although its pause lives") {
  Fixture fix(/*acknowledged=*/false);
  fix.sandbox.MarkLaunched({.pid = 7, .start_ticks = 8});
  CHECK(fix.sandbox.SetPhases({{.name = "bundle", .duration_ns = 9}}));
  CHECK(fix.sandbox.phases().size() == 1);
  CHECK_FALSE(fix.sandbox.ready());
}

TEST_CASE("a pause that ends before the sandbox is acknowledged does not come back to life") {
  Fixture fix;
  fix.sandbox.MarkLaunched({.pid = 7, .start_ticks = 8});
  fix.sandbox.PauseGone([&] { ++fix.announced; });
  CHECK_FALSE(fix.sandbox.SetPhases({}));
  CHECK_FALSE(fix.sandbox.ready());
  CHECK(fix.sandbox.WaitPauseGone(base::Deadline::At(0)));
  CHECK(fix.announced == 0);  // no client knows of it yet
}

TEST_CASE("a sandbox without a pause is not waited for") {
  const Fixture fix;
  CHECK(fix.sandbox.WaitPauseGone(base::Deadline::At(0)));
}

TEST_CASE("cleanup that is done is struck off the record, also when the record cannot be written") {
  Fixture fix;
  Sandbox sandbox(
      [] {
        store::SandboxRecord record;
        record.id = base::SandboxId("b");
        record.pending_cleanup = {store::Cleanup::kNetns, store::Cleanup::kCgroup};
        return record;
      }(),
      &fix.directory);
  sandbox.CleanupDone({store::Cleanup::kNetns});
  CHECK(sandbox.record().pending_cleanup == std::set{store::Cleanup::kCgroup});
}

}  // namespace
}  // namespace crisp::sandbox
