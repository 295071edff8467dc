#include "cni/native/collector.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/wait.h"
#include "native_fixture.h"

using namespace crisp;
using namespace crisp::cni::native;
using Job = Collector::Job;

TEST_CASE("what many have put off is done once, at the end of the collector at the latest") {
  std::atomic<int> links = 0, tables = 0;
  {
    Collector collector(absl::Hours(1));
    for (int i = 0; i < 250; ++i) {
      collector.Later(Job::kLinks, [&] { return ++links > 0; });
      collector.Later(Job::kTables, [&] { return ++tables > 0; });
    }
    CHECK(links + tables == 0);
  }
  CHECK(links == 1);
  CHECK(tables == 1);
}

TEST_CASE("what is put off while the same job runs is done after it") {
  base::Latch runs, go_on, again;
  Collector collector(absl::Milliseconds(1));
  collector.Later(Job::kLinks, [&] {
    runs.Set();
    return go_on.Wait(Soon());
  });
  REQUIRE(runs.Wait(Soon()));
  collector.Later(Job::kLinks, [&] {
    again.Set();
    return true;
  });
  go_on.Set();
  CHECK(again.Wait(Soon()));
}

TEST_CASE("what fails is tried again, but not at the end of the collector") {
  base::Latch third;
  std::atomic<int> tries = 0;
  {
    Collector collector(absl::Milliseconds(1));
    collector.Later(Job::kLinks, [&] {
      if (++tries == 3) third.Set();
      return false;
    });
    CHECK(third.Wait(Soon()));
  }
  const int at_the_end = tries;
  {
    Collector collector(absl::Hours(1));
    collector.Later(Job::kLinks, [&] {
      ++tries;
      return false;
    });
  }
  CHECK(tries == at_the_end + 1);
}

TEST_CASE("what is done is not done again") {
  base::Latch third;
  std::atomic<int> links = 0, tables = 0;
  Collector collector(absl::Milliseconds(1));
  collector.Later(Job::kLinks, [&] { return ++links > 0; });
  collector.Later(Job::kTables, [&] {
    if (++tables == 3) third.Set();
    return tables >= 3;
  });
  CHECK(third.Wait(Soon()));
  CHECK(links == 1);
}
