#include "runtime/stats.h"

#include <catch2/catch.hpp>

namespace crisp::runtime {

TEST_CASE("in the sum of several cgroups, a number that none of them has is absent") {
  cgroup::Stats a;
  a.cpu.usage_ns = 5;
  a.memory.working_set_bytes = 10;
  cgroup::Stats b;
  b.cpu.usage_ns = 7;
  const cgroup::Stats sum = SumUsage({a, b});
  CHECK(sum.cpu.usage_ns == 12u);
  CHECK(sum.memory.working_set_bytes == 10u);
  CHECK_FALSE(sum.memory.rss_bytes.has_value());
}

}  // namespace crisp::runtime
