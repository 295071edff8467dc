// Hostile headers, archives and compressed streams.
#include "fakes/hostile_layers.h"

namespace crisp::snapshot {

using namespace where;
using B = TarBuilder;

namespace {

std::string SparsePax(const std::string& real_size) {
  return B::PaxBody({{"GNU.sparse.major", "1"},
                     {"GNU.sparse.minor", "0"},
                     {"GNU.sparse.name", "sparse"},
                     {"GNU.sparse.realsize", real_size}});
}

}  // namespace

std::vector<HostileLayers> HostileStreams() {
  return {
      {"pax path leads out",
       kHarmless,
       kSplit,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("path", "../x")).File("f")); },
       {"exists x"},
       /*both_safe=*/true},
      {"pax linkpath leads out", kRefused, kHardLink,
       [](auto& c) {
         return One(B().Header('x', "p", B::PaxRecord("linkpath", ".." + c)).Hard("h", "f"));
       }},
      {"pax size is negative", kRefused, kTar,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("size", "-1")).File("f")); }},
      {"pax size beyond the archive", kRefused, kTar,
       [](auto&) { return One(B().Header('x', "p", B::PaxRecord("size", "99999999")).File("f")); }},
      {"malformed pax record", kRefused, kPax,
       [](auto&) { return One(B().Header('x', "p", "99 path=x\n").File("f")); }},
      {"GNU long name of 1 GiB", kRefused, kHeader,
       [](auto&) {
         TarItem item;
         item.name = "././@LongLink";
         item.type = 'L';
         return One(B().Raw(B::Block(item, 1 << 30)).Raw(std::string(1 << 20, 'n')).File("f"));
       }},
      {"a million bytes of long name again and again",
       kRefused,
       kSplit,
       [](auto&) {
         B tar;
         for (int i = 0; i < 20; ++i) tar.Header('L', "L", std::string(1'000'000, 'n'));
         return One(tar.File("f"));
       },
       {},
       /*both_safe=*/true},
      {"sparse map bomb", kRefused, kHeader,
       [](auto&) {
         std::string map = "9999999\n";
         while (map.size() < (8 << 20)) map += "1\n1\n";
         return One(B().Header('x', "p", SparsePax("99999999")).File("f", map));
       }},
      {"size overflow in base-256", kRefused, kNumber,
       [](auto&) {
         TarItem item;
         item.name = "f";
         std::string block = B::Block(item, 0);
         block.replace(124, 12,
                       std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12));
         B::Checksum(block);
         return One(B().Raw(block));
       }},
      {"20000 empty files",
       kHarmless,
       kSpend,
       [](auto&) {
         B tar;
         for (int i = 0; i < 20'000; ++i) tar.File(absl::StrCat("d/", i % 100, "/", i), "");
         return Layers{Gzip(tar.Done())};
       },
       {"exists d/99/19999"}},
      {"truncated inside a file", kRefused, kTar,
       [](auto&) {
         const std::string tar = B().File("f", std::string(10'000, 'x')).Done();
         return Layers{tar.substr(0, 5000)};
       }},
      {"truncated inside a header", kRefused, kTar,
       [](auto&) { return Layers{B().File("f").File("g").bytes().substr(0, 1100)}; }},
      {"garbage after the archive",
       kHarmless,
       kTrailer,
       [](auto&) { return Layers{B().File("f").Done() + "garbage"}; },
       {"exists f"}},
      {"garbage after gzip",
       kRefused,
       kGzip,
       [](auto&) { return Layers{Gzip(B().File("f").Done()) + "garbage"}; },
       {},
       /*both_safe=*/true},
      {"gzip that ends before its checksum", kRefused, kGzip,
       [](auto&) {
         const std::string blob = Gzip(B().File("f").Done());
         return Layers{blob.substr(0, blob.size() - 6)};
       }},
      {"multi-member gzip",
       kHarmless,
       kGzip,
       [](auto&) {
         const std::string tar = B().File("f").File("g").Done();
         return Layers{Gzip(tar.substr(0, 700)) + Gzip("") + Gzip(tar.substr(700))};
       },
       {"exists g"}},
      {"300 MiB of zeros in 300 KiB",
       kHarmless,
       kSpend,
       [](auto&) {
         constexpr int kMebibytes = 300;
         TarItem item;
         item.name = "lastlog";
         std::string blob = Gzip(B::Block(item, uint64_t{kMebibytes} << 20));
         const std::string member = Gzip(std::string(1 << 20, '\0'), 9);
         for (int i = 0; i < kMebibytes; ++i) blob += member;
         return Layers{blob + Gzip(B().File("next", "there").Done())};
       },
       {"content next there"}},
      {"zstd with a window of 2 GiB", kRefused, kZstd,
       [](auto&) { return Layers{std::string("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9)}; }},
      {"something behind a block of zeros",
       kRefused,
       kTar,
       [](auto&) { return One(B().File("f").Raw(std::string(512, '\0')).File("hidden")); },
       {"exists f", "absent hidden"},
       /*both_safe=*/true},
      {"nothing behind a block of zeros",
       kHarmless,
       kTar,
       [](auto&) { return Layers{B().File("f").bytes() + std::string(512, '\0')}; },
       {"exists f"}},
      {"an extended header of Solaris",
       kRefused,
       kTar,
       [](auto&) { return One(B().Header('X', "f", "x").File("g")); },
       {},
       /*both_safe=*/true},
      {"a hard link with a size has no contents",
       kHarmless,
       kTar,
       [](auto&) {
         TarItem link;
         link.name = "g";
         link.type = '1';
         link.link = "f";
         return One(B().Header('x', "p", B::PaxRecord("mtime", "1.5"))
                        .File("f", std::string(700, 'h'))
                        .Raw(B::Block(link, 700))
                        .File("next", "one"));
       },
       {"content next one", "exists g"}},
      {"a map of a sparse file with regions that overlap", kRefused, kSparse,
       [](auto&) {
         std::string map = "2\n0\n8\n4\n8\n";
         map.resize(512);
         return One(B().Header('x', "p", SparsePax("4096")).File("f", map + "0123456789abcdef"));
       }},
      {"sparse file of 8 EiB",
       kRefused,
       kContents,
       [](auto&) {
         const std::string map = "0\n" + std::string(510, '\0');
         return One(B().Header('x', "p", SparsePax("9223372036854775806")).File("f", map));
       },
       {},
       /*both_safe=*/true},
      {"the bytes are xz", kRefused, kMagic,
       [](auto&) {
         return Layers{
             std::string("\xfd"
                         "7zXZ\0\0\0\0\0",
                         10)};
       }},
      {"the bytes are no archive", kRefused, kTar,
       [](auto&) { return Layers{std::string(4096, 'r')}; }},
      {"the bytes are zstd, whatever the media type says",
       kHarmless,
       kZstd,
       [](auto&) { return Layers{Zstd(B().File("f").Done())}; },
       {"exists f"}},
  };
}

}  // namespace crisp::snapshot
