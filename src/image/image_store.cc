#include "image/image_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/printable.h"
#include "base/quarantine.h"
#include "base/status_macros.h"
#include "base/temporary_files.h"
#include "image/image_record_codec.h"
#include "oci/reference.h"

namespace crisp::image {
namespace {

constexpr char kSuffix[] = ".json";
constexpr absl::string_view kIdPrefix = "sha256:";

void AddSorted(std::vector<std::string>& list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

void RemoveAll(std::vector<std::string>& list, const std::vector<std::string>& unwanted) {
  std::erase_if(list, [&](const std::string& text) {
    return std::find(unwanted.begin(), unwanted.end(), text) != unwanted.end();
  });
}

// Compares what is stored. With equal ids the configs are equal, and all that is derived from them.
bool EqualRecords(const Image& a, const Image& b) {
  return a.id == b.id && a.repo_tags == b.repo_tags && a.repo_digests == b.repo_digests &&
         a.manifest_digest == b.manifest_digest && a.size == b.size && a.pinned == b.pinned;
}

// Whether the text is a possible prefix of an id's hex digits.
bool IsHexPrefix(absl::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

absl::Status NoSuchImage(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat("image \"", base::Printable(name, 300), "\" not found"));
}

}  // namespace

ImageStore::ImageStore(const base::Paths& paths)
    : directory_(paths.Images()), quarantine_(paths.Quarantine()) {}

std::string ImageStore::RecordPath(const oci::Digest& id) const {
  return base::JoinPath(directory_, absl::StrCat(id.hex(), kSuffix));
}

absl::StatusOr<std::unique_ptr<ImageStore>> ImageStore::Open(const base::Paths& paths,
                                                             const LayerTarget& layers) {
  std::unique_ptr<ImageStore> store(new ImageStore(paths));
  (void)base::MakeDirs(store->directory_, 0700);  // again before the first write
  const absl::StatusOr<std::vector<std::string>> listed = base::ListDir(store->directory_);
  if (!listed.ok() && !absl::IsNotFound(listed.status())) return listed.status();
  std::vector<Image> images;
  for (const std::string& file : listed.value_or(std::vector<std::string>())) {
    // The writer was killed before it renamed this file.
    if (absl::StrContains(file, absl::StrCat(kSuffix, base::kTemporaryMark))) {
      (void)base::RemoveTree(
          base::JoinPath(store->directory_, file));  // tried again at the next start
      continue;
    }
    absl::StatusOr<Image> image = store->Load(file, layers);
    if (image.ok()) {
      images.push_back(*std::move(image));
    } else if (absl::IsResourceExhausted(image.status())) {
      return image.status();  // out of descriptors or memory: nothing can be said about the image
    } else {
      store->MoveToQuarantine(file, image.status());
    }
  }
  std::sort(images.begin(), images.end(),
            [](const Image& a, const Image& b) { return a.sequence < b.sequence; });
  absl::MutexLock write_lock(&store->write_mu_);
  for (Image& image : images) {
    absl::MutexLock lock(&store->mu_);
    store->last_sequence_ = image.sequence;
    // A crash while a tag moved leaves it in two records; the later record wins.
    for (ImagePtr& loser : store->LosersLocked(image)) {
      store->stale_.insert(loser->id);
      store->PublishLocked(std::move(loser));
    }
    store->PublishLocked(std::make_shared<const Image>(std::move(image)));
  }
  store->WriteStale();
  return store;
}

absl::StatusOr<Image> ImageStore::Load(const std::string& file, const LayerTarget& layers) const {
  // A config of 4 MiB may become twice as long when its quotes are escaped.
  constexpr size_t kMaxRecordBytes = 4 * oci::kMaxDocumentBytes;
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(directory_, file), kMaxRecordBytes));
  CRISP_ASSIGN_OR_RETURN(Image image, DecodeImageRecord(text));
  if (file != absl::StrCat(image.id.hex(), kSuffix)) {
    return absl::InvalidArgumentError("the file name is not the image's id");
  }
  for (const Layer& layer : image.layers) {
    if (!layers.Has(layer.chain_id)) {
      return absl::DataLossError(absl::StrCat("layer ", layer.chain_id.str(), " is missing"));
    }
  }
  return image;
}

void ImageStore::MoveToQuarantine(const std::string& file, const absl::Status& why) {
  const std::string from = base::JoinPath(directory_, file);
  std::string line = absl::StrCat(from, ": ", why.message());
  const auto moved = base::MoveToQuarantine(from, quarantine_, absl::StrCat("image-", file));
  if (!moved.ok()) absl::StrAppend(&line, "; ", moved.status().message());
  quarantined_.push_back(std::move(line));
}

std::vector<ImagePtr> ImageStore::List() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<ImagePtr> images;
  images.reserve(images_.size());
  for (const auto& [id, image] : images_) images.push_back(image);
  return images;
}

absl::StatusOr<ImagePtr> ImageStore::Find(absl::string_view name) const {
  absl::string_view hex = name;
  const bool only_id = absl::ConsumePrefix(&hex, kIdPrefix) || base::IsId(name);
  const absl::StatusOr<oci::Reference> reference =
      only_id ? absl::StatusOr<oci::Reference>(NoSuchImage(name)) : oci::Reference::Parse(name);

  absl::ReaderMutexLock lock(&mu_);
  if (reference.ok()) {
    const auto found = references_.find(reference->ToString());
    if (found != references_.end()) return images_.at(found->second);
  }
  if (!IsHexPrefix(hex)) {
    if (!only_id && !reference.ok()) return reference.status();
    return NoSuchImage(name);
  }
  ImagePtr match;
  for (const auto& [id, image] : images_) {
    if (!absl::StartsWith(id.hex(), hex)) continue;
    if (match != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("image id prefix \"", hex, "\": is ambiguous"));
    }
    match = image;
  }
  if (match == nullptr) return NoSuchImage(name);
  return match;
}

