// Which files the bytes of an archive are, as Go's archive/tar has it; test/fuzz/tar_reader_fuzz.cc
// compares the two on random archives.
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "fakes/tar_builder.h"
#include "test/unit/snapshot/tar_listing.h"

namespace crisp::snapshot {
namespace {

using B = TarBuilder;
using Pax = std::vector<std::pair<std::string, std::string>>;

// A header that says that it has contents of `size` bytes.
std::string WithSize(char type, uint64_t size, const std::string& link = "") {
  TarItem item;
  item.name = "g";
  item.type = type;
  item.link = link;
  return B::Block(item, size);
}

// `archive` with `bytes` at `at` of its first header, whose checksum is made right.
std::string Patched(const std::string& archive, size_t at, const std::string& bytes) {
  std::string header = archive.substr(0, 512);
  header.replace(at, bytes.size(), bytes);
  B::Checksum(header);
  return header + archive.substr(512);
}

std::string File(const std::string& name, const Pax& pax, const std::string& body = "x") {
  TarItem item;
  item.name = name;
  item.body = body;
  item.pax = pax;
  return B().Add(item).bytes();
}

TarEntry OnlyEntry(const std::string& archive) {
  TarReader tar(InSteps(archive, 1000));
  TarEntry entry;
  const auto more = tar.Next(entry);
  INFO(more.status());
  REQUIRE(more.ok());
  REQUIRE(*more);
  return entry;
}

TEST_CASE("what has no contents has none whatever its size says, also in pax archives") {
  for (const char* pax : {"", "size", "mtime"}) {
    for (const char type : {'1', '2', '3', '4', '5', '6'}) {
      INFO(type << " " << pax);
      B tar;
      if (*pax != '\0') tar.Header('x', "p", B::PaxRecord(pax, "700"));
      tar.Raw(WithSize(type, 700, type < '3' ? "f" : "")).File("next", "one").File("last", "two");
      const std::string list = List(tar.Done());
      REQUIRE(list.substr(list.find('|')) == "|f next one|f last two|");
      REQUIRE(OnlyEntry(tar.Done()).size == 0);
    }
  }
}

TEST_CASE("the pieces in which an archive arrives do not matter") {
  const std::string archive =
      B().Dir("d").File("d/f", std::string(1300, 'x')).Link("l", "d").Done();
  const std::string list = List(archive, archive.size());
  REQUIRE(list == "d d|f d/f " + std::string(1300, 'x') + "|l l -> d|");
  for (const size_t step : {1, 511, 512, 513, 1024}) REQUIRE(List(archive, step) == list);
}

TEST_CASE("an archive ends with two blocks of zeros or with its bytes") {
  const std::string file = B().File("f", "x").bytes();
  const std::string zeros(512, '\0');
  REQUIRE(List("") == "");
  REQUIRE(List(zeros) == "");
  REQUIRE(List(file) == "f f x|");
  REQUIRE(List(file + zeros) == "f f x|");
  REQUIRE(List(file + zeros + zeros + "garbage") == "f f x|");
  REQUIRE(List(file + zeros + file) == "f f x|tar: a block of zeros is followed by something else");
  // Without the padding of the last file.
  REQUIRE(List(file.substr(0, 513)) == "f f x|");
  REQUIRE(List(file.substr(0, 600)) == "f f x|");
  REQUIRE(List(file.substr(0, 512)) == "f f tar: the archive is truncated");
  REQUIRE(List(file + zeros.substr(1)) == "f f x|tar: the archive is truncated");
  REQUIRE(List(file + file.substr(0, 100)) == "f f x|tar: the archive is truncated");
  // What a header announces does not come.
  REQUIRE(List(B().Header('L', "L", "name").bytes()) == "");
}

TEST_CASE("names and ids come from the last header that has them") {
  REQUIRE(List(File("short", {{"path", "from pax"}})) == "f from pax x|");
  REQUIRE(List(File("short", {{"path", "a"}, {"path", "b"}})) == "f b x|");
  REQUIRE(List(File("short", {{"path", ""}})) == "f short x|");
  REQUIRE(List(B().Header('L', "L", std::string("long\0junk", 9)).bytes() +
               File("short", {{"path", "from pax"}})) == "f long x|");
  REQUIRE(List(B().Header('K', "K", "target").Link("l", "t").bytes()) == "l l -> target|");
  // A second pax header replaces the first, a global one ends what is pending.
  const std::string one = B().Header('x', "p", B::PaxRecord("path", "one")).bytes();
  REQUIRE(List(one + B().Header('x', "p", B::PaxRecord("mtime", "1")).File("f").bytes()) ==
          "f f x|");
  REQUIRE(List(one + B().Header('g', "p", B::PaxRecord("path", "all")).File("f").bytes()) ==
          "f f x|");
  const TarEntry entry = OnlyEntry(File("f", {{"uid", "+8589934592"}, {"gid", "-1"}}));
  REQUIRE(entry.uid == int64_t{1} << 33);
  REQUIRE(entry.gid == -1);
}

TEST_CASE("a pax header that is wrong anywhere is not taken") {
  for (const char* body : {"x", "5 a=", "8 path=x\n", "99 path=x\n", "0 path=x\n", "-9 path=x\n",
                           "10 path=xx\n11 path=x", "6 path\n", "5 =x\n", "5path=x\n"}) {
    INFO(body);
    REQUIRE(List(B().Header('x', "p", body).File("f").bytes()).substr(0, 10) == "pax header");
  }
  for (const char* key : {"uid", "gid", "size", "mtime", "atime", "ctime"}) {
    for (const char* value : {"x", "1x", " 1", "0x1", "+-1", "1.x", "99999999999999999999"}) {
      INFO(key << value);
      REQUIRE(List(File("f", {{key, value}})).substr(0, 10) == "pax header");
    }
  }
  REQUIRE(List(File("f", {{"path", std::string("a\0b", 3)}})).substr(0, 10) == "pax header");
  REQUIRE(List(File("f", {{"comment", std::string("a\0b", 3)}})) == "f f x|");
}

TEST_CASE("times have nanoseconds and a sign") {
  const auto time = [](const char* text) {
    const timespec at = OnlyEntry(File("f", {{"mtime", text}})).mtime;
    return std::pair<int64_t, int64_t>(at.tv_sec, at.tv_nsec);
  };
  REQUIRE(time("1.5") == std::pair<int64_t, int64_t>(1, 500'000'000));
  REQUIRE(time("1.") == std::pair<int64_t, int64_t>(1, 0));
  REQUIRE(time("1.1234567899") == std::pair<int64_t, int64_t>(1, 123'456'789));
  REQUIRE(time("-0.25") == std::pair<int64_t, int64_t>(-1, 750'000'000));
  REQUIRE(time("-9223372036854775808.5").first == std::numeric_limits<int64_t>::min());
}

TEST_CASE("numbers of a header are octal or base 256") {
  const std::string file = B().File("f").bytes();
  const auto uid = [&](const std::string& field) {
    return OnlyEntry(Patched(file, 108, field)).uid;
  };
  REQUIRE(uid(std::string(" 17 \0\0\0 ", 8)) == 15);
  REQUIRE(uid(std::string(8, '\0')) == 0);
  REQUIRE(uid("77777777") == 077777777);
  REQUIRE(uid(std::string("\x80\0\0\x01\0\0\0\0", 8)) == int64_t{1} << 32);
  REQUIRE(uid("\xff\xff\xff\xff\xff\xff\xff\xfe") == -2);
  for (const char* field : {"8      ", "1 1    ", "-1     ", "0x1    "}) {
    INFO(field);
    REQUIRE(List(Patched(file, 108, field)) == "header: uid: not a number");
  }
  REQUIRE(List(Patched(file, 124, std::string("\x80") + std::string(11, '\xff'))) ==
          "header: size: not a number");
  REQUIRE(List(Patched(file, 124, std::string(12, '\xff'))) ==
          "tar: the size of a file is negative");
}

TEST_CASE("the format of a header says where the first part of its name is") {
  const std::string file = B().File("f").bytes();
  REQUIRE(List(Patched(file, 345, "prefix")) == "f prefix/f x|");
  const std::string star = Patched(file, 508, std::string("tar\0", 4));
  REQUIRE(List(Patched(star, 345, std::string(140, 'p'))) == "header: atime: not a number");
  REQUIRE(List(Patched(star, 345, std::string(131, 'p'))) ==
          "f " + std::string(131, 'p') + "/f x|");
  const std::string gnu = Patched(file, 257, std::string("ustar  \0", 8));
  REQUIRE(List(Patched(gnu, 345, "00000000017")) == "f f x|");
  REQUIRE(List(Patched(gnu, 345, "prefix")) == "f prefix/f x|");
  REQUIRE(List(Patched(gnu, 345,
                       "pr\xe9"
                       "fix")) == "f f x|");
  const std::string v7 = Patched(file, 257, std::string(8, '\0'));
  REQUIRE(List(Patched(v7, 345, "prefix")) == "f f x|");
  REQUIRE(List(std::string(file).replace(345, 1, "x")) ==
          "not a tar header: its checksum is wrong");
}

TEST_CASE("a checksum of signed bytes is right too") {
  std::string block = B().File("caf\xe9", "").bytes();
  int sum = 0;
  for (size_t i = 0; i < 512; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<signed char>(block[i]);
  }
  block.replace(148, 8, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
  REQUIRE(List(block) == "f caf\xe9 |");
}

TEST_CASE("old types are what their writers mean") {
  const auto typed = [](char type, const std::string& name = "n") {
    return List(B().Typed(name, type).File("next").bytes());
  };
  const std::string next = "f next x|";
  REQUIRE(typed('\0') == "f n |" + next);
  REQUIRE(typed('\0', "n/") == "d n/|" + next);
  REQUIRE(typed('0', "n/") == "f n/ |" + next);
  REQUIRE(typed('7') == "f n |" + next);
  REQUIRE(typed('V') == next);
  for (const char type : {'A', 'D', 'E', 'M', 'N', 'X', 'Z', '8'}) {
    REQUIRE(typed(type) ==
            absl::StrCat("tar: an entry of type \"", std::string(1, type), "\" is not supported"));
  }
  REQUIRE(typed('\n') == "tar: an entry of type \"\\n\" is not supported");
}

TEST_CASE("sparse files of all formats have their holes") {
  const std::string hole(4, '\0');
  const std::string tail(3, '\0');
  const std::string sparse = "f s " + hole + "data" + tail + "|f next x|";
  const std::string next = B().File("next").bytes();
  const Pax size = {{"GNU.sparse.realsize", "11"}, {"GNU.sparse.name", "s"}};
  const auto with = [&](Pax pax) {
    pax.insert(pax.end(), size.begin(), size.end());
    return pax;
  };
  REQUIRE(List(File("f",
                    with({{"GNU.sparse.numblocks", "1"},
                          {"GNU.sparse.offset", "4"},
                          {"GNU.sparse.numbytes", "4"}}),
                    "data") +
               next) == sparse);
  const Pax records = {{"GNU.sparse.major", "0"},
                       {"GNU.sparse.minor", "1"},
                       {"GNU.sparse.numblocks", "2"},
                       {"GNU.sparse.map", "4,4,11,0"}};
  REQUIRE(List(File("f", with(records), "data") + next) == sparse);
  std::string map = "1\n4\n4\n";
  map.resize(512);
  const Pax contents = {{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}};
  REQUIRE(List(File("f", with(contents), map + "data") + next) == sparse);

  // The format of GNU tar before pax: a map of 5 regions, the last of them in a second block.
  std::string block = Patched(WithSize('S', 4), 257, std::string("ustar  \0", 8));
  std::string entries;
  for (const char* number : {"4", "1", "5", "1", "6", "1", "7", "1"}) {
    entries += std::string(number) + std::string(11, '\0');
  }
  block = Patched(block, 386, entries + "\1" + "13");
  block = Patched(block, 0, "s");
  std::string second = "10" + std::string(10, '\0') + "0" + std::string(11, '\0');
  second.resize(512);
  REQUIRE(List(B().Raw(block).Raw(second).Padded("data").File("next").bytes()) == sparse);
}

TEST_CASE("a map of a sparse file that does not fit its contents is not taken") {
  const auto sparse = [](const std::string& numbers, const std::string& map,
                         const std::string& size = "8") {
    return List(File("f",
                     {{"GNU.sparse.major", "0"},
                      {"GNU.sparse.minor", "1"},
                      {"GNU.sparse.numblocks", numbers},
                      {"GNU.sparse.map", map},
                      {"GNU.sparse.size", size}},
                     "data"));
  };
  REQUIRE(sparse("1", "4,4") == "f f " + std::string(4, '\0') + "data|");
  for (const char* map : {"4,5", "4,3", "-1,4", "4,-4", "x,4", "4", "4,4,", "9,0,0,4"}) {
    INFO(map);
    REQUIRE(sparse("1", map) != sparse("1", "4,4"));
    REQUIRE(sparse("1", map).find("map") != std::string::npos);
  }
  REQUIRE(sparse("2", "4,2,5,2").find("map") != std::string::npos);  // they overlap
  REQUIRE(sparse("2", "4,4").find("map") != std::string::npos);
  REQUIRE(sparse("", "4,4").find("map") != std::string::npos);
  REQUIRE(sparse("1", "4,4", "-8").find("map") != std::string::npos);
  REQUIRE(sparse("1", "4,9223372036854775807").find("map") != std::string::npos);
  const Pax pax = {{"GNU.sparse.map", "0,0"}, {"GNU.sparse.numblocks", "1"}};
  TarItem link;
  link.name = "l";
  link.type = '2';
  link.link = "t";
  link.pax = pax;
  REQUIRE(List(B().Add(link).bytes()) ==
          "tar: an entry without contents has a map of a sparse file");
}

TEST_CASE("attributes come from pax records, also empty ones") {
  const TarEntry entry = OnlyEntry(File("f", {{"SCHILY.xattr.user.a", "1"},
                                              {"SCHILY.xattr.user.a", "2"},
                                              {"SCHILY.xattr.user.empty", ""},
                                              {"LIBARCHIVE.xattr.user.b", "MQ"}}));
  REQUIRE(entry.xattrs.size() == 2);
  REQUIRE(entry.xattrs[0].name == "user.a");
  REQUIRE(entry.xattrs[0].value == "2");
  REQUIRE(entry.xattrs[1].name == "user.empty");
}

TEST_CASE("headers before a file are at most 1 MiB each") {
  const auto name = [](size_t size) {
    return List(B().Header('L', "L", std::string(size, 'n')).File("f").bytes());
  };
  REQUIRE(name(1 << 20) == "f " + std::string(1 << 20, 'n') + " x|");
  REQUIRE(name((1 << 20) + 1) ==
          "tar: a pax header, long name or map is larger than 1048576 bytes");
}

std::string OutputOf(const std::string& command) {
  FILE* const output = popen(command.c_str(), "re");
  REQUIRE(output != nullptr);
  std::string text;
  char piece[4096];
  while (const size_t size = fread(piece, 1, sizeof(piece), output)) text.append(piece, size);
  REQUIRE(pclose(output) == 0);
  return text;
}

// Of archives that were made to be read in different ways only archive/tar's is right, as no
// runtime reads layers with GNU tar: it takes names from global pax headers, for example.
TEST_CASE("archives of GNU tar, in each of its formats, are the same files for it") {
  int archives = 0;
  for (const auto& file : std::filesystem::directory_iterator(CRISP_TAR_SEEDS)) {
    const std::string path = file.path();
    if (file.path().extension() != ".tar") continue;
    ++archives;
    INFO(path);
    const auto archive = base::ReadFile(path, 1 << 20);
    REQUIRE(archive.ok());
    TarReader tar(InSteps(*archive, 1000));
    std::string names, contents;
    TarEntry entry;
    while (*tar.Next(entry)) {
      absl::StrAppend(&names, entry.name, "\n");
      absl::StrAppend(&contents, *Contents(tar, entry));
    }
    // GNU tar also lists the label of a volume.
    const std::string label = file.path().stem() == "label" ? "label\n" : "";
    CHECK(OutputOf("tar --quoting-style=literal -tf " + path) == label + names);
    CHECK(OutputOf("tar -xOf " + path) == contents);
  }
  CHECK(archives == 12);
}

}  // namespace
}  // namespace crisp::snapshot
