#include "snapshot/damaged_layers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <utility>

#include "base/file.h"
#include "base/paths.h"
#include "base/quarantine.h"
#include "base/status_macros.h"
#include "digest/hasher.h"
#include "snapshot/layer_record.h"
#include "snapshot/usage_walk.h"

namespace crisp::snapshot {
namespace {

constexpr char kRecords[] = "records";

absl::StatusOr<Usage> MeasureTree(const std::string& path) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd root,
                         base::Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  CRISP_ASSIGN_OR_RETURN(const std::unique_ptr<UsageWalk> walk, UsageWalk::Begin(std::move(root)));
  CRISP_RETURN_IF_ERROR(walk->Step([] { return false; }).status());
  return walk->counted();
}

}  // namespace

absl::Status DamagedLayers::Load() {
  absl::StatusOr<std::vector<std::string>> names = base::ListDir(directory_);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names)
    if (name != kRecords) Add(name);
  return absl::OkStatus();
}

void DamagedLayers::Add(const std::string& name) {
  Entry entry;
  const auto text = base::ReadFile(base::JoinPath(directory_, name, base::kRecordFile));
  const auto record = text.ok() ? DecodeLayerRecord(*text) : text.status();
  // A record that is not the one that was written tells neither.
  if (record.ok() && digest::ChainId(record->info.parent.str(), record->info.diff_id) ==
                         record->info.chain_id.str()) {
    entry = {.chain_id = record->info.chain_id, .usage = record->info.usage};
  }
  absl::MutexLock lock(&mu_);
  layers_[name] = entry;
}

absl::StatusOr<std::string> DamagedLayers::SetAside(const std::string& path,
                                                    const std::string& name) {
  CRISP_ASSIGN_OR_RETURN(const std::string aside, base::MoveToQuarantine(path, directory_, name));
  Add(aside.substr(aside.rfind('/') + 1));
  return aside;
}

std::vector<DamagedLayer> DamagedLayers::List() const {
  absl::MutexLock lock(&mu_);
  std::vector<DamagedLayer> all;
  for (const auto& [name, entry] : layers_) all.push_back({name, entry.chain_id});
  return all;
}

absl::Status DamagedLayers::Delete(const std::string& name) {
  const std::string layer = base::JoinPath(directory_, name);
  const std::string records = base::JoinPath(directory_, kRecords);
  const std::string record = base::JoinPath(layer, base::kRecordFile);
  struct stat info;
  if (lstat(record.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    // Without it the layer can go all the same: why it was damaged is in the log.
    (void)base::MoveToQuarantine(record, records, name.substr(0, name.rfind('-')));
    base::LimitQuarantine(records);
  }
  CRISP_RETURN_IF_ERROR(trash_.Throw(layer));
  absl::MutexLock lock(&mu_);
  layers_.erase(name);
  return absl::OkStatus();
}

Usage DamagedLayers::usage() const {
  absl::MutexLock lock(&mu_);
  Usage sum;
  for (const auto& [name, entry] : layers_) {
    if (!entry.usage.has_value()) continue;
    sum.bytes += entry.usage->bytes;
    sum.inodes += entry.usage->inodes;
  }
  return sum;
}

void DamagedLayers::Measure() {
  for (const DamagedLayer& layer : List()) {
    {
      absl::MutexLock lock(&mu_);
      const auto entry = layers_.find(layer.name);
      if (entry == layers_.end() || entry->second.usage.has_value()) continue;
    }
    const absl::StatusOr<Usage> usage = MeasureTree(base::JoinPath(directory_, layer.name));
    absl::MutexLock lock(&mu_);
    const auto entry = layers_.find(layer.name);
    if (usage.ok() && entry != layers_.end()) entry->second.usage = *usage;
  }
}

}  // namespace crisp::snapshot
