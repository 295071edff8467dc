#include "snapshot/copy_tree.h"

#include <fcntl.h>

#include "store_fixture.h"

namespace crisp::snapshot {
namespace {

absl::Status CopyDirectory(const std::string& from, const std::string& to,
                           const UnpackLimits& limits = {}) {
  const auto source = base::Open(from, O_PATH | O_DIRECTORY);
  REQUIRE(base::MakeDirs(to, 0700).ok());
  const auto target = base::Open(to, O_PATH | O_DIRECTORY);
  REQUIRE((source.ok() && target.ok()));
  SpaceGuard guard(target->get(), limits);
  return CopyTree(source->get(), target->get(), guard);
}

}  // namespace

TEST_CASE("a copied tree is the same: owners, modes, times, links, devices, attributes") {
  const std::string directory = TempDir();
  const std::string from = directory + "/from";
  const auto make = [&](const std::string& name, const std::string& text, mode_t mode) {
    REQUIRE(base::WriteFileAtomic(from + "/" + name, text, 0600).ok());
    REQUIRE(chmod((from + "/" + name).c_str(), mode) == 0);
  };
  REQUIRE(base::MakeDirs(from + "/deep/er", 0755).ok());
  make("file", "text", 0640);
  make("empty", "", 0444);
  make("deep/setuid", "x", 04755);
  REQUIRE(chown((from + "/file").c_str(), 999, 998) == 0);
  REQUIRE(link((from + "/file").c_str(), (from + "/deep/er/hard").c_str()) == 0);
  REQUIRE(symlink("/etc/passwd", (from + "/link").c_str()) == 0);
  REQUIRE(lchown((from + "/link").c_str(), 7, 8) == 0);
  REQUIRE(mkfifo((from + "/fifo").c_str(), 0622) == 0);
  REQUIRE(mknod((from + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  REQUIRE(mknod((from + "/whiteout").c_str(), S_IFCHR, 0) == 0);
  const char capability[20] = {0, 0, 0, 2, 0, 4};  // VFS_CAP_REVISION_2
  REQUIRE(setxattr((from + "/empty").c_str(), "security.capability", capability, 20, 0) == 0);
  REQUIRE(setxattr((from + "/deep").c_str(), "user.of", "directory", 9, 0) == 0);
  REQUIRE(setxattr((from + "/deep").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
  REQUIRE(chmod(from.c_str(), 01777) == 0);
  REQUIRE(chown(from.c_str(), 999, 999) == 0);
  const timespec times[2] = {{.tv_sec = 5, .tv_nsec = 6}, {.tv_sec = 7, .tv_nsec = 8}};
  REQUIRE(utimensat(AT_FDCWD, (from + "/deep").c_str(), times, 0) == 0);

  REQUIRE(CopyDirectory(from, directory + "/to") == absl::OkStatus());
  CHECK_FALSE(Exists(directory + "/to/whiteout"));
  REQUIRE(unlink((from + "/whiteout").c_str()) == 0);
  REQUIRE(utimensat(AT_FDCWD, from.c_str(), times, 0) == 0);
  REQUIRE(utimensat(AT_FDCWD, (directory + "/to").c_str(), times, 0) == 0);
  CHECK(Describe(directory + "/to") == Describe(from));
  CHECK(Xattr(directory + "/to/empty", "security.capability") == std::string(capability, 20));
  CHECK(Xattr(directory + "/to/deep", "user.of") == "directory");
  CHECK(Xattr(directory + "/to/deep", "trusted.overlay.opaque") == "(none)");
  REQUIRE(base::RemoveTree(directory).ok());
}

TEST_CASE("a copy ends before the disk is full") {
  const std::string directory = TempDir();
  REQUIRE(base::MakeDirs(directory + "/from", 0755).ok());
  const std::string text(20 << 20, 'x');
  REQUIRE(base::WriteFileAtomic(directory + "/from/file", text, 0644).ok());
  UnpackLimits limits;
  limits.min_free_bytes = uint64_t{1} << 60;
  CHECK(absl::IsResourceExhausted(CopyDirectory(directory + "/from", directory + "/to", limits)));
  REQUIRE(base::RemoveTree(directory).ok());
}

TEST_CASE("a copied tree has holes where its source has, and no bounds of descriptors") {
  const std::string directory = TempDir();
  const std::string from = directory + "/from";
  std::string deep = from;
  for (int i = 0; i < 1500; ++i) deep += "/d";
  REQUIRE(base::MakeDirs(deep, 0755).ok());
  {
    const base::UniqueFd file(open((from + "/sparse").c_str(), O_WRONLY | O_CREAT, 0644));
    REQUIRE(pwrite(file.get(), "x", 1, off_t{1} << 30) == 1);
    REQUIRE(ftruncate(file.get(), off_t{3} << 30) == 0);
  }
  REQUIRE(CopyDirectory(from, directory + "/to") == absl::OkStatus());
  const struct stat sparse = Stat(directory + "/to/sparse");
  CHECK(sparse.st_size == off_t{3} << 30);
  CHECK(sparse.st_blocks * 512 < 1 << 20);
  CHECK(Exists(directory + "/to" + deep.substr(from.size())));
  REQUIRE(base::RemoveTree(directory).ok());
}

}  // namespace crisp::snapshot
