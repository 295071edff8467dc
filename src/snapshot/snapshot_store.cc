#include "snapshot/snapshot_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "digest/hasher.h"
#include "snapshot/damaged_layers.h"
#include "snapshot/layer_record.h"
#include "snapshot/layer_removal.h"
#include "snapshot/layer_staging.h"
#include "snapshot/trash.h"

namespace crisp::snapshot {
namespace {

constexpr mode_t kPrivate = 0700;  // users of the host must not reach set-id files of images

struct Layer {
  uint64_t number;
  LayerRecord record;
};

absl::Status CheckContainerId(absl::string_view id) {
  if (base::IsId(id)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("container id \"", id, "\": must be 64 lower-case hexadecimal digits"));
}

absl::Status Rename(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : base::Errno("rename", from);
}

// Writes nothing when the directory is as it should be: the disk may be full or read-only.
absl::Status MakePrivate(const std::string& path) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path, kPrivate));
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return base::Errno("stat", path);
  if ((info.st_mode & 07777) == kPrivate || chmod(path.c_str(), kPrivate) == 0)
    return absl::OkStatus();
  return base::Errno("chmod", path);
}

absl::Status MakeDirectories(const std::string& root) {
  for (const char* name : {"", "layers", "staging", "containers", "trash", "quarantine"})
    CRISP_RETURN_IF_ERROR(MakePrivate(base::JoinPath(root, name)));
  return absl::OkStatus();
}

// The names in a directory of the store; none when it could not be made.
absl::StatusOr<std::vector<std::string>> ListOwn(const std::string& path) {
  absl::StatusOr<std::vector<std::string>> names = base::ListDir(path);
  return absl::IsNotFound(names.status()) ? std::vector<std::string>() : names;
}

// A writable layer at `path`, which does not exist.
absl::Status MakeUpper(const std::string& path, Owner owner) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(path, kPrivate));
  for (const char* name : {kFsDirectory, "work"}) {
    const std::string part = base::JoinPath(path, name);
    CRISP_RETURN_IF_ERROR(base::MakeDirs(part, 0755));
    if (chmod(part.c_str(), 0755) != 0) return base::Errno("chmod", part);
    if (chown(part.c_str(), owner.uid, owner.gid) != 0) return base::Errno("chown", part);
  }
  return absl::OkStatus();
}

// The number that a layer's directory is named by; 0 for another name.
uint64_t NumberOf(const std::string& name) {
  uint64_t number = 0;
  return absl::SimpleAtoi(name, &number) && absl::StrCat(number) == name ? number : 0;
}

std::string LowerName(uint64_t number) {
  return absl::StrCat("layers/", number, "/", kFsDirectory);
}

}  // namespace

struct SnapshotStore::State {
  explicit State(StoreOptions given)
      : options(std::move(given)),
        layers_dir(base::JoinPath(options.root, "layers")),
        staging_dir(base::JoinPath(options.root, "staging")),
        containers_dir(base::JoinPath(options.root, "containers")),
        removal(layers_dir, staging_dir, change_mu, trash),
        trash(base::JoinPath(options.root, "trash")),
        damaged(base::JoinPath(options.root, "quarantine"), trash) {}

  absl::Status Load(std::vector<std::string>& problems);
  void ThrowLeftovers(const std::vector<std::string>& names, std::vector<std::string>& problems)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  absl::Status BeReadyToWrite();
  absl::StatusOr<LayerRecord> LoadLayer(const std::string& directory) const;
  bool Has(const oci::ChainId& chain_id) const;
  absl::StatusOr<std::vector<std::string>> Lowers(const oci::ChainId& chain_id) const;
  absl::Status Publish(uint64_t number, const LayerRecord& record);
  absl::Status Withdraw(uint64_t number, absl::Status why);
  absl::StatusOr<RootfsView> WithUpper(absl::string_view container_id, RootfsView view) const;

  std::string LayerDir(uint64_t number) const {
    return base::JoinPath(layers_dir, absl::StrCat(number));
  }
  std::string StagingDir(uint64_t number) const {
    return base::JoinPath(staging_dir, absl::StrCat(number));
  }
  std::string ContainerDir(absl::string_view id) const {
    return base::JoinPath(containers_dir, id);
  }

