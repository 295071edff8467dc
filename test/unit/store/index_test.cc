#include "store/index.h"

#include <catch2/catch.hpp>

namespace crisp::store {
namespace {

struct Thing {
  std::string id_;
  const std::string& id() const { return id_; }
};

TEST_CASE("an object is found by its id or a prefix that only it has") {
  Index<Thing> index("thing");
  for (const char* id : {"abc1", "abc2", "abc2x", "b"}) {
    index.Add(std::make_shared<Thing>(Thing{id}));
  }
  CHECK((*index.Find("b"))->id() == "b");
  CHECK((*index.Find("abc1"))->id() == "abc1");
  // An id that is the beginning of another one is still its own.
  CHECK((*index.Find("abc2"))->id() == "abc2");
  CHECK(absl::IsInvalidArgument(index.Find("abc").status()));
  CHECK(absl::IsInvalidArgument(index.Find("a").status()));
  for (const char* unknown : {"", "abd", "abc2xy", "zzz", "ABC1"}) {
    INFO(unknown);
    CHECK(absl::IsNotFound(index.Find(unknown).status()));
  }
  CHECK(index.Find("zzz").status().message() == "thing \"zzz\" not found");

  index.Remove("abc1");
  index.Remove("abc1");
  CHECK(absl::IsNotFound(index.Find("abc1").status()));
  CHECK(index.List().size() == 3);
}

TEST_CASE("an object taken out lives on with those who hold it") {
  Index<Thing> index("thing");
  index.Add(std::make_shared<Thing>(Thing{"a"}));
  const std::shared_ptr<Thing> held = *index.Find("a");
  index.Remove("a");
  CHECK(held->id() == "a");
  CHECK(index.List().empty());
}

}  // namespace
}  // namespace crisp::store
