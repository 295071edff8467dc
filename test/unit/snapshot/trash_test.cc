// Trees that cannot be removed at once. Needs root, to mount.
#include "snapshot/trash.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/file.h"
#include "test/unit/eventually.h"
#include "test/unit/snapshot/await_empty.h"

namespace crisp::snapshot {
namespace {

TEST_CASE("a tree that cannot be removed now is removed once it can be") {
  std::string dir = "/tmp/trash-test-XXXXXX";
  REQUIRE(mkdtemp(dir.data()) != nullptr);
  const std::string trash_dir = dir + "/trash", tree = dir + "/tree", held = tree + "/held";
  for (const std::string& path : {trash_dir, held}) REQUIRE(base::MakeDirs(path, 0700).ok());
  REQUIRE(base::WriteFileAtomic(tree + "/file", "gone at the first attempt", 0600).ok());
  Trash trash(trash_dir);
  REQUIRE(trash.Start().ok());
  // Moves with the tree.
  REQUIRE(mount("none", held.c_str(), "tmpfs", 0, nullptr) == 0);
  REQUIRE(trash.Throw(tree).ok());
  const std::string thrown = trash_dir + "/" + base::ListDir(trash_dir)->front();
  struct stat info;
  CHECK(test::Eventually([&] { return stat((thrown + "/file").c_str(), &info) != 0; }));
  CHECK(umount((thrown + "/held").c_str()) == 0);
  CHECK(AwaitEmpty(trash_dir));
  CHECK(base::RemoveTree(dir).ok());
}

}  // namespace
}  // namespace crisp::snapshot
