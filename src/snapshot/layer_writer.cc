#include "snapshot/layer_writer.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "digest/hasher.h"
#include "snapshot/chunk_queue.h"
#include "snapshot/decoder.h"
#include "snapshot/layer_staging.h"
#include "snapshot/merged_tree.h"
#include "snapshot/space_guard.h"
#include "snapshot/tar_reader.h"
#include "snapshot/tree_fixups.h"
#include "snapshot/tree_walk.h"
#include "snapshot/tree_writer.h"

namespace crisp::snapshot {

struct LayerWriter::State {
  State(LayerStaging given, base::UniqueFd layer_root, base::UniqueFd layer_sync)
      : staging(std::move(given)),
        root(std::move(layer_root)),
        sync(std::move(layer_sync)),
        guard(root.get(), staging.limits),
        tree(root.get(), guard) {}

  absl::Status Feed(absl::Span<const char> compressed);
  absl::Status Pump(absl::Span<const char> compressed);
  absl::Status CheckRatio() const;
  void Flush();
  void RunUnpack();
  absl::Status Join(bool complete);
  absl::Status Seal();
  absl::Status Publish(const std::vector<std::string>& parent_directories);
  absl::Status WriteRecordAndSync();

  LayerStaging staging;
  base::UniqueFd root;  // staging/<n>/fs
  // Opened before the first write: syncfs(2) reports write-back errors since its descriptor was
  // opened.
  base::UniqueFd sync;
  SpaceGuard guard;
  TreeWriter tree;

  digest::Hasher hasher;  // of the plain bytes
  ChunkQueue queue;
  base::Thread worker;
  absl::Status unpacked;  // result of the worker; valid after Join

  std::string head;  // the first bytes, until there is a decoder
  std::unique_ptr<Decoder> decoder;
  Chunk* chunk = nullptr;
  uint64_t compressed_bytes = 0;
  uint64_t plain_bytes = 0;

  LayerRecord record;
  absl::Status failed;
  bool sealed = false;
  bool synced = false;
  bool published = false;
};

// The worker thread: parses the archive and writes the tree.
void LayerWriter::State::RunUnpack() {
  // A umask of its own: files are created with the mode of their entry.
  if (unshare(CLONE_FS) != 0) {
    unpacked = base::Errno("unshare", "file system attributes of the unpack thread");
    queue.Stop();
    return;
  }
  umask(0);
  {
    TarReader tar(queue);
    unpacked = tree.Unpack(tar);
  }
  // Bytes after the end of the archive count only for the digest.
  while (unpacked.ok() && queue.Next() != nullptr) continue;
  queue.Stop();
}

absl::Status LayerWriter::State::Join(bool complete) {
  if (worker.joinable()) {
    queue.Close(complete);
    worker.Join();
  }
  return unpacked;
}

void LayerWriter::State::Flush() {
  if (chunk == nullptr) return;
  hasher.Update({chunk->bytes.get(), chunk->size});
  queue.Push(std::exchange(chunk, nullptr));
}

absl::Status LayerWriter::State::CheckRatio() const {
  const UnpackLimits& limits = staging.limits;
  if (plain_bytes < limits.ratio_from_bytes) return absl::OkStatus();
  if (plain_bytes / limits.max_ratio <= compressed_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("layer of ", compressed_bytes,
                                                   " bytes unpacks to more than ", plain_bytes,
                                                   " bytes, max_ratio is ", limits.max_ratio));
}

absl::Status LayerWriter::State::Pump(absl::Span<const char> input) {
  bool full = false;
  do {
    if (chunk == nullptr) chunk = queue.Acquire();
    // The worker stops before the end only when it has failed.
    if (chunk == nullptr) return Join(/*complete=*/false);
    absl::Span<char> output(chunk->bytes.get() + chunk->size, Chunk::kBytes - chunk->size);
    const size_t room = output.size();
    CRISP_RETURN_IF_ERROR(decoder->Step(input, output));
    chunk->size += room - output.size();
    plain_bytes += room - output.size();
    CRISP_RETURN_IF_ERROR(CheckRatio());
    full = output.empty();
    if (full) Flush();
  } while (!input.empty() || full);
  return absl::OkStatus();
}

absl::Status LayerWriter::State::Feed(absl::Span<const char> compressed) {
  compressed_bytes += compressed.size();
  if (decoder == nullptr) {
    const size_t missing = std::min(kMagicBytes - head.size(), compressed.size());
    head.append(compressed.data(), missing);
    compressed.remove_prefix(missing);
    if (head.size() < kMagicBytes) return absl::OkStatus();
    CRISP_ASSIGN_OR_RETURN(decoder, NewDecoder(head));
    CRISP_RETURN_IF_ERROR(Pump(head));
  }
  return Pump(compressed);
}

absl::Status LayerWriter::State::Seal() {
  if (decoder == nullptr) {  // a blob shorter than the magic bytes
    CRISP_ASSIGN_OR_RETURN(decoder, NewDecoder(head));
    CRISP_RETURN_IF_ERROR(Pump(head));
  }
  CRISP_RETURN_IF_ERROR(decoder->CheckEnd());
  Flush();
  CRISP_RETURN_IF_ERROR(Join(/*complete=*/true));
  if (const std::string digest = hasher.Finish(); digest != staging.spec.diff_id) {
    return absl::DataLossError(absl::StrCat("diff id is ", digest, ", not ", staging.spec.diff_id));
  }
  sealed = true;
  CRISP_FAILPOINT("layer: digest verified");
  // In parallel with the other layers of the image, and with downloads still running.
  return tree.deferred().empty() ? WriteRecordAndSync() : absl::OkStatus();
}

absl::Status LayerWriter::State::Publish(const std::vector<std::string>& parent_directories) {
  if (!synced) {
    std::vector<base::UniqueFd> layers;
    layers.emplace_back(dup(root.get()));
    for (const std::string& directory : parent_directories) {
      CRISP_ASSIGN_OR_RETURN(base::UniqueFd fd, base::Open(directory, O_PATH | O_DIRECTORY));
      layers.push_back(std::move(fd));
    }
    MergedTree merged(std::move(layers));
    CRISP_RETURN_IF_ERROR(ApplyFixups(root.get(), merged, std::move(tree.deferred()), guard));
    CRISP_RETURN_IF_ERROR(WriteRecordAndSync());
  }
  CRISP_RETURN_IF_ERROR(staging.publish(record));
  published = true;
  return absl::OkStatus();
}

absl::Status LayerWriter::State::WriteRecordAndSync() {
  char value = 0;
  record.opaque_root = fgetxattr(root.get(), kOpaqueXattr, &value, 1) == 1 && value == 'y';
  record.info = {staging.spec.chain_id, staging.spec.parent, staging.spec.diff_id, {}};
  CRISP_ASSIGN_OR_RETURN(record.info.usage, MeasureTree(root.get()));
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(base::JoinPath(staging.directory, base::kRecordFile),
                                              EncodeLayerRecord(record), 0600));
  CRISP_FAILPOINT("layer: record written");
  if (syncfs(sync.get()) != 0) return base::Errno("syncfs", staging.directory);
  synced = true;
  CRISP_FAILPOINT("layer: synced");
  return absl::OkStatus();
}

