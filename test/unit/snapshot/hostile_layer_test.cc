// Layers whose names and links try to lead out of the layer's directory.
#include "test/unit/snapshot/hostile_layer.h"

// AddressSanitizer keeps 256 MiB of freed memory by default, which would count as used.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

namespace crisp::snapshot {
namespace {

std::vector<Hostile> Breakouts() {
  return {
      {"symlink absolute, then a file through it", kHarmless,
       [](auto& c) { return One(B().Link("l", c).File("l/secret", "evil")); }, InsideCanary},
      {"symlink absolute to an existing directory of the layer", kHarmless,
       [](auto&) { return One(B().Dir("etc").Link("l", "/etc").File("l/f")); }, Has("etc/f")},
      {"symlink up and out", kHarmless,
       [](auto& c) { return One(B().Link("l", "../../../../.." + c).File("l/secret")); },
       InsideCanary},
      {"symlink chain absolute", kHarmless,
       [](auto& c) { return One(B().Link("a", c).Link("b", "/a").File("b/secret")); },
       InsideCanary},
      {"symlink chain relative", kHarmless,
       [](auto& c) {
         return One(B().Link("d/a", "../.." + c).Link("b", "./d/a").File("b/secret"));
       },
       InsideCanary},
      {"symlink name ends with a slash", kHarmless,
       [](auto& c) { return One(B().Link("l/", c).File("l/secret")); }, InsideCanary},
      {"symlink empties a file", kHarmless,
       [](auto& c) { return One(B().Link("l", c).File("l/secret", "")); }, InsideCanary},
      {"symlink overrides a directory, then a file below", kHarmless,
       [](auto& c) { return One(B().Dir("d").File("d/f").Link("d", c).File("d/secret")); },
       InsideCanary},
      {"directory overrides a symlink, then a file below", kHarmless,
       [](auto& c) { return One(B().Link("d", c).Dir("d").File("d/secret")); }, Has("d/secret")},
      {"file overrides a symlink to a file", kHarmless,
       [](auto& c) { return One(B().Link("l", c + "/secret").File("l", "evil")); }, Has("l")},
      {"symlink to a file, then chmod by a second entry", kHarmless,
       [](auto& c) { return One(B().Link("l", c).Dir("l", 0777)); }, Has("l")},
      {"symlink in the middle of the name", kHarmless,
       [](auto& c) { return One(B().Dir("a").Link("a/l", c).File("a/l/sub/f")); },
       [](auto& directory, auto& c) { return Exists(directory + c + "/sub/f"); }},
      {"directory entry through a symlink", kHarmless,
       [](auto& c) { return One(B().Link("l", c).Dir("l/sub", 0777)); },
       [](auto& directory, auto& c) { return Exists(directory + c + "/sub"); }},
      {"hard link relative, up and out", kRefused,
       [](auto& c) { return One(B().Hard("h", "../../../.." + c + "/secret")); }, Always},
      {"hard link absolute", kRefused, [](auto& c) { return One(B().Hard("h", c + "/secret")); },
       Always},
      {"hard link down and up", kRefused,
       [](auto& c) { return One(B().Dir("d").Hard("h", "d/../../../.." + c + "/secret")); },
       Always},
      {"hard link through a symlink", kRefused,
       [](auto& c) { return One(B().Link("l", c).Hard("h", "l/secret")); }, Always},
      {"hard link to a symlink, then write", kHarmless,
       [](auto& c) { return One(B().Link("l", c + "/secret").Hard("h", "l").File("h", "evil")); },
       Has("h")},
      {"hard link created below a symlink", kHarmless,
       [](auto& c) { return One(B().File("f").Link("l", c).Hard("l/h", "f")); },
       [](auto& directory, auto& c) { return Exists(directory + c + "/h"); }},
      {"hard link over a symlink", kHarmless,
       [](auto& c) { return One(B().File("f").Link("h", c + "/secret").Hard("h", "f")); },
       Has("h")},
      {"hard link whose target comes later as a symlink", kHarmless,
       [](auto& c) { return One(B().Hard("h", "late").Link("late", c + "/secret")); }, Has("h")},
      {"whiteout of the root", kRefused, [](auto&) { return One(B().File(".wh..")); }, Always},
      {"whiteout of the parent", kRefused, [](auto&) { return One(B().File("d/.wh...")); }, Always},
      {"whiteout of the current directory", kRefused,
       [](auto&) { return One(B().File("d/.wh..")); }, Always},
      {"whiteout through a symlink", kHarmless,
       [](auto& c) { return One(B().Link("l", c).File("l/.wh.secret")); },
       [](auto& directory, auto& c) { return IsWhiteoutAt(directory + c + "/secret"); }},
      {"whiteout of a symlink of the same layer", kHarmless,
       [](auto& c) { return One(B().Link("l", c).File(".wh.l")); },
       [](auto& directory, auto& c) { return Target(directory + "/l") == c; }},
      {"whiteout of a symlink of a lower layer", kHarmless,
       [](auto& c) {
         return Layers{B().Link("l", c).Done(), B().File(".wh.l").Done()};
       },
       [](auto& directory, auto&) { return IsWhiteoutAt(directory + "/l"); }},
      {"whiteout used as a directory", kRefused, [](auto&) { return One(B().File(".wh.d/f")); },
       Always},
      {"whiteout below a dead symlink", kHarmless,
       [](auto&) { return One(B().Link("l", "nowhere").File("l/.wh.x")); }, Has("nowhere/x")},
      {"file below a whiteout", kRefused, [](auto&) { return One(B().File(".wh.d").File("d/f")); },
       Always},
      {"opaque marker at the root", kHarmless, [](auto&) { return One(B().File(".wh..wh..opq")); },
       [](auto& directory, auto&) { return Xattr(directory, kOpaqueXattr) == "y"; }},
      {"AUFS bookkeeping", kHarmless,
       [](auto&) { return One(B().Dir(".wh..wh.plnk").File(".wh..wh.plnk/1.2").File("f")); },
       [](auto& directory, auto&) { return base::ListDir(directory)->size() == 1; }},
      {"file below a file", kRefused, [](auto&) { return One(B().File("f").File("f/g")); }, Always},
      {"directory overrides a whiteout", kHarmless,
       [](auto&) { return One(B().File(".wh.d").Dir("d").File("d/f")); },
       [](auto& directory, auto&) { return Xattr(directory + "/d", kOpaqueXattr) == "y"; }},
  };
}

std::vector<Hostile> Names() {
  return {
      {"absolute name", kHarmless, [](auto& c) { return One(B().File(c + "/secret", "evil")); },
       InsideCanary},
      {"../x", kRefused, [](auto&) { return One(B().File("../x")); }, Always},
      {"a/../../x", kRefused, [](auto&) { return One(B().File("a/../../x")); }, Always},
      {"absolute symlink, then write through", kHarmless,
       [](auto& c) { return One(B().Link("l", c + "/secret").File("l", "evil")); },
       [](auto& directory, auto&) { return *base::ReadFile(directory + "/l") == "evil"; }},
      {"relative symlink up, directory made behind it", kHarmless,
       [](auto&) { return One(B().Dir("d").Link("d/l", "../..").Dir("d/l/new")); }, Has("new")},
      {"chain of 41 symlinks", kRefused,
       [](auto&) {
         B tar;
         for (int i = 0; i < 41; ++i) tar.Link(absl::StrCat("l", i), absl::StrCat("l", i + 1));
         return One(tar.Dir("l41").File("l0/f"));
       },
       Always},
      {"looping symlinks", kRefused,
       [](auto&) { return One(B().Link("a", "b").Link("b", "a").File("a/f")); }, Always},
      {"hard link to a host path", kRefused,
       [](auto&) { return One(B().Hard("h", "/etc/passwd")); }, Always},
      {"hard link to a symlink, then chmod", kHarmless,
       [](auto& c) {
         TarItem link;
         link.name = "h";
         link.type = '1';
         link.link = "l";
         link.mode = 0777;
         link.uid = 4711;
         return One(B().Link("l", c + "/secret").Add(link));
       },
       Has("h")},
      {"directory, then symlink, then a file through it, in three layers", kHarmless,
       [](auto& c) {
         return Layers{B().Dir("d").Done(), B().Link("d", c).Done(),
                       B().File("d/secret", "evil").Done()};
       },
       InsideCanary},
      {".wh.", kRefused, [](auto&) { return One(B().File(".wh.")); }, Always},
      {".wh..", kRefused, [](auto&) { return One(B().File("a/.wh..")); }, Always},
      {".wh...", kRefused, [](auto&) { return One(B().File("a/.wh...")); }, Always},
      {"opaque marker inside a symlinked directory", kHarmless,
       [](auto& c) { return One(B().Link("l", c).File("l/.wh..wh..opq")); },
       [](auto& directory, auto& c) { return Xattr(directory + c, kOpaqueXattr) == "y"; }},
      {"NUL in a pax name", kHarmless,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", std::string("a\0b", 3))).File("f"));
       },
       [](auto& directory, auto&) { return base::ListDir(directory)->size() == 1; }},
      {"newline in a name", kHarmless, [](auto&) { return One(B().File("a\nb")); }, Has("a\nb")},
      {"component of 256 bytes", kRefused,
       [](auto&) { return One(B().File(std::string(256, 'n'))); }, Always},
      {"name of 4096 bytes", kRefused,
       [](auto&) {
         std::string name;
         while (name.size() < 4096) name += "nn/";
         return One(B().File(name + "f"));
       },
       Always},
      {"name that is not UTF-8, in pax", kHarmless,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", "caf\xe9\xff")).File("f"));
       },
       Has("caf\xe9\xff")},
      {"name in UTF-8, in pax", kHarmless,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", "F\xc5\x91tan")).File("f"));
       },
       Has("F\xc5\x91tan")},
      {"depth 20000 in one name", kRefused,
       [](auto&) {
         std::string name;
         for (int i = 0; i < 20'000; ++i) name += "d/";
         return One(B().Dir(name));
       },
       Always},
      {"depth 2000 in one name", kHarmless,
       [](auto&) {
         std::string name;
         for (int i = 0; i < 2000; ++i) name += "d/";
         return One(B().File(name + "f"));
       },
       Has("d/d/d")},
      {"name .", kHarmless, [](auto&) { return One(B().Dir("./", 0711)); },
       [](auto& directory, auto&) { return (Stat(directory).st_mode & 07777) == 0711; }},
      {"file named .", kRefused, [](auto&) { return One(B().File(".")); }, Always},
      {"name ..", kRefused, [](auto&) { return One(B().Dir("..")); }, Always},
      {"empty name", kRefused, [](auto&) { return One(B().File("")); }, Always},
  };
}

TEST_CASE("links and whiteouts do not lead out of the layer") {
  for (const Hostile& hostile : Breakouts()) Run(hostile);
}
TEST_CASE("names do not lead out of the layer") {
  for (const Hostile& hostile : Names()) Run(hostile);
}

}  // namespace
}  // namespace crisp::snapshot