void ImageStore::WriteStale() {
  const std::set<oci::Digest> ids = stale_;
  for (const oci::Digest& id : ids) {
    ImagePtr image;
    {
      absl::ReaderMutexLock lock(&mu_);
      const auto found = images_.find(id);
      if (found != images_.end()) image = found->second;
    }
    if (image == nullptr || Write(*image).ok()) stale_.erase(id);
  }
}

absl::Status ImageStore::Write(const Image& image) const {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(directory_, 0700));
  return base::WriteFileAtomic(RecordPath(image.id), EncodeImageRecord(image), 0600,
                               base::Durability::kPower);
}

std::vector<ImagePtr> ImageStore::LosersLocked(const Image& winner) const {
  std::set<oci::Digest> loser_ids;
  for (const std::vector<std::string>* list : {&winner.repo_tags, &winner.repo_digests}) {
    for (const std::string& text : *list) {
      const auto holder = references_.find(text);
      if (holder != references_.end() && holder->second != winner.id) {
        loser_ids.insert(holder->second);
      }
    }
  }
  std::vector<ImagePtr> losers;
  for (const oci::Digest& id : loser_ids) {
    Image loser = *images_.at(id);
    RemoveAll(loser.repo_tags, winner.repo_tags);
    RemoveAll(loser.repo_digests, winner.repo_digests);
    losers.push_back(std::make_shared<const Image>(std::move(loser)));
  }
  return losers;
}

void ImageStore::PublishLocked(ImagePtr image) {
  UnpublishLocked(image->id);
  for (const std::string& tag : image->repo_tags) references_[tag] = image->id;
  for (const std::string& digest : image->repo_digests) references_[digest] = image->id;
  images_[image->id] = std::move(image);
}

void ImageStore::UnpublishLocked(const oci::Digest& id) {
  std::erase_if(references_, [&](const auto& entry) { return entry.second == id; });
  images_.erase(id);
}

absl::StatusOr<ImagePtr> ImageStore::Put(Image image) {
  absl::MutexLock write_lock(&write_mu_);
  std::vector<ImagePtr> losers;
  {
    absl::ReaderMutexLock lock(&mu_);
    const auto known = images_.find(image.id);
    if (known != images_.end()) {
      AddSorted(image.repo_tags, known->second->repo_tags);
      AddSorted(image.repo_digests, known->second->repo_digests);
      image.pinned = image.pinned || known->second->pinned;
      if (EqualRecords(image, *known->second)) return known->second;
    }
    losers = LosersLocked(image);
  }
  image.sequence = ++last_sequence_;
  // The winner is written first: a crash or a full disk after it leaves a tag in two records, of
  // which Open() takes the one with the higher sequence. In the other order the tag could be lost.
  CRISP_RETURN_IF_ERROR(base::Prefix(Write(image), "write image record"));
  base::Failpoint("pull: image on record");
  for (const ImagePtr& loser : losers) stale_.insert(loser->id);
  ImagePtr published = std::make_shared<const Image>(std::move(image));
  {
    absl::MutexLock lock(&mu_);
    for (ImagePtr& loser : losers) PublishLocked(std::move(loser));
    PublishLocked(published);
  }
  WriteStale();
  return published;
}

absl::Status ImageStore::Remove(const oci::Digest& id) {
  absl::MutexLock write_lock(&write_mu_);
  {
    absl::ReaderMutexLock lock(&mu_);
    if (!images_.contains(id)) return NoSuchImage(id.str());
  }
  // Before: with its record goes what says that the references are not another image's any more.
  WriteStale();
  // Unlinking works on a full disk. Synced before any layer is deleted: otherwise a power cut could
  // restore a record whose layers are gone.
  const std::string path = RecordPath(id);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::Errno("remove image record", path);
  base::Failpoint("remove image: record gone");
  CRISP_RETURN_IF_ERROR(base::SyncDirectory(directory_));
  base::Failpoint("remove image: synced");
  {
    absl::MutexLock lock(&mu_);
    UnpublishLocked(id);
  }
  WriteStale();  // on a full disk there may be room now
  return absl::OkStatus();
}

std::vector<LayerLease> ImageStore::Unused(const std::vector<oci::ChainId>& chain_ids) {
  // Locked to the end: a pull publishes its image before it releases its leases, so a layer it
  // needs is found either in an image or under a lease.
  absl::ReaderMutexLock lock(&mu_);
  std::set<oci::ChainId> used;
  for (const auto& [id, image] : images_) {
    for (const Layer& layer : image->layers) used.insert(layer.chain_id);
  }
  std::vector<LayerLease> unused;
  for (const oci::ChainId& chain_id : chain_ids) {
    if (used.contains(chain_id)) continue;
    if (std::optional<LayerLease> lease = leases_.TryAcquire(chain_id)) {
      unused.push_back(*std::move(lease));
    }
  }
  return unused;
}

}  // namespace crisp::image
