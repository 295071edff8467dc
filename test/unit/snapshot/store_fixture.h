// A store in a new directory, beside a canary that no layer may change.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <climits>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "digest/hasher.h"
#include "fakes/tar_builder.h"
#include "snapshot/layer_record.h"
#include "snapshot/snapshot_store.h"
#include "snapshot/unpack_processes.h"
#include "test/unit/snapshot/await_empty.h"

namespace crisp::snapshot {

inline std::string TempDir() {
  const char* const place = getenv("TMPDIR");
  std::string name = absl::StrCat(place != nullptr ? place : "/tmp", "/crisp-snapshot-XXXXXX");
  REQUIRE(mkdtemp(name.data()) != nullptr);
  return name;
}

inline struct stat Stat(const std::string& path) {
  struct stat info = {};
  INFO(path);
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info;
}

inline bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

inline std::string Target(const std::string& path) {
  char target[PATH_MAX] = {};
  return readlink(path.c_str(), target, sizeof(target) - 1) < 0 ? "(no link)" : target;
}

// "(none)" when it is not there.
inline std::string Xattr(const std::string& path, const std::string& name) {
  char value[65536];
  const ssize_t size = lgetxattr(path.c_str(), name.c_str(), value, sizeof(value));
  return size < 0 ? "(none)" : std::string(value, static_cast<size_t>(size));
}

inline bool IsWhiteoutAt(const std::string& path) {
  const struct stat info = Stat(path);
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

// One line per inode below `path`, with all that the unpacker must preserve.
inline void Describe(const std::string& path, const std::string& name, std::string& out,
                     bool with_directory_times = true) {
  const struct stat info = Stat(path);
  const bool directory = S_ISDIR(info.st_mode);
  absl::StrAppend(&out, name, absl::StrFormat(" %o %d:%d", info.st_mode, info.st_uid, info.st_gid));
  if (!directory) absl::StrAppend(&out, " links ", info.st_nlink);
  if (!directory || with_directory_times) {
    absl::StrAppend(&out, " ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec);
  }
  if (S_ISREG(info.st_mode)) {
    absl::StrAppend(&out, " ", info.st_size, " ", digest::Sha256(*base::ReadFile(path)));
  }
  if (S_ISLNK(info.st_mode)) absl::StrAppend(&out, " -> ", Target(path));
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    absl::StrAppend(&out, " ", major(info.st_rdev), ":", minor(info.st_rdev));
  }
  char names[65536];
  const ssize_t size = llistxattr(path.c_str(), names, sizeof(names));
  std::vector<std::string> xattrs;
  for (const char* at = names; at < names + size; at += strlen(at) + 1) {
    xattrs.push_back(absl::StrCat(" ", at, "=", digest::Sha256(Xattr(path, at)).substr(7, 8)));
  }
  std::sort(xattrs.begin(), xattrs.end());
  for (const std::string& xattr : xattrs) out += xattr;
  out += "\n";
  if (!directory) return;
  const std::vector<std::string> children = *base::ListDir(path);
  for (const std::string& child : children) {
    Describe(absl::StrCat(path, "/", child), absl::StrCat(name, "/", child), out,
             with_directory_times);
  }
}

inline std::string Describe(const std::string& path, bool with_directory_times = true) {
  std::string out;
  Describe(path, "", out, with_directory_times);
  return out;
}

#ifdef CRISP_UNPACK
inline UnpackWorkers& Processes() {
  static const auto processes = UnpackProcesses::Open(CRISP_UNPACK).value();
  return *processes;
}
#endif

class StoreFixture {
 public:
#ifdef CRISP_UNPACK
  explicit StoreFixture(const std::string& root = "") : StoreFixture(Processes(), root) {}
#endif
  explicit StoreFixture(UnpackWorkers& workers, const std::string& root = "")
      : workers_(workers), dir_(TempDir()) {
    root_ = root.empty() ? dir_ + "/store" : root;
    limits.min_free_bytes = 1 << 20;
    limits.min_free_inodes = 100;
    const std::string canary = Canary();
    REQUIRE(mkdir(canary.c_str(), 0700) == 0);
    REQUIRE(base::WriteFileAtomic(canary + "/secret", "canary", 0600).ok());
    REQUIRE(mkdir((canary + "/sub").c_str(), 0700) == 0);
    canary_before_ = Describe(canary);
    Reopen();
  }
  ~StoreFixture() {
    store.reset();
    (void)base::RemoveTree(dir_);
  }

  std::string Canary() const { return dir_ + "/canary"; }
  bool CanaryUntouched() const { return Describe(Canary()) == canary_before_; }
  const std::string& root() const { return root_; }

  std::vector<std::string> Reopen() {
    std::vector<std::string> problems;
    store.reset();
    StoreOptions options{root_, limits, &workers_};
    auto opened = SnapshotStore::Open(std::move(options), &problems);
    INFO(opened.status());
    REQUIRE(opened.ok());
    store = std::move(opened).value();
    return problems;
  }

  static LayerSpec Spec(const std::string& tar, const oci::ChainId& parent = {}) {
    const std::string diff_id = digest::Sha256(tar);
    return {oci::ChainId(digest::ChainId(parent.str(), diff_id)), parent, diff_id};
  }
  // The chain id on success.
  absl::StatusOr<oci::ChainId> Unpack(const std::string& tar, const oci::ChainId& parent = {}) {
    return UnpackBlob(tar, Spec(tar, parent));
  }
  absl::StatusOr<oci::ChainId> UnpackBlob(absl::string_view blob, const LayerSpec& spec) {
    auto writer = store->BeginLayer(spec);
    if (!writer.ok()) return writer.status();
    constexpr size_t kStep = 100'000;
    for (size_t at = 0; at < blob.size(); at += kStep) {
      const absl::Status status = (*writer)->Write(blob.substr(at, kStep));
      if (!status.ok()) return status;
    }
    const absl::Status status = (*writer)->Finish();
    if (!status.ok()) return status;
    return spec.chain_id;
  }
  // Absolute path of the layer's own directory.
  std::string Directory(const oci::ChainId& chain_id) const {
    const auto view = store->View(chain_id);
    REQUIRE(view.ok());
    return absl::StrCat(view->base, "/", view->lowers[0]);
  }
  // No published or staged layer is left, and the trash is empty.
  bool Empty() {
    if (!AwaitEmpty(root_ + "/trash")) return false;
    for (const char* name : {"layers", "staging"}) {
      if (!base::ListDir(absl::StrCat(root_, "/", name))->empty()) return false;
    }
    return true;
  }

  UnpackLimits limits;
  std::unique_ptr<SnapshotStore> store;

 private:
  UnpackWorkers& workers_;
  std::string dir_;
  std::string root_;
  std::string canary_before_;
};

}  // namespace crisp::snapshot
