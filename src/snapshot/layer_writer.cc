#include "snapshot/layer_writer.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "snapshot/layer_staging.h"
#include "snapshot/space_guard.h"
#include "snapshot/tree_metadata.h"
#include "snapshot/tree_walk.h"
#include "snapshot/unpacker.h"

namespace crisp::snapshot {

struct LayerWriter::State {
  State(LayerStaging given, base::UniqueFd layer_root, base::UniqueFd layer_sync)
      : staging(std::move(given)), root(std::move(layer_root)), sync(std::move(layer_sync)) {}

  absl::Status Seal();
  absl::Status Publish(const std::vector<std::string>& parent_directories);
  absl::Status WriteRecordAndSync();

  LayerStaging staging;
  base::UniqueFd root;  // staging/<n>/fs
  // Opened before the first write: syncfs(2) reports write-back errors since its descriptor was
  // opened.
  base::UniqueFd sync;
  std::unique_ptr<Unpacker> unpacker;

  LayerRecord record;
  absl::Status failed;
  bool sealed = false;
  bool synced = false;
  bool published = false;
};

absl::Status LayerWriter::State::Seal() {
  CRISP_ASSIGN_OR_RETURN(const std::string digest, unpacker->Finish());
  if (digest != staging.spec.diff_id) {
    return absl::DataLossError(absl::StrCat("diff id is ", digest, ", not ", staging.spec.diff_id));
  }
  sealed = true;
  base::Failpoint("layer: digest verified");
  // In parallel with the other layers of the image, and with downloads still running.
  return unpacker->waits_for_lower() ? absl::OkStatus() : WriteRecordAndSync();
}

absl::Status LayerWriter::State::Publish(const std::vector<std::string>& parent_directories) {
  if (!synced) {
    base::UniqueFd lower;
    if (!parent_directories.empty()) {
      CRISP_ASSIGN_OR_RETURN(lower,
                             staging.workers->OpenLower(staging.store_root, parent_directories));
    }
    CRISP_RETURN_IF_ERROR(unpacker->Complete(std::move(lower)));
    CRISP_RETURN_IF_ERROR(WriteRecordAndSync());
  }
  CRISP_RETURN_IF_ERROR(staging.publish(record));
  published = true;
  return absl::OkStatus();
}

absl::Status LayerWriter::State::WriteRecordAndSync() {
  // From here on the layer must not change.
  CRISP_RETURN_IF_ERROR(unpacker->Stop());
  char value = 0;
  record.opaque_root = fgetxattr(root.get(), kOpaqueXattr, &value, 1) == 1 && value == 'y';
  record.info = {staging.spec.chain_id, staging.spec.parent, staging.spec.diff_id, {}};
  CRISP_ASSIGN_OR_RETURN(record.info.usage, MeasureTree(root.get()));
  CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(base::JoinPath(staging.directory, base::kRecordFile),
                                              EncodeLayerRecord(record), 0600));
  base::Failpoint("layer: record written");
  if (syncfs(sync.get()) != 0) return base::Errno("syncfs", staging.directory);
  synced = true;
  base::Failpoint("layer: synced");
  return absl::OkStatus();
}

LayerWriter::LayerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerWriter::~LayerWriter() {
  state_->unpacker.reset();
  if (!state_->published) state_->staging.discard();
}

absl::StatusOr<std::unique_ptr<LayerWriter>> LayerWriter::Create(LayerStaging staging) {
  const std::string fs = base::JoinPath(staging.directory, kFsDirectory);
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd root, base::Open(fs, O_RDONLY | O_DIRECTORY));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd sync, base::Open(fs, O_RDONLY | O_DIRECTORY));
  // From here on the destructor throws the staging directory away.
  auto writer = std::unique_ptr<LayerWriter>(new LayerWriter(
      std::make_unique<State>(std::move(staging), std::move(root), std::move(sync))));
  State& state = *writer->state_;
  CRISP_RETURN_IF_ERROR(SpaceGuard(state.root.get(), state.staging.limits).Check());
  CRISP_ASSIGN_OR_RETURN(state.unpacker,
                         Unpacker::Start(*state.staging.workers, fs, state.staging.limits));
  return writer;
}

absl::Status LayerWriter::Write(absl::Span<const char> compressed) {
  return Run([&] { return state_->unpacker->Write(compressed); });
}

absl::Status LayerWriter::Seal() {
  if (state_->sealed) return state_->failed;
  return Run([&] { return state_->Seal(); });
}

bool LayerWriter::WaitsForParent() const { return state_->sealed && !state_->synced; }

absl::Status LayerWriter::Finish() {
  CRISP_RETURN_IF_ERROR(Seal());
  if (state_->published) return absl::OkStatus();
  // Not kept as the writer's error: the caller may publish the parent and call again.
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> directories,
                         state_->staging.parent_directories());
  return Run([&] { return state_->Publish(directories); });
}

void LayerWriter::Abandon() { state_->unpacker->Abandon(); }

// Keeps the first error.
absl::Status LayerWriter::Run(absl::FunctionRef<absl::Status()> step) {
  State& state = *state_;
  if (!state.failed.ok()) return state.failed;
  absl::Status status = step();
  if (status.ok()) return status;
  // That the decoder is gone has a cause: a damaged archive, for example.
  if (absl::IsUnavailable(status)) {
    status = state.unpacker->Cause();
    if (status.ok()) status = absl::InternalError("the decode process has ended too early");
  }
  state.failed = base::Prefix(status, absl::StrCat("unpack ", state.staging.spec.diff_id));
  return state.failed;
}

}  // namespace crisp::snapshot
