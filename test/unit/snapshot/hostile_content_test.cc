// Layers with hostile inodes, headers and streams.
#include "test/unit/snapshot/hostile_layer.h"

namespace crisp::snapshot {
namespace {

std::string Capability() {
  return std::string("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

// user rw, uid 1000 r, group r, mask rw, other none; as Linux stores it.
std::string Acl() {
  std::string acl("\x02\0\0\0", 4);
  const std::pair<int, int> kEntries[] = {{1, 6}, {2, 4}, {4, 4}, {16, 6}, {32, 0}};
  for (const auto& [tag, permissions] : kEntries) {
    acl += std::string({static_cast<char>(tag), 0, static_cast<char>(permissions), 0});
    acl += tag == 2 ? std::string("\xe8\x03\0\0", 4) : std::string("\xff\xff\xff\xff", 4);
  }
  return acl;
}

B WithXattr(const std::string& name, const std::string& value, char type = '0') {
  TarItem item;
  item.name = "f";
  item.type = type;
  item.mode = 0660;
  item.pax = {{"SCHILY.xattr." + name, value}};
  return B().Add(item);
}

auto LacksXattr(const std::string& name) {
  return [name](const std::string& directory, const std::string&) {
    return Xattr(directory + "/f", name) == "(none)";
  };
}

TarItem WithIds(uint64_t uid, uint64_t gid) {
  TarItem item;
  item.name = "f";
  item.uid = uid;
  item.gid = gid;
  return item;
}

TarItem WithTime(const std::string& pax, uint64_t field = 0) {
  TarItem item;
  item.name = "f";
  item.mtime = field;
  if (!pax.empty()) item.pax = {{"mtime", pax}};
  return item;
}

std::vector<Hostile> Inodes() {
  return {
      {"raw character device 0:0", kRefused, [](auto&) { return One(B().Device("d", '3', 0, 0)); },
       Always},
      {"trusted.overlay.redirect", kHarmless,
       [](auto&) { return One(WithXattr("trusted.overlay.redirect", "/x", '5')); },
       LacksXattr("trusted.overlay.redirect")},
      {"trusted.overlay.opaque is dropped", kHarmless,
       [](auto&) { return One(WithXattr("trusted.overlay.opaque", "y", '5')); },
       LacksXattr("trusted.overlay.opaque")},
      {"trusted.overlay.metacopy", kHarmless,
       [](auto&) { return One(WithXattr("trusted.overlay.metacopy", "")); },
       LacksXattr("trusted.overlay.metacopy")},
      {"trusted.overlay.origin", kHarmless,
       [](auto&) { return One(WithXattr("trusted.overlay.origin", "x")); },
       LacksXattr("trusted.overlay.origin")},
      {"user.overlay.opaque", kHarmless,
       [](auto&) { return One(WithXattr("user.overlay.opaque", "y", '5')); },
       LacksXattr("user.overlay.opaque")},
      {"block device of the root disk", kHarmless,
       [](auto&) { return One(B().Device("d", '4', 254, 0)); },
       [](auto& directory, auto&) { return Stat(directory + "/d").st_rdev == makedev(254, 0); }},
      {"/dev/mem and /dev/kmsg nodes", kHarmless,
       [](auto&) { return One(B().Device("mem", '3', 1, 1).Device("kmsg", '3', 1, 11)); },
       [](auto& directory, auto&) { return Stat(directory + "/mem").st_rdev == makedev(1, 1); }},
      {"major out of range", kRefused,
       [](auto&) { return One(B().Device("d", '3', uint64_t{1} << 32, 1)); }, Always},
      {"minor out of range", kRefused,
       [](auto&) { return One(B().Device("d", '4', 8, uint64_t{1} << 20)); }, Always},
      {"setuid, setgid and sticky bits", kHarmless,
       [](auto&) {
         TarItem item = WithIds(1000, 1000);
         item.mode = 06755;
         return One(B().Add(item).Dir("t", 01777).Dir("g", 02775).File("g/child"));
       },
       [](auto& directory, auto&) {
         return (Stat(directory + "/f").st_mode & 07777) == 06755 &&
                (Stat(directory + "/t").st_mode & 07777) == 01777 &&
                (Stat(directory + "/g").st_mode & 07777) == 02775;
       }},
      {"security.capability is kept", kHarmless,
       [](auto&) { return One(WithXattr("security.capability", Capability())); },
       [](auto& directory, auto&) {
         return Xattr(directory + "/f", "security.capability") == Capability();
       }},
      {"security.selinux is dropped", kHarmless,
       [](auto&) { return One(WithXattr("security.selinux", "u:r:t")); },
       LacksXattr("security.selinux")},
      {"security.ima is dropped", kHarmless,
       [](auto&) { return One(WithXattr("security.ima", "x")); }, LacksXattr("security.ima")},
      {"security.evm is dropped", kHarmless,
       [](auto&) { return One(WithXattr("security.evm", "x")); }, LacksXattr("security.evm")},
      {"FIFO, directory and device at /etc/passwd", kHarmless,
       [](auto&) {
         return One(B().Typed("etc/passwd", '6').Dir("etc/group").Device("etc/shadow", '3', 1, 5));
       },
       [](auto& directory, auto&) { return S_ISFIFO(Stat(directory + "/etc/passwd").st_mode); }},
      {"unknown typeflags are files", kHarmless,
       [](auto&) { return One(B().Typed("s", 's').Typed("Z", 'Z')); },
       [](auto& directory, auto&) { return S_ISREG(Stat(directory + "/Z").st_mode); }},
      {"uid -1", kRefused, [](auto&) { return One(B().Add(WithIds(~uint64_t{0}, 0))); }, Always},
      {"gid -1", kRefused, [](auto&) { return One(B().Add(WithIds(0, ~uint64_t{0}))); }, Always},
      {"uid 2^32-1", kRefused, [](auto&) { return One(B().Add(WithIds(0xffffffff, 0))); }, Always},
      {"gid 2^32", kRefused, [](auto&) { return One(B().Add(WithIds(0, uint64_t{1} << 32))); },
       Always},
      {"uid 2^32-2 is the last one", kHarmless,
       [](auto&) { return One(B().Add(WithIds(0xfffffffe, 0xfffffffe))); },
       [](auto& directory, auto&) { return Stat(directory + "/f").st_uid == 0xfffffffe; }},
      {"mtime 2^63-1", kHarmless,
       [](auto&) { return One(B().Add(WithTime("9223372036854775807.999999999"))); }, Has("f")},
      {"mtime -2^63", kHarmless,
       [](auto&) { return One(B().Add(WithTime("-9223372036854775808.5"))); }, Has("f")},
      {"mtime in base-256", kHarmless,
       [](auto&) { return One(B().Add(WithTime("", ~uint64_t{0} - 100))); }, Has("f")},
      {"duplicate entries: the last one counts", kHarmless,
       [](auto&) { return One(B().File("f", "1").File("f", "2").Dir("d").Dir("d", 0700)); },
       [](auto& directory, auto&) { return *base::ReadFile(directory + "/f") == "2"; }},
      {"file, directory, symlink, directory under one name", kHarmless,
       [](auto& c) {
         return One(B().File("x").Dir("x").File("x/y").Link("x", c).Dir("x").File("x/secret"));
       },
       Has("x/secret")},
      {"hard link to itself", kRefused, [](auto&) { return One(B().Hard("h", "h")); }, Always},
      {"hard link to itself, existing", kHarmless,
       [](auto&) { return One(B().File("h").Hard("h", "./h")); }, Has("h")},
      {"hard link to a directory", kRefused, [](auto&) { return One(B().Dir("d").Hard("h", "d")); },
       Always},
      {"hard link to a directory of a lower layer", kRefused,
       [](auto&) {
         return Layers{B().Dir("d").Done(), B().Hard("h", "d").Done()};
       },
       Always},
      {"hard link to something missing", kRefused,
       [](auto&) { return One(B().Hard("h", "missing/f")); }, Always},
      {"attribute over 64 KiB", kRefused,
       [](auto&) { return One(WithXattr("user.big", std::string(65537, 'x'))); }, Always},
      {"10000 attributes", kRefused,
       [](auto&) {
         TarItem item;
         item.name = "f";
         for (int i = 0; i < 10'000; ++i) {
           item.pax.emplace_back(absl::StrCat("SCHILY.xattr.user.n", i), std::string(60, 'v'));
         }
         return One(B().Add(item));
       },
       Always},
      {"POSIX ACL", kHarmless,
       [](auto&) { return One(WithXattr("system.posix_acl_access", Acl())); },
       [](auto& directory, auto&) {
         return Xattr(directory + "/f", "system.posix_acl_access") == Acl();
       }},
      {"default ACL is not inherited by other entries", kHarmless,
       [](auto&) {
         B tar = WithXattr("system.posix_acl_default", Acl(), '5');
         return One(tar.File("f/child").Dir("f/sub", 0755));
       },
       [](auto& directory, auto&) {
         return Xattr(directory + "/f", "system.posix_acl_default") == Acl() &&
                Xattr(directory + "/f/child", "system.posix_acl_access") == "(none)" &&
                Xattr(directory + "/f/sub", "system.posix_acl_default") == "(none)" &&
                (Stat(directory + "/f/child").st_mode & 07777) == 0644 &&
                (Stat(directory + "/f/sub").st_mode & 07777) == 0755;
       }},
      {"malformed ACL", kRefused,
       [](auto&) { return One(WithXattr("system.posix_acl_access", "nonsense")); }, Always},
  };
}

std::string SparsePax(const std::string& real_size) {
  return B::PaxBody({{"GNU.sparse.major", "1"},
                     {"GNU.sparse.minor", "0"},
                     {"GNU.sparse.name", "sparse"},
                     {"GNU.sparse.realsize", real_size}});
}

std::vector<Hostile> Streams() {
  return {
      {"pax path leads out", kRefused,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("path", "../x")).File("f")); },
       Always},
      {"pax linkpath leads out", kRefused,
       [](auto& c) {
         return One(B().Header('x', "p", B::PaxRecord("linkpath", ".." + c)).Hard("h", "f"));
       },
       Always},
      {"pax size is negative", kRefused,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("size", "-1")).File("f")); },
       Always},
      {"pax size beyond the archive", kRefused,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("size", "99999999")).File("f")); },
       Always},
      {"malformed pax record", kRefused,
       [](auto&) { return One(B().Header('x', "p", "99 path=x\n").File("f")); }, Always},
      {"GNU long name of 1 GiB", kRefused,
       [](auto&) {
         TarItem item;
         item.name = "././@LongLink";
         item.type = 'L';
         return One(B().Raw(B::Block(item, 1 << 30)).Raw(std::string(1 << 20, 'n')).File("f"));
       },
       Always},
      {"a million bytes of long name again and again", kRefused,
       [](auto&) {
         B tar;
         for (int i = 0; i < 20; ++i) tar.Header('L', "L", std::string(1'000'000, 'n'));
         return One(tar.File("f"));
       },
       Always},
      {"sparse map bomb", kRefused,
       [](auto&) {
         std::string map = "9999999\n";
         while (map.size() < (8 << 20)) map += "1\n1\n";
         return One(B().Header('x', "p", SparsePax("99999999")).File("f", map));
       },
       Always},
      {"size overflow in base-256", kRefused,
       [](auto&) {
         TarItem item;
         item.name = "f";
         std::string block = B::Block(item, 0);
         block.replace(124, 12,
                       std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12));
         return One(B().Raw(B::Checksummed(block)));
       },
       Always},
      {"20000 empty files", kHarmless,
       [](auto&) {
         B tar;
         for (int i = 0; i < 20'000; ++i) tar.File(absl::StrCat("d/", i % 100, "/", i), "");
         return Layers{Gzip(tar.Done())};
       },
       Has("d/99/19999")},
      {"truncated inside a file", kRefused,
       [](auto&) {
         const std::string tar = B().File("f", std::string(10'000, 'x')).Done();
         return Layers{tar.substr(0, 5000)};
       },
       Always},
      {"truncated inside a header", kRefused,
       [](auto&) { return Layers{B().File("f").File("g").bytes().substr(0, 1100)}; }, Always},
      {"garbage after the archive", kHarmless,
       [](auto&) { return Layers{B().File("f").Done() + "garbage"}; }, Has("f")},
      {"garbage after gzip", kRefused,
       [](auto&) { return Layers{Gzip(B().File("f").Done()) + "garbage"}; }, Always},
      {"multi-member gzip", kHarmless,
       [](auto&) {
         const std::string tar = B().File("f").File("g").Done();
         return Layers{Gzip(tar.substr(0, 700)) + Gzip("") + Gzip(tar.substr(700))};
       },
       Has("g")},
      {"gzip bomb of 10 GiB", kRefused,
       [](auto&) {
         TarItem item;
         item.name = "bomb";
         std::string blob = Gzip(B::Block(item, uint64_t{10} << 30));
         const std::string member = Gzip(std::string(64 << 20, '\0'), 9);
         for (int i = 0; i < 160; ++i) blob += member;
         return Layers{blob};
       },
       Always},
      {"zstd with a window of 2 GiB", kRefused,
       [](auto&) { return Layers{std::string("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9)}; },
       Always},
      {"zero block in the middle ends the archive", kHarmless,
       [](auto&) { return One(B().File("f").Raw(std::string(512, '\0')).File("hidden")); },
       [](auto& directory, auto&) {
         return Exists(directory + "/f") && !Exists(directory + "/hidden");
       }},
      {"sparse file of 8 EiB", kRefused,
       [](auto&) {
         const std::string map = "0\n" + std::string(510, '\0');
         return One(B().Header('x', "p", SparsePax("9223372036854775806")).File("f", map));
       },
       Always},
      {"the bytes are xz", kRefused,
       [](auto&) {
         return Layers{
             std::string("\xfd"
                         "7zXZ\0\0\0\0\0",
                         10)};
       },
       Always},
      {"the bytes are no archive", kRefused, [](auto&) { return Layers{std::string(4096, 'r')}; },
       Always},
      {"the bytes are zstd, whatever the media type says", kHarmless,
       [](auto&) { return Layers{Zstd(B().File("f").Done())}; }, Has("f")},
  };
}

TEST_CASE("hostile inodes and attributes are refused or dropped") {
  for (const Hostile& hostile : Inodes()) Run(hostile);
}
TEST_CASE("hostile headers and streams are refused or harmless") {
  for (const Hostile& hostile : Streams()) Run(hostile);
}

}  // namespace
}  // namespace crisp::snapshot
