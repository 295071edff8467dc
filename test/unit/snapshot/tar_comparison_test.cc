// The comparison of the fuzz target tar_reader passes over what it names, and over nothing else.
#include "test/fuzz/tar_comparison.h"

#include <catch2/catch.hpp>
#include <vector>

#include "snapshot/tar_extensions.h"

using namespace crisp::snapshot;

namespace {

const std::string kMapError = "a sparse file has more or fewer bytes than its map says";
const TarList kWhole = {.lines = "a\nb\n", .end = TarEnd::kWhole, .error = ""};
const TarList kLarge = {.lines = "a\n", .end = TarEnd::kLarge, .error = ""};

TarList Failed(const std::string& lines, const std::string& error) {
  return {.lines = lines, .end = TarEnd::kError, .error = error};
}

}  // namespace

TEST_CASE("lists of tar readers that are equal are the same files") {
  CHECK(SameFiles(kWhole, "a\nb\n"));
  CHECK(SameFiles({}, ""));
  CHECK(SameFiles(kLarge, "a\nlarge\n"));
  // An archive that is not taken has no files, wherever a reader finds what is wrong.
  CHECK(SameFiles(Failed("a\n", "any"), "error"));
}

TEST_CASE("a list with another entry, one more, one less or another end is a difference") {
  CHECK_FALSE(SameFiles(kWhole, "a\nc\n"));
  CHECK_FALSE(SameFiles(kWhole, "a\n"));
  CHECK_FALSE(SameFiles(kWhole, "a\nb\nc\n"));
  CHECK_FALSE(SameFiles(kWhole, ""));
  CHECK_FALSE(SameFiles(kWhole, "error"));
  CHECK_FALSE(SameFiles({}, "error"));
  CHECK_FALSE(SameFiles(Failed("", "any"), ""));
  CHECK_FALSE(SameFiles(Failed("a\nb\n", "any"), "a\nb\n"));
  CHECK_FALSE(SameFiles(kWhole, "a\nb\nlarge\n"));
  CHECK_FALSE(SameFiles(kLarge, "a\n"));
  CHECK_FALSE(SameFiles(kLarge, "a\nb\n"));
  CHECK_FALSE(SameFiles(kLarge, "error"));
  CHECK_FALSE(SameFiles(kLarge, "b\nlarge\n"));
}

TEST_CASE("only a map that does not fit a large file may be wrong for crisp alone") {
  CHECK(SameFiles(Failed("a\n", kMapError), "a\nlarge\n"));
  CHECK(SameFiles(Failed("", kMapError), "large\n"));
  // Another error at the large file, or this one at another entry.
  CHECK_FALSE(SameFiles(Failed("a\n", "the checksum is wrong"), "a\nlarge\n"));
  CHECK_FALSE(SameFiles(Failed("a\n", "a sparse file of unknown format"), "a\nlarge\n"));
  CHECK_FALSE(SameFiles(Failed("", kMapError), "a\nlarge\n"));
  CHECK_FALSE(SameFiles(Failed("a\nb\n", kMapError), "a\nlarge\n"));
  CHECK_FALSE(SameFiles(Failed("b\n", kMapError), "a\nlarge\n"));
  CHECK_FALSE(SameFiles(Failed("a\n", kMapError), "a\n"));
  CHECK_FALSE(SameFiles(Failed("a\n", kMapError), "a\nb\n"));
}

TEST_CASE("the error that the comparison knows is the reader's") {
  std::vector<SparseRegion> regions = {{0, 4}};
  CHECK(CheckSparse(regions, 10, 3).message() == kMapError);
  CHECK(CheckSparse(regions, 10, 5).message() == kMapError);
  CHECK(CheckSparse(regions, 10, 4).ok());
}
