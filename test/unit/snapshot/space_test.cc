// Full file systems and inode bombs, on a small tmpfs of the test.
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
namespace {

class SmallFs {
 public:
  explicit SmallFs(const std::string& options) : path(TempDir()) {
    REQUIRE(mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) == 0);
  }
  ~SmallFs() {
    umount2(path.c_str(), MNT_DETACH);
    rmdir(path.c_str());
  }
  uint64_t Free() const {
    struct statvfs info;
    REQUIRE(statvfs(path.c_str(), &info) == 0);
    return uint64_t{info.f_bavail} * info.f_frsize;
  }
  const std::string path;
};

// The error names the limit, nothing is left, and the space is free again.
void CheckRefused(StoreFixture& fix, const SmallFs& fs, const std::string& tar,
                  const std::string& reason) {
  const uint64_t before = fs.Free();
  for (const std::string& blob : {tar, Gzip(tar)}) {
    const auto result = fix.UnpackBlob(blob, StoreFixture::Spec(tar));
    INFO(result.status());
    REQUIRE(absl::IsResourceExhausted(result.status()));
    REQUIRE(std::string(result.status().message()).find(reason) != std::string::npos);
    REQUIRE(fix.Empty());
    REQUIRE(fs.Free() + (1 << 20) >= before);
  }
}

std::string Random(size_t size) {
  std::string text(size, '\0');
  uint64_t x = 88172645463325252u;
  for (char& c : text) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    c = static_cast<char>(x);
  }
  return text;
}

TEST_CASE("unpacking stops before the disk is full") {
  SmallFs fs("size=32m");
  StoreFixture fix(fs.path + "/store");
  // The guard checks every 8 MiB, before a write: after 24 MiB it finds less than 12 MiB left.
  fix.limits.min_free_bytes = 12 << 20;
  fix.Reopen();
  CheckRefused(fix, fs, TarBuilder().File("f", Random(28 << 20)).Done(), "12582912 must stay free");
  REQUIRE(fix.Unpack(TarBuilder().File("small", "fits").Done()).ok());
}

TEST_CASE("a disk that is full during unpacking leaves nothing") {
  SmallFs fs("size=8m");
  StoreFixture fix(fs.path + "/store");
  fix.limits.min_free_bytes = 0;
  fix.Reopen();
  // A layer that is larger than the file system would be refused for that.
  REQUIRE(base::WriteFileAtomic(fs.path + "/other", Random(4 << 20), 0600).ok());
  for (int i = 0; i < 5; ++i) {
    CheckRefused(fix, fs, TarBuilder().File("f", Random(6 << 20)).Done(), "ENOSPC");
  }
  REQUIRE(fix.Unpack(TarBuilder().File("small", "fits").Done()).ok());
}

TEST_CASE("a layer has no more bytes than its file system, also those that are not kept") {
  SmallFs fs("size=32m");
  StoreFixture fix(fs.path + "/store");
  const std::string zeros(33 << 20, '\0');
  const std::string reason = absl::StrCat("more than ", 32 << 20, " bytes");
  CheckRefused(fix, fs, TarBuilder().File("f").Done() + zeros, reason);
  CheckRefused(fix, fs, TarBuilder().File(".wh..wh.x", zeros).Done(), reason);
}

TEST_CASE("unpacking stops before the inodes are used up") {
  SmallFs fs("size=64m,nr_inodes=3000");
  StoreFixture fix(fs.path + "/store");
  fix.limits.min_free_inodes = 1000;
  fix.Reopen();
  TarBuilder tar;
  for (int i = 0; i < 5000; ++i) tar.File(absl::StrCat("f", i), "");
  CheckRefused(fix, fs, tar.Done(), "1000 must stay free");
}

TEST_CASE("a full store refuses a layer before the download") {
  SmallFs fs("size=16m");
  StoreFixture fix(fs.path + "/store");
  fix.limits.min_free_bytes = 1 << 30;
  fix.Reopen();
  const LayerSpec spec = StoreFixture::Spec("x");
  REQUIRE(absl::IsResourceExhausted(fix.store->BeginLayer(spec).status()));
}

}  // namespace
}  // namespace crisp::snapshot
