#include "cli/volume_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

constexpr char kObjects[] =
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: \"1\", b: \"2\"}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: bytes}\nbinaryData: {k: AP8=}\n"
    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: secret}\n";

std::map<std::string, VolumeFile> FilesOf(const std::string& volume) {
  const Manifest manifest =
      Decoded(absl::StrCat(PodText(absl::StrCat("  volumes:\n  - name: v\n", volume)), kObjects));
  const Pod& pod = manifest.pods[0];
  return VolumeFiles(pod.spec.volumes[0], pod, manifest, TestInstance(pod), TestNode());
}

mode_t ModeOf(const std::string& path) {
  struct stat found;
  REQUIRE(stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

std::string LinkAt(const std::string& path) {
  char target[256];
  const ssize_t n = readlink(path.c_str(), target, sizeof(target));
  return n < 0 ? "" : std::string(target, static_cast<size_t>(n));
}

}  // namespace

TEST_CASE("a volume has all keys, or its items with their paths and modes") {
  auto files = FilesOf("    configMap: {name: m, defaultMode: 0600}\n");
  CHECK(files.size() == 2);
  CHECK(files.at("a").bytes == "1");
  CHECK(files.at("a").mode == 0600);
  files = FilesOf(
      "    configMap: {name: m, items: [{key: b, path: x/y}, {key: a, path: a, mode: 0400}]}\n");
  CHECK(files.size() == 2);
  CHECK(files.at("x/y").bytes == "2");
  CHECK(files.at("x/y").mode == 0644);
  CHECK(files.at("a").mode == 0400);
  files = FilesOf("    configMap: {name: m, items: [{key: a, path: ./x//y/}]}\n");
  REQUIRE(files.size() == 1);
  CHECK(files.begin()->first == "x/y");
  CHECK(FilesOf("    secret: {secretName: none, optional: true}\n").empty());
  for (const char* items : {"", ", items: [{key: k, path: k}]"}) {
    files = FilesOf(absl::StrCat("    configMap: {name: bytes", items, "}\n"));
    CHECK(files.at("k").bytes == std::string("\0\xff", 2));
  }
}

TEST_CASE("of a projected volume the later source wins") {
  const auto files = FilesOf(
      "    projected:\n      sources:\n      - configMap: {name: m}\n"
      "      - secret: {name: s, items: [{key: p, path: a}]}\n"
      "      - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}\n");
  CHECK(files.size() == 3);
  CHECK(files.at("a").bytes == "secret");
  CHECK(files.at("b").bytes == "2");
  CHECK(files.at("name").bytes == "p");
}

TEST_CASE("files are reached by links through ..data, so that a reader sees all or none") {
  const std::string directory = absl::StrCat("/tmp/crisp-volume-", base::NewId());
  const std::map<std::string, VolumeFile> files = {{"a", {.bytes = "1", .mode = 0640}},
                                                   {"x/y", {.bytes = "2", .mode = 0400}}};
  REQUIRE(WriteVolumeFiles(files, {}, directory) == absl::OkStatus());
  CHECK(base::ReadFile(directory + "/a").value() == "1");
  CHECK(base::ReadFile(directory + "/x/y").value() == "2");
  CHECK(ModeOf(directory + "/a") == 0640);
  CHECK(ModeOf(directory + "/x/y") == 0400);
  CHECK(LinkAt(directory + "/a") == "..data/a");
  CHECK(LinkAt(directory + "/x") == "..data/x");
  const std::string version = LinkAt(directory + "/..data");
  CHECK_THAT(version, Catch::StartsWith("..2"));
  // A second time nothing changes: containers may be reading.
  REQUIRE(WriteVolumeFiles(files, {}, directory) == absl::OkStatus());
  CHECK(LinkAt(directory + "/..data") == version);
  CHECK(base::ListDir(directory)->size() == 4);
  CHECK(base::RemoveTree(directory).ok());
}

TEST_CASE("files of a volume that was cut short are written again") {
  const std::string directory = absl::StrCat("/tmp/crisp-volume-", base::NewId());
  REQUIRE(base::MakeDirs(directory + "/..2026_old", 0755).ok());
  REQUIRE(WriteVolumeFiles({{"a", {.bytes = "1", .mode = 0644}}}, {}, directory) ==
          absl::OkStatus());
  CHECK(base::ReadFile(directory + "/a").value() == "1");
  CHECK(base::ListDir(directory)->size() == 3);
  CHECK(base::RemoveTree(directory).ok());
}

TEST_CASE("fsGroup may read the files, and directories hand the group on") {
  const std::string directory = absl::StrCat("/tmp/crisp-volume-", base::NewId());
  const VolumeOwner owner = {.group = static_cast<int64_t>(getegid())};
  REQUIRE(WriteVolumeFiles({{"x/a", {.bytes = "1", .mode = 0400}}}, owner, directory) ==
          absl::OkStatus());
  CHECK(ModeOf(directory) == 02755);
  CHECK(ModeOf(directory + "/x") == 02755);
  CHECK(ModeOf(directory + "/x/a") == 0440);
  CHECK(base::RemoveTree(directory).ok());
}

}  // namespace crisp::cli