  const StoreOptions options;
  const std::string layers_dir;
  const std::string staging_dir;
  const std::string containers_dir;
  // Held while the set of layers on disk changes. Taken before mu, which is never held during a
  // system call, so that readers do not wait for the disk.
  absl::Mutex change_mu ABSL_ACQUIRED_BEFORE(mu);
  LayerRemoval removal;
  Trash trash;  // after what its thread uses
  DamagedLayers damaged;
  std::atomic<bool> made = false;  // the directories

  mutable absl::Mutex mu;
  absl::flat_hash_map<oci::ChainId, Layer> layers ABSL_GUARDED_BY(mu);
  uint64_t next_number ABSL_GUARDED_BY(mu) = 1;
  Usage usage ABSL_GUARDED_BY(mu);
};

SnapshotStore::SnapshotStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
SnapshotStore::~SnapshotStore() = default;

absl::StatusOr<std::unique_ptr<SnapshotStore>> SnapshotStore::Open(
    StoreOptions options, std::vector<std::string>* problems) {
  std::vector<std::string> unread;
  if (problems == nullptr) problems = &unread;
  // Tried again before the first write.
  const absl::Status made = MakeDirectories(options.root);
  if (!made.ok()) problems->emplace_back(made.message());
  auto state = std::make_unique<State>(std::move(options));
  state->made = made.ok();
  CRISP_RETURN_IF_ERROR(state->Load(*problems));
  CRISP_RETURN_IF_ERROR(
      state->trash.Start([&removal = state->removal] { return removal.Finish(); }));
  return std::unique_ptr<SnapshotStore>(new SnapshotStore(std::move(state)));
}

absl::StatusOr<LayerRecord> SnapshotStore::State::LoadLayer(const std::string& directory) const {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(directory, base::kRecordFile)));
  CRISP_ASSIGN_OR_RETURN(LayerRecord record, DecodeLayerRecord(text));
  // The chain id is a digest of the two others, so a changed bit in any of them is found.
  if (digest::ChainId(record.info.parent.str(), record.info.diff_id) !=
      record.info.chain_id.str()) {
    return absl::DataLossError("chain id does not match parent and diff id");
  }
  struct stat info;
  if (lstat(base::JoinPath(directory, kFsDirectory).c_str(), &info) != 0 ||
      !S_ISDIR(info.st_mode)) {
    return absl::DataLossError("the directory with the layer's files is missing");
  }
  return record;
}

absl::Status SnapshotStore::State::BeReadyToWrite() {
  if (made) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(MakeDirectories(options.root));
  made = true;
  return absl::OkStatus();
}

// One that cannot be moved now, because the disk is full or read-only, keeps its number, which is
// not used for another layer then.
void SnapshotStore::State::ThrowLeftovers(const std::vector<std::string>& names,
                                          std::vector<std::string>& problems) {
  for (const std::string& name : names) {
    const absl::Status thrown = trash.Throw(base::JoinPath(staging_dir, name));
    if (thrown.ok()) continue;
    problems.emplace_back(thrown.message());
    next_number = std::max(next_number, NumberOf(name) + 1);
  }
}

