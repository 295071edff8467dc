#include <catch2/catch.hpp>

#include "sandbox/sandbox.h"

namespace crisp::cri {
namespace {

struct Fixture {
  store::RecordDirectory directory{"/nonexistent", "/nonexistent"};
  sandbox::Sandbox sandbox{[] {
                             store::SandboxRecord record;
                             record.ready = true;
                             return record;
                           }(),
                           &directory};
  int announced = 0;
};

TEST_CASE("a sandbox is ready while its pause lives, and its end is told once it is known") {
  Fixture fix;
  CHECK_FALSE(fix.sandbox.ready());
  fix.sandbox.MarkLaunched();
  CHECK_FALSE(fix.sandbox.ready());  // containers could not join it
  CHECK(fix.sandbox.SetPause({.pid = 7, .start_ticks = 8, .phases = {}}));
  CHECK(fix.sandbox.ready());
  fix.sandbox.MarkAnnounced([&] { ++fix.announced; });
  CHECK(fix.announced == 0);
  CHECK_FALSE(fix.sandbox.WaitPauseGone(absl::ZeroDuration()));
  fix.sandbox.PauseGone([&] { ++fix.announced; });
  CHECK(fix.announced == 1);
  CHECK(fix.sandbox.WaitPauseGone(absl::ZeroDuration()));
  CHECK_FALSE(fix.sandbox.ready());
}

TEST_CASE("a pause that ends before its pid is known does not come back to life") {
  Fixture fix;
  fix.sandbox.MarkLaunched();
  fix.sandbox.PauseGone([&] { ++fix.announced; });
  CHECK_FALSE(fix.sandbox.SetPause({.pid = 7, .start_ticks = 8, .phases = {}}));
  CHECK_FALSE(fix.sandbox.ready());
  CHECK(fix.sandbox.WaitPauseGone(absl::ZeroDuration()));
  CHECK(fix.announced == 0);  // nobody knows of it yet
}

}  // namespace
}  // namespace crisp::cri
