// Names that try to lead out of the layer's directory, or to break who handles them.
#include "fakes/hostile_layers.h"

namespace crisp::snapshot {

using namespace where;
using B = TarBuilder;

std::vector<HostileLayers> HostileNames() {
  return {
      {"absolute name",
       kHarmless,
       kSplit,
       [](auto& c) { return One(B().File(c + "/secret", "evil")); },
       {"exists @/secret"}},
      {"../x",
       kHarmless,
       kSplit,
       [](auto&) { return One(B().File("../x")); },
       {"exists x"},
       /*both_safe=*/true},
      {"a/../../x",
       kHarmless,
       kSplit,
       [](auto&) { return One(B().File("a/../../x")); },
       {"exists x", "absent a"},
       /*both_safe=*/true},
      {".. behind a symlink",
       kHarmless,
       kSplit,
       [](auto& c) {
         return One(B().Dir("d/e").Link("l", "d/e").File("l/../x").Dir("l/../.." + c));
       },
       {"exists x", "absent d/x", "type @ d"},
       /*both_safe=*/true},
      {"whiteout and opaque marker behind ..",
       kHarmless,
       kSplit,
       [](auto&) { return One(B().Dir("d").File("d/../../.wh.x").File("d/../.wh..wh..opq")); },
       {"whiteout x", "opaque ."},
       /*both_safe=*/true},
      {"absolute symlink, then write through",
       kHarmless,
       kResolve,
       [](auto& c) { return One(B().Link("l", c + "/secret").File("l", "evil")); },
       {"content l evil"}},
      {"relative symlink up, directory made behind it",
       kHarmless,
       kResolve,
       [](auto&) { return One(B().Dir("d").Link("d/l", "../..").Dir("d/l/new")); },
       {"exists new"}},
      {"chain of 41 symlinks",
       kRefused,
       kResolve,
       [](auto&) {
         B tar;
         for (int i = 0; i < 41; ++i) tar.Link(absl::StrCat("l", i), absl::StrCat("l", i + 1));
         return One(tar.Dir("l41").File("l0/f"));
       },
       {},
       /*both_safe=*/true},
      {"looping symlinks",
       kRefused,
       kResolve,
       [](auto&) { return One(B().Link("a", "b").Link("b", "a").File("a/f")); },
       {},
       /*both_safe=*/true},
      {"hard link to a host path", kRefused, kHardLink,
       [](auto&) { return One(B().Hard("h", "/etc/passwd")); }},
      {"hard link to a symlink, then chmod",
       kHarmless,
       kPlace,
       [](auto& c) {
         TarItem link;
         link.name = "h";
         link.type = '1';
         link.link = "l";
         link.mode = 0777;
         link.uid = 4711;
         return One(B().Link("l", c + "/secret").Add(link));
       },
       {"link h /@/secret"}},
      {"directory, then symlink, then a file through it, in three layers",
       kHarmless,
       kResolve,
       [](auto& c) {
         return Layers{B().Dir("d").Done(), B().Link("d", c).Done(),
                       B().File("d/secret", "evil").Done()};
       },
       {"exists @/secret"}},
      {".wh.",
       kRefused,
       kClassify,
       [](auto&) { return One(B().File(".wh.")); },
       {},
       /*both_safe=*/true},
      {".wh..",
       kRefused,
       kClassify,
       [](auto&) { return One(B().File("a/.wh..")); },
       {},
       /*both_safe=*/true},
      {".wh...",
       kRefused,
       kClassify,
       [](auto&) { return One(B().File("a/.wh...")); },
       {},
       /*both_safe=*/true},
      {"opaque marker inside a symlinked directory",
       kHarmless,
       kResolve,
       [](auto& c) { return One(B().Link("l", c).File("l/.wh..wh..opq")); },
       {"opaque @"}},
      {"NUL in a pax name",
       kRefused,
       kPax,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", std::string("a\0b", 3))).File("f"));
       },
       {"entries . 1"},
       /*both_safe=*/true},
      {"newline in a name",
       kHarmless,
       kConvert,
       [](auto&) { return One(B().File("a\nb")); },
       {"exists a\\x0ab"}},
      {"component of 256 bytes",
       kRefused,
       kSplit,
       [](auto&) { return One(B().File(std::string(256, 'n'))); },
       {},
       /*both_safe=*/true},
      {"name of 4096 bytes",
       kRefused,
       kSplit,
       [](auto&) {
         std::string name;
         while (name.size() < 4096) name += "nn/";
         return One(B().File(name + "f"));
       },
       {},
       /*both_safe=*/true},
      {"name that is not UTF-8, in pax",
       kHarmless,
       kConvert,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", "caf\xe9\xff")).File("f"));
       },
       {"exists caf\\xe9\\xff"}},
      {"name in UTF-8, in pax",
       kHarmless,
       kConvert,
       [](auto&) {
         return One(B().Header('x', "p", B::PaxRecord("path", "F\xc5\x91tan")).File("f"));
       },
       {"exists F\\xc5\\x91tan"}},
      {"depth 20000 in one name",
       kRefused,
       kSplit,
       [](auto&) {
         std::string name;
         for (int i = 0; i < 20'000; ++i) name += "d/";
         return One(B().Dir(name));
       },
       {},
       /*both_safe=*/true},
      {"depth 2000 in one name",
       kHarmless,
       kSplit,
       [](auto&) {
         std::string name;
         for (int i = 0; i < 2000; ++i) name += "d/";
         return One(B().File(name + "f"));
       },
       {"exists d/d/d"},
       /*both_safe=*/false,
       /*slow=*/true},
      {"name .",
       kHarmless,
       kRoot,
       [](auto&) { return One(B().Dir("./", 0711)); },
       {"rootmode . 711"}},
      {"file named .",
       kHarmless,
       kRoot,
       [](auto&) { return One(B().File(".").Link("..", "/etc").Device("/", '3', 1, 3)); },
       {"type . d", "entries . 0"},
       /*both_safe=*/true},
      {"name ..",
       kHarmless,
       kSplit,
       [](auto&) { return One(B().Dir("..", 0711)); },
       {"rootmode . 755"},
       /*both_safe=*/true},
      {"empty name",
       kHarmless,
       kRoot,
       [](auto&) { return One(B().File("")); },
       {"entries . 0"},
       /*both_safe=*/true},
  };
}

}  // namespace crisp::snapshot