absl::Status SnapshotStore::State::Load(std::vector<std::string>& problems) {
  absl::MutexLock change(&change_mu);
  absl::MutexLock lock(&mu);
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> leftovers, ListOwn(staging_dir));
  ThrowLeftovers(leftovers, problems);
  // Without them crispd serves all the same, and does not count or delete them.
  const absl::Status known = damaged.Load();
  if (!known.ok()) problems.push_back(absl::StrCat("damaged layers: ", known.message()));
  // One that cannot be moved stays in its place, unused.
  auto quarantine = [&](const std::string& name, absl::string_view why) {
    const auto aside = damaged.SetAside(base::JoinPath(layers_dir, name), name);
    problems.push_back(absl::StrCat(
        "layer ", name, ": ", why, "; ",
        aside.ok() ? absl::StrCat("moved to ", *aside) : std::string(aside.status().message())));
  };
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListOwn(layers_dir));
  for (const std::string& name : names) {
    const uint64_t number = NumberOf(name);
    auto record = number > 0 ? LoadLayer(base::JoinPath(layers_dir, name))
                             : absl::InvalidArgumentError("the directory name must be a number");
    next_number = std::max(next_number, number + 1);
    // Without memory or descriptors nothing can be said about the layer: the start fails.
    if (absl::IsResourceExhausted(record.status())) return record.status();
    if (record.ok() && layers.contains(record->info.chain_id)) {
      record = absl::AlreadyExistsError("another layer has the same chain id");
    }
    if (!record.ok()) {
      quarantine(name, record.status().message());
      continue;
    }
    layers[record->info.chain_id] = {number, *record};
  }
  // A layer without its parent cannot be used, nor can the layers on top of it.
  for (bool again = true; again;) {
    again = false;
    for (auto it = layers.begin(); it != layers.end();) {
      const auto here = it++;
      const oci::ChainId& parent = here->second.record.info.parent;
      if (parent.empty() || layers.contains(parent)) continue;
      quarantine(absl::StrCat(here->second.number),
                 absl::StrCat("parent ", parent.str(), " is missing"));
      layers.erase(here);
      again = true;
    }
  }
  for (const auto& [chain_id, layer] : layers) {
    usage.bytes += layer.record.info.usage.bytes;
    usage.inodes += layer.record.info.usage.inodes;
  }
  return absl::OkStatus();
}

const UnpackLimits& SnapshotStore::limits() const { return state_->options.limits; }
const std::string& SnapshotStore::root() const { return state_->options.root; }

bool SnapshotStore::State::Has(const oci::ChainId& chain_id) const {
  absl::MutexLock lock(&mu);
  return layers.contains(chain_id);
}

bool SnapshotStore::Has(const oci::ChainId& chain_id) const { return state_->Has(chain_id); }

std::vector<LayerInfo> SnapshotStore::Layers() const {
  absl::MutexLock lock(&state_->mu);
  std::vector<LayerInfo> infos;
  infos.reserve(state_->layers.size());
  for (const auto& [chain_id, layer] : state_->layers) infos.push_back(layer.record.info);
  return infos;
}

Usage SnapshotStore::LayersUsage() const {
  const Usage damaged = state_->damaged.usage();
  absl::MutexLock lock(&state_->mu);
  return {.bytes = state_->usage.bytes + damaged.bytes,
          .inodes = state_->usage.inodes + damaged.inodes};
}

DamagedLayers& SnapshotStore::damaged() { return state_->damaged; }

absl::StatusOr<std::unique_ptr<LayerWriter>> SnapshotStore::BeginLayer(const LayerSpec& spec) {
  State& state = *state_;
  if (!IsDigest(spec.diff_id) || !(spec.parent.empty() || IsDigest(spec.parent.str()))) {
    return absl::InvalidArgumentError(absl::StrCat("diff id \"", spec.diff_id, "\" or parent \"",
                                                   spec.parent.str(),
                                                   "\": must be a sha256 digest"));
  }
  if (digest::ChainId(spec.parent.str(), spec.diff_id) != spec.chain_id.str()) {
    return absl::InvalidArgumentError(
        absl::StrCat("chain id \"", spec.chain_id.str(), "\": does not match parent and diff id"));
  }
  if (state.options.workers == nullptr) return absl::FailedPreconditionError("no unpacker");
  CRISP_RETURN_IF_ERROR(state.BeReadyToWrite());
  uint64_t number = 0;
  {
    absl::MutexLock lock(&state.mu);
    number = state.next_number++;
  }
  LayerStaging staging;
  staging.spec = spec;
  staging.limits = state.options.limits;
  staging.directory = state.StagingDir(number);
  staging.store_root = state.options.root;
  staging.workers = state.options.workers;
  staging.parent_directories = [&state, parent = spec.parent] {
    auto lowers = state.Lowers(parent);
    if (lowers.ok()) return lowers;
    return absl::StatusOr<std::vector<std::string>>(absl::FailedPreconditionError(
        absl::StrCat("parent layer ", parent.str(), " is not published")));
  };
  staging.publish = [&state, number](const LayerRecord& record) {
    return state.Publish(number, record);
  };
  // If this fails, the directory is removed at the next start.
  staging.discard = [&state, directory = staging.directory] { (void)state.trash.Throw(directory); };
  const std::string directory = staging.directory;
  const auto stage = [&]() -> absl::StatusOr<std::unique_ptr<LayerWriter>> {
    const std::string fs = base::JoinPath(directory, kFsDirectory);
    CRISP_RETURN_IF_ERROR(base::MakeDirs(fs, 0755));
    // The mode of the root in an image without an entry for it, independent of crispd's umask.
    if (chmod(fs.c_str(), 0755) != 0) return base::Errno("chmod", fs);
    base::Failpoint("layer: staged");
    return LayerWriter::Create(std::move(staging));
  };
  absl::StatusOr<std::unique_ptr<LayerWriter>> writer = stage();
  // One that could not be made did not take the directory over. Nothing happens if it did.
  if (!writer.ok()) (void)state.trash.Throw(directory);
  return writer;
}

