// Hostile inodes, owners, times and attributes.
#include "fakes/hostile_layers.h"
#include "fakes/tree_fact.h"

namespace crisp::snapshot {

using namespace where;
using B = TarBuilder;

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

}  // namespace

std::vector<HostileLayers> HostileInodes() {
  return {
      {"raw character device 0:0",
       kHarmless,
       kSpecial,
       [](auto&) {
         return Layers{B().File("d").Done(), B().File("d").Device("d", '3', 0, 0).Done()};
       },
       {"whiteout d"},
       /*both_safe=*/true},
      {"trusted.overlay.redirect",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("trusted.overlay.redirect", "/x", '5')); },
       {"lacks f trusted.overlay.redirect"}},
      {"trusted.overlay.opaque is dropped",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("trusted.overlay.opaque", "y", '5')); },
       {"lacks f trusted.overlay.opaque"}},
      {"trusted.overlay.metacopy",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("trusted.overlay.metacopy", "")); },
       {"lacks f trusted.overlay.metacopy"}},
      {"trusted.overlay.origin",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("trusted.overlay.origin", "x")); },
       {"lacks f trusted.overlay.origin"}},
      {"user.overlay.opaque",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("user.overlay.opaque", "y", '5')); },
       {"lacks f user.overlay.opaque"}},
      {"block device of the root disk",
       kHarmless,
       kSpecial,
       [](auto&) { return One(B().Device("d", '4', 254, 0)); },
       {"device d 254 0", "closed d"}},
      {"/dev/mem and /dev/kmsg nodes",
       kHarmless,
       kSpecial,
       [](auto&) { return One(B().Device("mem", '3', 1, 1).Device("kmsg", '3', 1, 11)); },
       {"device mem 1 1", "device kmsg 1 11", "closed mem", "closed kmsg"}},
      {"major out of range",
       kHarmless,
       kSpecial,
       [](auto&) { return One(B().Device("d", '3', (uint64_t{1} << 32) + 4097, 1)); },
       {"device d 1 1", "closed d"},
       /*both_safe=*/true},
      {"minor out of range",
       kHarmless,
       kSpecial,
       [](auto&) { return One(B().Device("d", '4', 8, (uint64_t{1} << 20) + 1)); },
       {"device d 8 1", "closed d"},
       /*both_safe=*/true},
      {"setuid, setgid and sticky bits",
       kHarmless,
       kApply,
       [](auto&) {
         TarItem item = WithIds(1000, 1000);
         item.mode = 06755;
         return One(B().Add(item).Dir("t", 01777).Dir("g", 02775).File("g/child"));
       },
       {"mode f 6755", "mode t 1777", "mode g 2775"}},
      {"user.* on a symlink, a FIFO and a device is dropped",
       kHarmless,
       kXattrs,
       [](auto&) {
         B tar;
         for (const char type : {'2', '6', '3'}) {
           TarItem item;
           item.name = absl::StrCat("t", std::string(1, type));
           item.type = type;
           item.link = type == '2' ? "etc" : "";
           item.major = 1;
           item.minor = 3;
           item.pax = {{"SCHILY.xattr.user.foo", "y"}};
           tar.Add(item);
         }
         return One(tar.File("next"));
       },
       {"type t2 l", "type t6 p", "type t3 c", "exists next"},
       /*both_safe=*/true},
      {"ACLs that the type of the file cannot have are dropped",
       kHarmless,
       kXattrs,
       [](auto&) {
         TarItem link;
         link.name = "l";
         link.type = '2';
         link.link = "etc";
         link.pax = {{"SCHILY.xattr.system.posix_acl_access", Acl()}};
         return One(WithXattr("system.posix_acl_default", Acl()).Add(link));
       },
       {"type l l", "lacks f system.posix_acl_default"},
       /*both_safe=*/true},
      {"security.capability is kept",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("security.capability", Capability())); },
       {"xattr f security.capability " + test::EscapeWord(Capability())}},
      {"security.selinux is dropped",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("security.selinux", "u:r:t")); },
       {"lacks f security.selinux"}},
      {"security.ima is dropped",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("security.ima", "x")); },
       {"lacks f security.ima"}},
      {"security.evm is dropped",
       kHarmless,
       kXattrs,
       [](auto&) { return One(WithXattr("security.evm", "x")); },
       {"lacks f security.evm"}},
      {"FIFO, directory and device at /etc/passwd",
       kHarmless,
       kSpecial,
       [](auto&) {
         return One(B().Typed("etc/passwd", '6').Dir("etc/group").Device("etc/shadow", '3', 1, 5));
       },
       {"type etc/passwd p", "type etc/group d", "type etc/shadow c"},
       /*both_safe=*/true},
      {"an unknown typeflag",
       kRefused,
       kConvert,
       [](auto&) { return One(B().File("f").Typed("Z", 'Z')); },
       {},
       /*both_safe=*/true},
      {"uid and gid -1",
       kHarmless,
       kMetadata,
       [](auto&) { return One(B().Add(WithIds(~uint64_t{0}, ~uint64_t{0}))); },
       {"owner f 0 0"},
       /*both_safe=*/true},
      {"uid 2^32-1",
       kHarmless,
       kMetadata,
       [](auto&) { return One(B().Add(WithIds(0xffffffff, 7))); },
       {"owner f 0 7"},
       /*both_safe=*/true},
      {"ids above 2^32",
       kHarmless,
       kMetadata,
       [](auto&) {
         return One(B().Add(WithIds((uint64_t{1} << 32) + 7, (uint64_t{1} << 40) + 8)));
       },
       {"owner f 7 8"},
       /*both_safe=*/true},
      {"uid 2^32-2 is the last one",
       kHarmless,
       kMetadata,
       [](auto&) { return One(B().Add(WithIds(0xfffffffe, 0xfffffffe))); },
       {"owner f 4294967294 4294967294"},
       /*both_safe=*/true},
      {"mtime 2^63-1",
       kHarmless,
       kTimes,
       [](auto&) { return One(B().Add(WithTime("9223372036854775807.999999999"))); },
       {"exists f"}},
      {"mtime -2^63",
       kHarmless,
       kTimes,
       [](auto&) { return One(B().Add(WithTime("-9223372036854775808.5"))); },
       {"exists f"}},
      {"mtime in base-256",
       kHarmless,
       kTimes,
       [](auto&) { return One(B().Add(WithTime("", ~uint64_t{0} - 100))); },
       {"exists f"}},
      {"duplicate entries: the last one counts",
       kHarmless,
       kPlace,
       [](auto&) { return One(B().File("f", "1").File("f", "2").Dir("d").Dir("d", 0700)); },
       {"content f 2", "mode d 700"}},
      {"file, directory, symlink, directory under one name",
       kHarmless,
       kPlace,
       [](auto& c) {
         return One(B().File("x").Dir("x").File("x/y").Link("x", c).Dir("x").File("x/secret"));
       },
       {"exists x/secret"}},
      {"hard link to itself",
       kRefused,
       kHardLink,
       [](auto&) { return One(B().Hard("h", "h")); },
       {},
       /*both_safe=*/true},
      {"hard link to itself, existing",
       kHarmless,
       kHardLink,
       [](auto&) { return One(B().File("h").Hard("h", "./h")); },
       {"exists h"}},
      {"hard link to a directory", kRefused, kHardLink,
       [](auto&) { return One(B().Dir("d").Hard("h", "d")); }},
      {"hard link to a directory of a lower layer", kRefused, kHardLink,
       [](auto&) {
         return Layers{B().Dir("d").Done(), B().Hard("h", "d").Done()};
       }},
      {"hard link to something missing", kRefused, kHardLink,
       [](auto&) { return One(B().Hard("h", "missing/f")); }},
      {"attribute over 64 KiB", kRefused, kApply,
       [](auto&) { return One(WithXattr("user.big", std::string(65537, 'x'))); }},
      {"10000 attributes",
       kRefused,
       kApply,
       [](auto&) {
         TarItem item;
         item.name = "f";
         for (int i = 0; i < 10'000; ++i) {
           item.pax.emplace_back(absl::StrCat("SCHILY.xattr.user.n", i), std::string(60, 'v'));
         }
         return One(B().Add(item));
       },
       {},
       /*both_safe=*/true},
      {"POSIX ACL",
       kHarmless,
       kApply,
       [](auto&) { return One(WithXattr("system.posix_acl_access", Acl())); },
       {"xattr f system.posix_acl_access " + test::EscapeWord(Acl())}},
      {"default ACL is not inherited by other entries",
       kHarmless,
       kApply,
       [](auto&) {
         B tar = WithXattr("system.posix_acl_default", Acl(), '5');
         return One(tar.File("f/child").Dir("f/sub", 0755));
       },
       {"xattr f system.posix_acl_default " + test::EscapeWord(Acl()),
        "lacks f/child system.posix_acl_access", "lacks f/sub system.posix_acl_default",
        "mode f/child 644", "mode f/sub 755"}},
      {"ACL of an unknown version is dropped",
       kHarmless,
       kApply,
       [](auto&) { return One(WithXattr("system.posix_acl_access", "nonsense")); },
       {"mode f 660", "lacks f system.posix_acl_access"},
       /*both_safe=*/true},
      {"ACL that is cut short",
       kRefused,
       kApply,
       [](auto&) { return One(WithXattr("system.posix_acl_access", Acl().substr(0, 14))); },
       {},
       /*both_safe=*/true},
  };
}

}  // namespace crisp::snapshot
