#include "shim_client/spare_shim.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "linux/reap.h"
#include "unit/eventually.h"

namespace crisp::shim_client {
namespace {

using test::Eventually;

// Processes that do nothing, in place of shims.
struct Spawner {
  std::atomic<int> spawned = 0;
  std::atomic<pid_t> last = 0;
  std::atomic<bool> broken = false;

  SpareShim::Spawn function() {
    return [this](ArgumentSizes sizes) -> absl::StatusOr<NamelessShim> {
      if (broken) return absl::ResourceExhaustedError("spawn");
      NamelessShim shim = {.process = {}, .adoption = {}, .sizes = sizes};
      auto child = linux::Spawn({.path = "/bin/sleep", .args = {"sleep", "1000"}, .env = {}}, {});
      if (!child.ok()) return child.status();
      shim.process = *std::move(child);
      last = shim.process.pid;
      ++spawned;
      return shim;
    };
  }
};

bool IsGone(pid_t pid) { return kill(pid, 0) != 0; }

constexpr ArgumentSizes kSizes = {.bundle = 20, .id = 64};
constexpr ArgumentSizes kOthers = {.bundle = 21, .id = 64};

TEST_CASE("a shim is made ready when it is asked for, and is taken once") {
  Spawner spawner;
  SpareShim spare(spawner.function());
  REQUIRE(spare.Start().ok());
  CHECK_FALSE(spare.Take(kSizes).has_value());
  std::optional<NamelessShim> taken;
  spare.Refill();
  CHECK(Eventually([&] { return (taken = spare.Take(kSizes)).has_value(); }));
  CHECK(taken->process.pid == spawner.last);
  CHECK(taken->sizes == kSizes);
  CHECK_FALSE(spare.Take(kSizes).has_value());
  CHECK(spawner.spawned == 1);
  linux::EndChild(taken->process.pid, taken->process.pidfd.get());
}

TEST_CASE("asking again makes no second one") {
  Spawner spawner;
  {
    SpareShim spare(spawner.function());
    REQUIRE(spare.Start().ok());
    (void)spare.Take(kSizes);
    spare.Refill();
    CHECK(Eventually([&] { return spawner.spawned == 1; }));
    for (int i = 0; i < 100; ++i) spare.Refill();
    std::optional<NamelessShim> taken;
    CHECK(Eventually([&] { return (taken = spare.Take(kSizes)).has_value(); }));
    linux::EndChild(taken->process.pid, taken->process.pidfd.get());
  }
  CHECK(spawner.spawned <= 2);  // the second was asked for before the first was there
}

TEST_CASE("a ready shim for arguments of other lengths is not taken, and is replaced") {
  Spawner spawner;
  SpareShim spare(spawner.function());
  REQUIRE(spare.Start().ok());
  (void)spare.Take(kSizes);
  spare.Refill();
  CHECK(Eventually([&] { return spawner.spawned == 1; }));
  const pid_t first = spawner.last;
  std::optional<NamelessShim> taken;
  CHECK(Eventually([&] {
    taken = spare.Take(kOthers);
    spare.Refill();
    return taken.has_value();
  }));
  CHECK(taken->sizes == kOthers);
  CHECK(Eventually([&] { return IsGone(first); }));
  linux::EndChild(taken->process.pid, taken->process.pidfd.get());
}

TEST_CASE("a ready shim that is killed leaves no zombie, and the next one is made when asked for") {
  Spawner spawner;
  SpareShim spare(spawner.function());
  REQUIRE(spare.Start().ok());
  (void)spare.Take(kSizes);
  spare.Refill();
  REQUIRE(Eventually([&] { return spawner.spawned == 1; }));
  const pid_t killed = spawner.last;
  REQUIRE(kill(killed, SIGKILL) == 0);
  CHECK(Eventually([&] { return IsGone(killed); }));
  CHECK_FALSE(spare.Take(kSizes).has_value());
  CHECK(spawner.spawned == 1);
  spare.Refill();
  std::optional<NamelessShim> taken;
  REQUIRE(Eventually([&] { return (taken = spare.Take(kSizes)).has_value(); }));
  CHECK(taken->process.pid == spawner.last);
  linux::EndChild(taken->process.pid, taken->process.pidfd.get());
}

TEST_CASE("a ready shim ends with its owner, and one that cannot be made is only missing") {
  Spawner spawner;
  {
    SpareShim spare(spawner.function());
    REQUIRE(spare.Start().ok());
    (void)spare.Take(kSizes);
    spawner.broken = true;
    spare.Refill();
    CHECK_FALSE(spare.Take(kSizes).has_value());
    spawner.broken = false;
    CHECK(Eventually([&] {
      spare.Refill();
      return spawner.spawned > 0;
    }));
  }
  CHECK(IsGone(spawner.last));
}

}  // namespace
}  // namespace crisp::shim_client