LayerWriter::LayerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerWriter::~LayerWriter() {
  (void)state_->Join(/*complete=*/false);  // abandoned, so its status does not matter
  if (!state_->published) state_->staging.discard();
}

absl::StatusOr<std::unique_ptr<LayerWriter>> LayerWriter::Create(LayerStaging staging) {
  const std::string fs = base::JoinPath(staging.directory, kFsDirectory);
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd root, base::Open(fs, O_RDONLY | O_DIRECTORY));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd sync, base::Open(fs, O_RDONLY | O_DIRECTORY));
  // From here on the destructor throws the staging directory away.
  auto writer = std::unique_ptr<LayerWriter>(new LayerWriter(
      std::make_unique<State>(std::move(staging), std::move(root), std::move(sync))));
  State* const state = writer->state_.get();
  CRISP_RETURN_IF_ERROR(state->guard.Check());
  CRISP_ASSIGN_OR_RETURN(state->worker,
                         base::StartThread("unpack", [state] { state->RunUnpack(); }));
  return writer;
}

absl::Status LayerWriter::Write(absl::Span<const char> compressed) {
  return Run([&] { return state_->Feed(compressed); });
}

absl::Status LayerWriter::Seal() {
  if (state_->sealed) return state_->failed;
  return Run([&] { return state_->Seal(); });
}

absl::Status LayerWriter::Finish() {
  CRISP_RETURN_IF_ERROR(Seal());
  if (state_->published) return absl::OkStatus();
  // Not kept as the writer's error: the caller may publish the parent and call again.
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> directories,
                         state_->staging.parent_directories());
  return Run([&] { return state_->Publish(directories); });
}

// Keeps the first error and ends the worker, which would wait for more bytes otherwise.
absl::Status LayerWriter::Run(absl::FunctionRef<absl::Status()> step) {
  State& state = *state_;
  if (!state.failed.ok()) return state.failed;
  absl::Status status = step();
  if (status.ok()) return status;
  // An error of the worker (a damaged archive) is the cause of the step's error.
  const absl::Status worker = state.Join(/*complete=*/false);
  if (!worker.ok() && !absl::IsCancelled(worker)) status = worker;
  state.failed = base::Prefix(status, absl::StrCat("unpack ", state.staging.spec.diff_id));
  return state.failed;
}

}  // namespace crisp::snapshot
