// The unpacked tree equals what GNU tar extracts from the same archive: type, mode, ids, times with
// nanoseconds, sizes, contents, attributes, links, devices. Random archives from a fixed seed.
#include <random>

#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
namespace {

class RandomTar {
 public:
  explicit RandomTar(uint32_t seed) : random_(seed) {}

  std::string Make() {
    constexpr int kEntries = 120;
    tar_.Dir("./", 0755);
    for (int i = 0; i < kEntries; ++i) Entry(i);
    return tar_.Done();
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  std::string Name(int i) {
    const std::string& directory = directories_[Below(static_cast<uint32_t>(directories_.size()))];
    std::string name = absl::StrCat(directory, Below(3) == 0 ? "N\xc3\xa4me-" : "n", i);
    if (Below(10) == 0) name += std::string(120, 'l');
    return name;
  }

  static TarItem NamedAlso(TarItem file, const std::string& name) {
    file.type = '1';
    file.link = file.name;
    file.name = name;
    file.body.clear();
    return file;
  }

  void Entry(int i) {
    TarItem item;
    item.name = Name(i);
    static constexpr uint32_t kModes[] = {0644, 0755, 0600, 04755, 02755, 01777, 0, 0444, 06711};
    item.mode = kModes[Below(9)];
    item.uid = Below(3) == 0 ? Below(1u << 31) : 0;
    item.gid = Below(3) == 0 ? Below(70'000) : 0;
    if (Below(2) == 0) {
      item.pax.emplace_back("mtime", absl::StrCat(Below(2'000'000'000), ".", 100'000'000 + i));
    }
    switch (Below(8)) {
      case 0:
      case 1:
        item.type = '5';
        directories_.push_back(item.name + "/");
        break;
      case 2:
        item.type = '2';
        item.link = Below(2) == 0 ? "/etc/passwd" : "../" + std::string(Below(200), 't');
        if (item.link.empty()) item.link = "x";
        break;
      case 3:
        if (files_.empty()) return;
        // GNU tar takes nothing but the name from the entry of a hard link.
        tar_.Add(NamedAlso(files_[Below(static_cast<uint32_t>(files_.size()))], item.name));
        return;
      case 4:
        item.type = "346"[Below(3)];
        item.major = Below(300) + 1;
        item.minor = Below(100'000);
        break;
      default:
        item.body = std::string(Below(4) == 0 ? Below(300'000) : Below(2000), 'b');
        for (char& c : item.body) c = static_cast<char>(random_());
        if (Below(4) == 0) item.pax.emplace_back("SCHILY.xattr.user.mime", "text/plain");
        if (Below(8) == 0) {
          item.pax.emplace_back("SCHILY.xattr.security.capability",
                                std::string("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
        }
        // No hard links to long names, which need pax records.
        if (item.name.size() < 100) files_.push_back(item);
    }
    tar_.Add(item);
  }

  std::mt19937 random_;
  TarBuilder tar_;
  std::vector<std::string> directories_ = {""};
  std::vector<TarItem> files_;
};

TEST_CASE("random archives unpack to the same tree as with GNU tar") {
  constexpr uint32_t kSeeds = 15;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    INFO("seed " << seed);
    StoreFixture fix;
    const std::string tar = RandomTar(seed).Make();
    const auto chain = fix.Unpack(tar);
    INFO(chain.status());
    REQUIRE(chain.ok());
    const std::string dir = TempDir();
    REQUIRE(base::WriteFileAtomic(dir + "/a.tar", tar, 0600).ok());
    REQUIRE(mkdir((dir + "/x").c_str(), 0755) == 0);
    const std::string command =
        absl::StrCat("tar -C ", dir, "/x -xpf ", dir, "/a.tar --numeric-owner --same-owner ",
                     "--warning=no-timestamp "
                     "--xattrs --xattrs-include='*' --delay-directory-restore 2>&1");
    REQUIRE(system(command.c_str()) == 0);
    const std::string expected = Describe(dir + "/x");
    const std::string got = Describe(fix.Directory(*chain));
    REQUIRE(base::RemoveTree(dir).ok());
    REQUIRE(got == expected);
  }
}

TEST_CASE("sparse files of GNU tar are unpacked with their holes") {
  StoreFixture fix;
  const std::string dir = TempDir();
  const std::string script = absl::StrCat(
      "cd ", dir,
      " && truncate -s 50M s && printf data | dd of=s bs=1 seek=20000000 conv=notrunc "
      "2>/dev/null && truncate -s 60M s && for f in gnu posix; do tar --format=$f -Scf $f.tar s; "
      "done && tar --format=posix --sparse-version=0.1 -Scf old.tar s");
  REQUIRE(system(script.c_str()) == 0);
  for (const char* name : {"/gnu.tar", "/posix.tar", "/old.tar"}) {
    const auto chain = fix.Unpack(*base::ReadFile(dir + name));
    INFO(name << chain.status());
    REQUIRE(chain.ok());
    const struct stat info = Stat(fix.Directory(*chain) + "/s");
    REQUIRE(info.st_size == 60 << 20);
    REQUIRE(info.st_blocks * 512 < 1 << 20);
    const int same = system(absl::StrCat("cmp ", dir, "/s ", fix.Directory(*chain), "/s").c_str());
    REQUIRE(same == 0);
  }
  REQUIRE(base::RemoveTree(dir).ok());
}

TEST_CASE("the tree does not depend on crispd's umask or the order of entries") {
  StoreFixture fix;
  const mode_t before = umask(077);
  TarBuilder tar;
  tar.Dir("a", 0777).File("a/f").Dir("b").File("a/g").File("implicit/h").File("a/sub/i");
  const auto chain = fix.Unpack(tar.Done());
  umask(before);
  REQUIRE(chain.ok());
  const std::string directory = fix.Directory(*chain);
  REQUIRE((Stat(directory).st_mode & 07777) == 0755);
  REQUIRE((Stat(directory + "/a").st_mode & 07777) == 0777);
  REQUIRE((Stat(directory + "/a/f").st_mode & 07777) == 0644);
  REQUIRE((Stat(directory + "/implicit").st_mode & 07777) == 0755);
  REQUIRE(Stat(directory + "/a").st_mtim.tv_sec == 1'600'000'000);
}

}  // namespace
}  // namespace crisp::snapshot