absl::Status SnapshotStore::State::Publish(uint64_t number, const LayerRecord& record) {
  absl::MutexLock change(&change_mu);
  const LayerInfo& info = record.info;
  if (Has(info.chain_id)) return trash.Throw(StagingDir(number));
  CRISP_RETURN_IF_ERROR(Rename(StagingDir(number), LayerDir(number)));
  base::Failpoint("layer: renamed");
  if (absl::Status status = base::SyncDirectory(layers_dir); !status.ok())
    return Withdraw(number, std::move(status));
  base::Failpoint("layer: renamed and synced");
  {
    absl::MutexLock lock(&mu);
    // Only now: Unlist() does not wait for the disk, so a parent may go at any time before.
    if (info.parent.empty() || layers.contains(info.parent)) {
      layers[info.chain_id] = {number, record};
      usage.bytes += info.usage.bytes;
      usage.inodes += info.usage.inodes;
      return absl::OkStatus();
    }
  }
  return Withdraw(number, absl::FailedPreconditionError(
                              absl::StrCat("parent layer ", info.parent.str(), " was removed")));
}

// Undoes the rename of a layer that is not listed; returns `why`.
absl::Status SnapshotStore::State::Withdraw(uint64_t number, absl::Status why) {
  CRISP_RETURN_IF_ERROR(Rename(LayerDir(number), StagingDir(number)));
  return why;
}

std::vector<uint64_t> SnapshotStore::Unlist(absl::Span<const oci::ChainId> chain_ids) {
  const std::set<oci::ChainId> asked(chain_ids.begin(), chain_ids.end());
  std::set<oci::ChainId> gone = asked;
  absl::MutexLock lock(&state_->mu);
  auto& layers = state_->layers;
  Usage& usage = state_->usage;
  for (const auto& [chain_id, layer] : layers) {
    if (asked.count(chain_id) > 0) continue;
    // This layer stays, and so do its parents. Below a parent that is not in `gone`, all are kept
    // already.
    oci::ChainId below = layer.record.info.parent;
    while (gone.erase(below) > 0) below = layers.at(below).record.info.parent;
  }
  std::vector<std::pair<size_t, oci::ChainId>> by_depth;
  for (const oci::ChainId& chain_id : gone) {
    size_t depth = 0;
    for (auto it = layers.find(chain_id); it != layers.end(); ++depth)
      it = layers.find(it->second.record.info.parent);
    by_depth.emplace_back(depth, chain_id);
  }
  std::sort(by_depth.rbegin(), by_depth.rend());
  std::vector<uint64_t> numbers;
  for (const auto& [depth, chain_id] : by_depth) {
    const auto it = layers.find(chain_id);
    if (it == layers.end()) continue;
    numbers.push_back(it->second.number);
    usage.bytes -= it->second.record.info.usage.bytes;
    usage.inodes -= it->second.record.info.usage.inodes;
    layers.erase(it);
  }
  return numbers;
}

absl::Status SnapshotStore::DeleteUnlisted(absl::Span<const uint64_t> numbers) {
  return state_->removal.Delete(numbers);
}

