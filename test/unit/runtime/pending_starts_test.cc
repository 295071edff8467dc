#include "runtime/pending_starts.h"

#include <catch2/catch.hpp>
#include <vector>

namespace crisp::runtime {
namespace {

TEST_CASE("a container whose execs do not start gets no more of them, others do") {
  PendingStarts starts;
  std::vector<PendingStarts::Place> places;
  for (int i = 0; i < PendingStarts::kMaxOfContainer; ++i) {
    const auto place = starts.Enter("hostile");
    REQUIRE(place.ok());
    places.push_back(*place);
  }
  const absl::Status refused = starts.Enter("hostile").status();
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(refused.message() == "container hostile has 128 execs that do not run yet, the most");
  CHECK(starts.Enter("other").ok());
  places.pop_back();
  CHECK(starts.Enter("hostile").ok());
  places.clear();
  CHECK(starts.Enter("hostile").ok());
}

}  // namespace
}  // namespace crisp::runtime
