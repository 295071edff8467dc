#include "store/index.h"

#include <catch2/catch.hpp>

#include "base/id.h"

namespace crisp::store {
namespace {

struct Thing {
  explicit Thing(const char* id) : id_(std::string(id)) {}
  const base::ContainerId& id() const { return id_; }
  base::ContainerId id_;
};

TEST_CASE("an object is found by its id or a prefix that only it has") {
  Index<Thing> index("thing");
  for (const char* id : {"abc1", "abc2", "abc2x", "b"}) {
    index.Add(std::make_shared<Thing>(id));
  }
  CHECK((*index.Find("b"))->id().str() == "b");
  CHECK((*index.Find("abc1"))->id().str() == "abc1");
  // An id that is the beginning of another one is still its own.
  CHECK((*index.Find("abc2"))->id().str() == "abc2");
  CHECK(absl::IsInvalidArgument(index.Find("abc").status()));
  CHECK(absl::IsInvalidArgument(index.Find("a").status()));
  for (const char* unknown : {"", "abd", "abc2xy", "zzz", "ABC1"}) {
    INFO(unknown);
    CHECK(absl::IsNotFound(index.Find(unknown).status()));
  }
  CHECK(index.Find("zzz").status().message() == "thing \"zzz\" not found");

  index.Remove(Thing("abc1"));
  index.Remove(Thing("abc1"));
  CHECK(absl::IsNotFound(index.Find("abc1").status()));
  CHECK(index.List().size() == 3);
}

TEST_CASE("an object taken out lives on with those who hold it") {
  Index<Thing> index("thing");
  index.Add(std::make_shared<Thing>("a"));
  const std::shared_ptr<Thing> held = *index.Find("a");
  index.Remove(Thing("a"));
  CHECK(held->id().str() == "a");
  CHECK(index.List().empty());
}

}  // namespace
}  // namespace crisp::store
