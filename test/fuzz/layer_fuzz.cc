// A layer from a registry, unpacked by a real store on top of a small parent layer. Whatever it
// contains: the directory beside the store is unchanged, a refused layer leaves nothing, and the
// error is not kInternal. Needs root. What parses the layer runs on threads of the fuzzer.
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/paths.h"
#include "snapshot/snapshot_store.h"
#include "test/unit/snapshot/await_empty.h"
#include "test/unit/snapshot/plain_digest.h"
#include "test/unit/snapshot/unpack_threads.h"

namespace {

namespace base = crisp::base;
using crisp::oci::ChainId;
using crisp::snapshot::LayerSpec;
using crisp::snapshot::SnapshotStore;

// Larger layers would only cost the fuzzer time.
constexpr uint64_t kMaxPlainBytes = 4 << 20;

void Must(bool condition) {
  if (!condition) __builtin_trap();
}

void MustOk(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "%s\n", status.ToString().c_str());
  __builtin_trap();
}

class Scratch {
 public:
  Scratch() {
    // In memory: on a disk every layer would wait for syncfs(2).
    char name[] = "/dev/shm/crisp-fuzz-XXXXXX";
    Must(mkdtemp(name) != nullptr);
    dir_ = name;
    canary_ = base::JoinPath(dir_, "canary");
    MustOk(base::MakeDirs(base::JoinPath(canary_, "directory"), 0700));
    MustOk(base::WriteFileAtomic(base::JoinPath(canary_, "secret"), "canary", 0600));
    before_ = Canary();
    auto opened = SnapshotStore::Open(
        {.root = base::JoinPath(dir_, "store"), .limits = {}, .workers = &threads_});
    MustOk(opened.status());
    store_ = *std::move(opened);
    PublishParent();
  }
  ~Scratch() {
    store_.reset();
    (void)base::RemoveTree(dir_);
  }

  void Unpack(absl::string_view blob) {
    const std::optional<std::string> diff_id = crisp::snapshot::PlainDigest(blob, kMaxPlainBytes);
    if (!diff_id.has_value()) return;
    const LayerSpec spec = Spec(parent_, *diff_id);
    const absl::Status status = UnpackAs(spec, blob);
    if (absl::IsInternal(status) || absl::IsUnknown(status)) MustOk(status);
    Must(store_->Has(spec.chain_id) == status.ok());
    if (status.ok()) MustOk(store_->DeleteUnlisted(store_->Unlist({spec.chain_id})));
    Must(crisp::snapshot::AwaitEmpty(base::JoinPath(dir_, "store/trash")));
    Must(base::ListDir(base::JoinPath(dir_, "store/staging"))->empty());
    Must(base::ListDir(base::JoinPath(dir_, "store/layers"))->size() == 1);
    Must(Canary() == before_);
  }

 private:
  // The parent layer, made by tar(1).
  void PublishParent() {
    const std::string tar = base::JoinPath(dir_, "parent.tar");
    const std::string script = absl::StrCat(
        "set -e; cd ", dir_,
        "; mkdir -m 0750 -p p/directory/sub p/gone; echo x >p/directory/file; ",
        "ln -s directory p/link; ln p/directory/file p/hard; tar -C p -cf parent.tar .; rm -r p");
    Must(system(script.c_str()) == 0);
    const absl::StatusOr<std::string> blob = base::ReadFile(tar);
    MustOk(blob.status());
    const LayerSpec spec = Spec(ChainId(), crisp::snapshot::PlainDigest(*blob).value());
    MustOk(UnpackAs(spec, *blob));
    parent_ = spec.chain_id;
  }

  static LayerSpec Spec(const ChainId& parent, const std::string& diff_id) {
    return {ChainId(crisp::digest::ChainId(parent.str(), diff_id)), parent, diff_id};
  }

  absl::Status UnpackAs(const LayerSpec& spec, absl::string_view blob) {
    auto writer = store_->BeginLayer(spec);
    MustOk(writer.status());
    constexpr size_t kStep = 1000;
    for (size_t at = 0; at < blob.size(); at += kStep) {
      const absl::Status status = (*writer)->Write(blob.substr(at, kStep));
      if (!status.ok()) return status;
    }
    return (*writer)->Finish();
  }

  // A change of contents changes these times.
  std::string Canary() const {
    std::string all;
    for (const char* name : {"", "/directory", "/secret"}) {
      struct stat info;
      Must(lstat((canary_ + name).c_str(), &info) == 0);
      absl::StrAppend(&all, info.st_ino, " ", info.st_nlink, " ", info.st_mtim.tv_nsec, " ",
                      info.st_ctim.tv_nsec, " ");
    }
    return all;
  }

  std::string dir_;
  std::string canary_;
  std::string before_;
  ChainId parent_;
  crisp::snapshot::UnpackThreads threads_;
  std::unique_ptr<SnapshotStore> store_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Scratch scratch;
  scratch.Unpack(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