absl::StatusOr<std::vector<std::string>> SnapshotStore::State::Lowers(
    const oci::ChainId& chain_id) const {
  absl::MutexLock lock(&mu);
  std::vector<std::string> lowers;
  for (oci::ChainId id = chain_id; !id.empty();) {
    const auto it = layers.find(id);
    if (it == layers.end()) return absl::NotFoundError(absl::StrCat("layer ", id.str()));
    lowers.push_back(LowerName(it->second.number));
    if (it->second.record.opaque_root) break;
    id = it->second.record.info.parent;
  }
  return lowers;
}

absl::StatusOr<RootfsView> SnapshotStore::View(const oci::ChainId& chain_id) const {
  RootfsView view;
  view.base = state_->options.root;
  view.read_only = true;
  CRISP_ASSIGN_OR_RETURN(view.lowers, state_->Lowers(chain_id));
  return view;
}

absl::StatusOr<RootfsView> SnapshotStore::State::WithUpper(absl::string_view container_id,
                                                           RootfsView view) const {
  view.upper = absl::StrCat("containers/", container_id, "/", kFsDirectory);
  view.work = absl::StrCat("containers/", container_id, "/work");
  view.read_only = false;
  return view;
}

absl::StatusOr<RootfsView> SnapshotStore::Prepare(absl::string_view container_id,
                                                  const oci::ChainId& chain_id, Owner owner) {
  State& state = *state_;
  CRISP_RETURN_IF_ERROR(CheckContainerId(container_id));
  CRISP_ASSIGN_OR_RETURN(RootfsView view, View(chain_id));
  CRISP_RETURN_IF_ERROR(state.BeReadyToWrite());
  const std::string made =
      base::JoinPath(state.staging_dir, absl::StrCat("container-", base::NewId()));
  absl::Status status = MakeUpper(made, owner);
  const std::string path = state.ContainerDir(container_id);
  base::Failpoint("create container: writable layer staged");
  if (status.ok() &&
      renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    status = base::Errno("rename", path);
  }
  if (status.ok()) return state.WithUpper(container_id, std::move(view));
  (void)state.trash.Throw(made);  // if this fails, it is removed at the next start
  return status;
}

absl::StatusOr<RootfsView> SnapshotStore::ContainerView(absl::string_view container_id,
                                                        const oci::ChainId& chain_id) const {
  CRISP_RETURN_IF_ERROR(CheckContainerId(container_id));
  struct stat info;
  const std::string path = state_->ContainerDir(container_id);
  if (lstat(path.c_str(), &info) != 0) return base::Errno("stat", path);
  CRISP_ASSIGN_OR_RETURN(RootfsView view, View(chain_id));
  return state_->WithUpper(container_id, std::move(view));
}

std::string SnapshotStore::VolumesDirectory(absl::string_view container_id) const {
  return base::JoinPath(state_->ContainerDir(container_id), "volumes");
}

absl::StatusOr<std::vector<std::string>> SnapshotStore::Containers() const {
  return base::ListDir(state_->containers_dir);
}

absl::Status SnapshotStore::RemoveContainer(absl::string_view container_id) {
  CRISP_RETURN_IF_ERROR(CheckContainerId(container_id));
  return state_->trash.Throw(state_->ContainerDir(container_id));
}

absl::StatusOr<std::vector<base::UniqueFd>> SnapshotStore::OpenContainer(
    absl::string_view container_id) const {
  CRISP_RETURN_IF_ERROR(CheckContainerId(container_id));
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  std::vector<base::UniqueFd> directories;
  CRISP_ASSIGN_OR_RETURN(
      directories.emplace_back(),
      base::Open(base::JoinPath(state_->ContainerDir(container_id), kFsDirectory), kFlags));
  absl::StatusOr<base::UniqueFd> volumes = base::Open(VolumesDirectory(container_id), kFlags);
  if (absl::IsNotFound(volumes.status())) return directories;
  if (!volumes.ok()) return volumes.status();
  directories.push_back(*std::move(volumes));
  return directories;
}

}  // namespace crisp::snapshot
