// Layers that depend on lower layers: hard links, directories without an entry, links in place of
// directories. The last test compares with overlayfs.
#include <sys/mount.h>
#include <unistd.h>

#include "linux/overlay.h"
#include "snapshot/tree_metadata.h"
#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
namespace {

using B = TarBuilder;

TarItem Item(const std::string& name, char type, uint32_t mode, uint64_t uid) {
  TarItem item;
  item.name = name;
  item.type = type;
  item.mode = mode;
  item.uid = uid;
  item.gid = uid + 1;
  item.mtime = 1'500'000'000;
  if (type != '2') item.pax = {{"SCHILY.xattr.user.note", "kept"}};
  return item;
}

// An entry with the metadata of `file`.
TarItem LinkTo(TarItem file, const std::string& name) {
  file.type = '1';
  file.link = file.name;
  file.name = name;
  file.body.clear();
  return file;
}

TEST_CASE("a hard link to a file of a lower layer copies it with all metadata") {
  StoreFixture fix;
  TarItem file = Item("d/file", '0', 04755, 1000);
  file.body = std::string(100'000, 'b');
  const oci::ChainId lower = *fix.Unpack(B().Add(Item("d", '5', 0750, 7)).Add(file).Done());
  const auto upper =
      fix.Unpack(B().Add(LinkTo(file, "link")).Add(LinkTo(file, "again")).Done(), lower);
  INFO(upper.status());
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  const struct stat copy = Stat(directory + "/d/file");
  REQUIRE(copy.st_nlink == 3);
  REQUIRE(copy.st_ino == Stat(directory + "/link").st_ino);
  REQUIRE(copy.st_ino == Stat(directory + "/again").st_ino);
  REQUIRE(Describe(fix.Directory(lower) + "/d/file").substr(0, 30) !=
          Describe(directory + "/d/file").substr(0, 30));  // only the number of links differs
  REQUIRE((copy.st_mode & 07777) == 04755);
  REQUIRE(copy.st_uid == 1000);
  REQUIRE(copy.st_mtim.tv_sec == 1'500'000'000);
  REQUIRE(Xattr(directory + "/d/file", "user.note") == "kept");
  REQUIRE(*base::ReadFile(directory + "/link") == file.body);
  // Likewise the directory that was made for it.
  REQUIRE(Describe(directory + "/d", false).substr(0, 14) ==
          Describe(fix.Directory(lower) + "/d", false).substr(0, 14));
  REQUIRE(Stat(directory + "/d").st_mtim.tv_sec == 1'500'000'000);
}

TEST_CASE("hard links to links, devices and FIFOs of lower layers work") {
  StoreFixture fix;
  const oci::ChainId lower =
      *fix.Unpack(B().Link("l", "/nowhere").Device("n", '3', 1, 3).Typed("p", '6').Done());
  const auto upper = fix.Unpack(B().Hard("l2", "l").Hard("n2", "n").Hard("p2", "p").Done(), lower);
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  REQUIRE(Target(directory + "/l2") == "/nowhere");
  REQUIRE(Stat(directory + "/n2").st_rdev == makedev(1, 3));
  REQUIRE(S_ISFIFO(Stat(directory + "/p2").st_mode));
}

TEST_CASE("a hard link finds the top-most file that no whiteout hides") {
  StoreFixture fix;
  const oci::ChainId one = *fix.Unpack(B().File("f", "old").File("gone", "x").File("d/g").Done());
  const oci::ChainId two =
      *fix.Unpack(B().File("f", "new").File(".wh.gone").File("d/.wh..wh..opq").Done(), one);
  const auto upper = fix.Unpack(B().Hard("h", "f").Done(), two);
  REQUIRE(upper.ok());
  REQUIRE(*base::ReadFile(fix.Directory(*upper) + "/h") == "new");
  REQUIRE(absl::IsInvalidArgument(fix.Unpack(B().Hard("h", "gone").Done(), two).status()));
  REQUIRE(absl::IsInvalidArgument(fix.Unpack(B().Hard("h", "d/g").Done(), two).status()));
}

TEST_CASE("a lower file that a layer links and then deletes stays under the new name") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(B().File("a", "text").Done());
  const auto upper = fix.Unpack(B().Hard("b", "a").File(".wh.a").Done(), lower);
  REQUIRE(upper.ok());
  REQUIRE(*base::ReadFile(fix.Directory(*upper) + "/b") == "text");
  REQUIRE(IsWhiteoutAt(fix.Directory(*upper) + "/a"));
}

TEST_CASE("a later entry replaces a deferred hard link") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(B().File("a", "lower").Done());
  const auto upper = fix.Unpack(B().Hard("b", "a").File("b", "later").Done(), lower);
  REQUIRE(upper.ok());
  REQUIRE(*base::ReadFile(fix.Directory(*upper) + "/b") == "later");
}

TEST_CASE("a directory without an entry gets the metadata of the lower one") {
  StoreFixture fix;
  const oci::ChainId lower =
      *fix.Unpack(B().Add(Item("tmp", '5', 01777, 5)).Add(Item("root", '5', 0700, 6)).Done());
  const auto upper =
      fix.Unpack(B().File("tmp/f").File("root/f").Dir("root", 0711).File("new/f").Done(), lower);
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  const struct stat tmp = Stat(directory + "/tmp");
  REQUIRE((tmp.st_mode & 07777) == 01777);
  REQUIRE(tmp.st_uid == 5);
  REQUIRE(tmp.st_mtim.tv_sec == 1'500'000'000);
  REQUIRE(Xattr(directory + "/tmp", "user.note") == "kept");
  REQUIRE((Stat(directory + "/root").st_mode & 07777) == 0711);
  REQUIRE((Stat(directory + "/new").st_mode & 07777) == 0755);
}

TEST_CASE("a file below lib goes to usr/lib when a lower layer links lib there") {
  StoreFixture fix;
  const oci::ChainId lower =
      *fix.Unpack(B().Dir("usr").Add(Item("usr/lib", '5', 0751, 3)).Link("lib", "usr/lib").Done());
  const auto upper = fix.Unpack(
      B().File("lib/a.so", "a").File("usr/lib/b.so", "b").File("lib/sub/c.so", "c").Done(), lower);
  INFO(upper.status());
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  REQUIRE_FALSE(Exists(directory + "/lib"));
  REQUIRE(*base::ReadFile(directory + "/usr/lib/a.so") == "a");
  REQUIRE(*base::ReadFile(directory + "/usr/lib/b.so") == "b");
  REQUIRE(*base::ReadFile(directory + "/usr/lib/sub/c.so") == "c");
  REQUIRE((Stat(directory + "/usr/lib").st_mode & 07777) == 0751);
}

TEST_CASE("links of lower layers do not lead out of the layer") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(B().Link("loop", "loop")
                                             .Link("one", "two")
                                             .Link("two", "one")
                                             .Link("self", "self/x")
                                             .Link("up", "../../../../..")
                                             .Link("out", fix.Canary())
                                             .Done());
  const auto upper = fix.Unpack(B().File("loop/f")
                                    .File("one/f")
                                    .File("self/f")
                                    .File("up/top")
                                    .File("out/secret", "evil")
                                    .Done(),
                                lower);
  INFO(upper.status());
  REQUIRE(upper.ok());
  REQUIRE(Exists(fix.Directory(*upper) + "/top"));
  REQUIRE(Exists(fix.Directory(*upper) + fix.Canary() + "/secret"));
  REQUIRE(fix.CanaryUntouched());
}

TEST_CASE("the overlay mounted from a view shows the image") {
  StoreFixture fix;
  const oci::ChainId one = *fix.Unpack(B().File("keep", "1")
                                           .File("gone", "1")
                                           .Dir("dir")
                                           .File("dir/old", "1")
                                           .File("was/file", "1")
                                           .Done());
  const oci::ChainId two = *fix.Unpack(B().File(".wh.gone")
                                           .File("dir/.wh..wh..opq")
                                           .File("dir/new", "2")
                                           .File(".wh.was")
                                           .Dir("was")
                                           .File("was/other", "2")
                                           .Hard("linked", "keep")
                                           .Done(),
                                       one);
  const auto view = fix.store->Prepare(std::string(64, 'e'), two, Owner{});
  REQUIRE(view.ok());
  const std::string where = fix.Canary() + "/sub";
  char* old = getcwd(nullptr, 0);
  REQUIRE(chdir(view->base.c_str()) == 0);
  const std::string options = absl::StrCat("lowerdir=", view->lowers[0], ":", view->lowers[1],
                                           ",upperdir=", view->upper, ",workdir=", view->work);
  const int mounted = mount("overlay", where.c_str(), "overlay", 0, options.c_str());
  REQUIRE(chdir(old) == 0);
  free(old);
  REQUIRE(mounted == 0);
  std::vector<std::string> top = *base::ListDir(where);
  std::vector<std::string> dir = *base::ListDir(where + "/dir");
  std::vector<std::string> was = *base::ListDir(where + "/was");
  const std::string linked = *base::ReadFile(where + "/linked");
  REQUIRE(umount2(where.c_str(), MNT_DETACH) == 0);
  REQUIRE(top == std::vector<std::string>{"dir", "keep", "linked", "was"});
  REQUIRE(dir == std::vector<std::string>{"new"});
  REQUIRE(was == std::vector<std::string>{"other"});
  REQUIRE(linked == "1");
}

TEST_CASE("one can look into 500 layers, more than a page of mount options names") {
  const std::string base = TempDir();
  std::vector<std::string> lowers;
  for (int i = 0; i < 500; ++i) {
    lowers.push_back(absl::StrCat("layers/", 10'000 + i, "/fs"));
    const std::string directory = absl::StrCat(base, "/", lowers.back());
    REQUIRE(base::MakeDirs(directory, 0755).ok());
    REQUIRE(base::WriteFileAtomic(absl::StrCat(directory, "/", i), "x", 0644).ok());
  }
  {
    const auto root = linux::OpenOverlay(base, lowers);
    INFO(root.status());
    REQUIRE(root.ok());
    for (const char* name : {"0", "250", "499"}) {
      CHECK(faccessat(root->get(), name, F_OK, 0) == 0);
    }
  }
  CHECK(base::ListDir(base)->size() == 1);  // nothing is mounted there for others
  lowers.push_back("layers/0/fs");
  CHECK(absl::IsInvalidArgument(linux::OpenOverlay(base, lowers).status()));
  REQUIRE(base::RemoveTree(base).ok());
}

TEST_CASE("an opaque root hides all lower layers") {
  StoreFixture fix;
  const oci::ChainId one = *fix.Unpack(B().File("a").Done());
  const oci::ChainId two = *fix.Unpack(B().File(".wh..wh..opq").File("b").Done(), one);
  const oci::ChainId three = *fix.Unpack(B().File("c").Done(), two);
  REQUIRE(fix.store->View(three)->lowers == std::vector<std::string>{"layers/3/fs", "layers/2/fs"});
  fix.Reopen();
  REQUIRE(fix.store->View(three)->lowers.size() == 2);
}

}  // namespace
}  // namespace crisp::snapshot
