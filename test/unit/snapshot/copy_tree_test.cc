#include "snapshot/copy_tree.h"

#include <fcntl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "store_fixture.h"

namespace crisp::snapshot {
namespace {

absl::Status Proceed() { return absl::OkStatus(); }

// `to` is a new directory.
absl::Status CopyInto(TreeCopier& copier, const std::string& from, const std::string& to,
                      const std::string& leave_empty = "") {
  const auto source = base::Open(from, O_PATH | O_DIRECTORY);
  REQUIRE(source.ok());
  REQUIRE(base::MakeDirs(to, 0700).ok());
  return copier.Copy(source->get(), to.substr(to.rfind('/') + 1),
                     [&](absl::string_view path) { return path == leave_empty; });
}

absl::Status CopyDirectory(const std::string& from, const std::string& to,
                           const UnpackLimits& limits = {}) {
  const auto parent = base::Open(to.substr(0, to.rfind('/')), O_RDONLY | O_DIRECTORY);
  REQUIRE(parent.ok());
  TreeCopier copier(parent->get(), limits, Proceed);
  return CopyInto(copier, from, to);
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
  // What is not copied.
  REQUIRE(unlink((from + "/whiteout").c_str()) == 0);
  REQUIRE(removexattr((from + "/deep").c_str(), "trusted.overlay.opaque") == 0);
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

TEST_CASE("a tree of an image cannot make the copy take much memory") {
  const std::string directory = TempDir();
  const std::string from = directory + "/from";
  REQUIRE(base::MakeDirs(from, 0755).ok());
  const std::string longest(240, 'n');
  bool links = false;
  SECTION("of directories beside each other") {}
  SECTION("of hard links") { links = true; }
  for (size_t kept = 0; kept <= TreeCopier::kMaxKept; kept += longest.size()) {
    const std::string name = absl::StrCat(from, "/", longest, kept);
    if (!links) {
      REQUIRE(mkdir(name.c_str(), 0755) == 0);
      continue;
    }
    REQUIRE(mknod(name.c_str(), S_IFREG | 0644, 0) == 0);
    REQUIRE(link(name.c_str(), (name + "l").c_str()) == 0);
  }
  const absl::Status copied = CopyDirectory(from, directory + "/to");
  CHECK(absl::IsResourceExhausted(copied));
  CHECK(absl::StrContains(copied.message(), "too many directories or hard links"));
  REQUIRE(base::RemoveTree(directory).ok());
}

TEST_CASE("many directories are copied when they do not wait at the same time") {
  const std::string directory = TempDir();
  const std::string from = directory + "/from";
  const std::string name(250, 'n');
  for (int i = 0; i < 150; ++i) {
    for (int k = 0; k < 150; ++k)
      REQUIRE(base::MakeDirs(absl::StrCat(from, "/", name, i, "/", name, k), 0755).ok());
  }
  REQUIRE(CopyDirectory(from, directory + "/to") == absl::OkStatus());
  CHECK(Exists(absl::StrCat(directory, "/to/", name, "149/", name, "149")));
  REQUIRE(base::RemoveTree(directory).ok());
}

TEST_CASE("copies of one container have a file with links between them once") {
  const std::string directory = TempDir();
  REQUIRE(base::MakeDirs(directory + "/from/a", 0755).ok());
  REQUIRE(base::MakeDirs(directory + "/from/b/below", 0755).ok());
  const std::string file = directory + "/from/a/file";
  REQUIRE(base::WriteFileAtomic(file, "text", 0644).ok());
  REQUIRE(link(file.c_str(), (directory + "/from/b/link").c_str()) == 0);
  REQUIRE(base::WriteFileAtomic(directory + "/from/b/below/other", "", 0644).ok());
  REQUIRE(base::MakeDirs(directory + "/to", 0700).ok());
  const auto to = base::Open(directory + "/to", O_RDONLY | O_DIRECTORY);
  TreeCopier copier(to->get(), {}, Proceed);
  REQUIRE(CopyInto(copier, directory + "/from/a", directory + "/to/0").ok());
  REQUIRE(CopyInto(copier, directory + "/from/b", directory + "/to/1", "/below").ok());
  CHECK(Stat(directory + "/to/0/file").st_ino == Stat(directory + "/to/1/link").st_ino);
  // A directory that is left to another copy is made, and empty.
  CHECK(base::ListDir(directory + "/to/1/below")->empty());
  REQUIRE(base::RemoveTree(directory).ok());
}

TEST_CASE("a copy ends when it is not wanted any more") {
  const std::string directory = TempDir();
  REQUIRE(base::MakeDirs(directory + "/from", 0755).ok());
  REQUIRE(base::MakeDirs(directory + "/to", 0700).ok());
  for (const char* name : {"a", "b", "c"})
    REQUIRE(base::WriteFileAtomic(absl::StrCat(directory, "/from/", name), "x", 0644).ok());
  const auto to = base::Open(directory + "/to", O_RDONLY | O_DIRECTORY);
  int asked = 0;
  TreeCopier copier(to->get(), {}, [&] {
    return ++asked < 3 ? absl::OkStatus() : absl::FailedPreconditionError("stopped");
  });
  CHECK(absl::IsFailedPrecondition(CopyInto(copier, directory + "/from", directory + "/to/0")));
  CHECK(base::ListDir(directory + "/to/0")->size() < 3);
  REQUIRE(base::RemoveTree(directory).ok());
}

}  // namespace crisp::snapshot
