#include "runtime/stats.h"

#include <catch2/catch.hpp>

#include "base/clock.h"

namespace crisp::runtime {

TEST_CASE("in the sum of several cgroups, a number that none of them has is absent") {
  cgroup::Usage a = {.stats = {}, .nano_cores = 3, .processes = 1, .taken_at_ns = 9};
  a.stats.cpu.usage_ns = 5;
  a.stats.memory.working_set_bytes = 10;
  cgroup::Usage b = {.stats = {}, .nano_cores = 4, .processes = 2, .taken_at_ns = 8};
  b.stats.cpu.usage_ns = 7;
  const cgroup::Usage sum = SumUsage({a, b});
  CHECK(sum.stats.cpu.usage_ns == 12u);
  CHECK(sum.stats.memory.working_set_bytes == 10u);
  CHECK_FALSE(sum.stats.memory.rss_bytes.has_value());
  CHECK(sum.nano_cores == 7u);
  CHECK(sum.processes == 3);
  CHECK(sum.taken_at_ns == 8);
}

TEST_CASE("kubelet's group of a pod is known by its name") {
  CHECK(IsPodGroup("/kubepods/burstable/pod1a-2b", "1a-2b"));
  CHECK(IsPodGroup("/kubepods.slice/kubepods-pod1a_2b.slice", "1a-2b"));
  CHECK_FALSE(IsPodGroup("/kubepods/burstable/pod1a-2b", "2b"));
  CHECK_FALSE(IsPodGroup("/kubepods.slice/kubepods-pod1a_2b.slice/crisp-1f.scope", "1a-2b"));
  CHECK_FALSE(IsPodGroup("/crisp", "1a-2b"));
  CHECK_FALSE(IsPodGroup("/pod", ""));
}

TEST_CASE("a call without time reads what has no value yet, a later one what is oldest") {
  std::vector<int> read;
  const auto make = [&](int64_t last_ns) {
    return Reading{last_ns, [&read, last_ns] { read.push_back(static_cast<int>(last_ns)); }};
  };
  const std::vector<Reading> all = {make(7), make(0), make(5), make(0)};
  CHECK_FALSE(ReadOldestFirst(all, base::Deadline::At(0)));
  CHECK(read == std::vector<int>{0, 0});
  read.clear();
  CHECK(ReadOldestFirst(all, base::Deadline::Never()));
  CHECK(read == std::vector<int>{0, 0, 5, 7});
  // Time is up while the second of those with a value is read.
  read.clear();
  const base::Deadline soon = base::Deadline::In(absl::Milliseconds(20));
  const Reading slow = {6, [&] {
                          read.push_back(6);
                          while (!soon.Passed()) {
                          }
                        }};
  CHECK_FALSE(ReadOldestFirst({make(7), slow, make(5)}, soon));
  CHECK(read == std::vector<int>{5, 6});
}

}  // namespace crisp::runtime
