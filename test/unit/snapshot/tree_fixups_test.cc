#include "snapshot/tree_fixups.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "base/file.h"

namespace crisp::snapshot {

TEST_CASE("the look-ups for a deep name grow with its depth, not with its square") {
  char root[] = "/tmp/crisp-test-fixups-XXXXXX";
  REQUIRE(mkdtemp(root) != nullptr);
  const absl::Cleanup remove = [&] { (void)base::RemoveTree(root); };
  constexpr int kDepth = 1000;
  Deferred deferred;
  base::UniqueFd here(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string path;
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(mkdirat(here.get(), "d", 0755) == 0);
    here.reset(openat(here.get(), "d", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat info;
    REQUIRE(fstat(here.get(), &info) == 0);
    path += i == 0 ? "d" : "/d";
    deferred.implicit_directories[info.st_ino] = path;
  }
  const base::UniqueFd top(open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<base::UniqueFd> layers;
  layers.emplace_back(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  MergedTree merged(std::move(layers), deferred.opaque, /*max_lookups=*/4 * kDepth);
  SpaceGuard guard(top.get(), {});
  const absl::Status status = ApplyFixups(top.get(), merged, deferred, guard);
  INFO(status);
  CHECK(status.ok());
}

}  // namespace crisp::snapshot
