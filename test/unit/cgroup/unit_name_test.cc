#include "cgroup/unit_name.h"

#include <catch2/catch.hpp>

using namespace crisp::cgroup;

TEST_CASE("the systemd driver accepts slices as cgroup_parent and refuses everything else") {
  CHECK(*ParseSlice("test.slice") == "test.slice");
  CHECK(*ParseSlice("/test.slice") == "test.slice");  // as critest sends it
  CHECK(*ParseSlice("kubepods-besteffort-pod12_ab.slice") == "kubepods-besteffort-pod12_ab.slice");
  CHECK(*ParseSlice("/a.slice/a-b.slice") == "a-b.slice");
  CHECK(*ParseSlice("a.slice/a-b.slice/") == "a-b.slice");
  CHECK(*ParseSlice("-.slice") == "-.slice");
  for (const char* bad : {"", "/", "pods", "/kubepods/burstable/pod1", ".slice", "-a.slice",
                          "a-.slice", "a--b.slice", "a b.slice", "a/b.slice", "/b.slice/a-b.slice",
                          "a.slice/../b.slice", "crisp.scope", "x\n.slice"}) {
    INFO(bad);
    CHECK(absl::IsInvalidArgument(ParseSlice(bad).status()));
  }
  CHECK(ParseSlice(std::string(249, 'a') + ".slice").ok());
  CHECK_FALSE(ParseSlice(std::string(250, 'a') + ".slice").ok());
}

TEST_CASE("slices have the paths that systemd gives them") {
  using Slices = std::vector<std::string>;
  CHECK(SliceChain("a-b-c.slice") == Slices{"a.slice", "a-b.slice", "a-b-c.slice"});
  CHECK(SliceChain("-.slice").empty());
  CHECK(SlicePath("a-b.slice") == "/a.slice/a-b.slice");
  CHECK(SlicePath("-.slice").empty());
}
