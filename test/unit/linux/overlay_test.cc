#include "linux/overlay.h"

#include <catch2/catch.hpp>

#include "no_threads.h"

namespace crisp::linux {
namespace {

TEST_CASE("a view of an image that gets no thread is an error") {
  const test::NoThreads refused;
  CHECK(absl::IsResourceExhausted(OpenOverlay("/nothing", {"upper", "lower"}).status()));
}

}  // namespace
}  // namespace crisp::linux
