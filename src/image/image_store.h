// The images on this node: one JSON record per image below Paths::Images() and an index in memory.
// Layers are referred to by chain id; a LayerTarget stores them. Thread-safe; readers never wait
// for a disk. Disk format: image/image_record_codec.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/paths.h"
#include "image/layer_leases.h"
#include "image/layer_target.h"
#include "oci/chain_id.h"
#include "oci/digest.h"
#include "oci/image_spec.h"

namespace crisp::image {

struct Layer {
  oci::Digest diff_id;
  oci::ChainId chain_id;
};

// Immutable once the store has published it.
struct Image {
  oci::Digest id;                         // digest of config_json
  std::vector<std::string> repo_tags;     // canonical "host/path:tag", sorted
  std::vector<std::string> repo_digests;  // canonical "host/path@<digest resolved>", sorted
  oci::Digest manifest_digest;            // of the platform's manifest, not of an index
  int64_t size = 0;                       // bytes: manifest + config + compressed layers, > 0
  bool pinned = false;
  std::string config_json;  // exact bytes
  oci::ImageConfig config;  // decoded from config_json
  // Base layer first; derived from config_json. At least one: see EmptyLayer().
  std::vector<Layer> layers;
  uint64_t sequence = 0;  // order of writes: of two records with the same tag the later one wins
};
using ImagePtr = std::shared_ptr<const Image>;

class ImageStore {
 public:
  // Loads every record. A damaged record, and one with a layer that `layers` does not have, is
  // moved to Paths::Quarantine() and listed by quarantined(). That something cannot be written, as
  // on a full disk, is not an error. An error are only a directory that cannot be read, and
  // kResourceExhausted. `layers` is not used after the call.
  static absl::StatusOr<std::unique_ptr<ImageStore>> Open(const base::Paths& paths,
                                                          const LayerTarget& layers);

  // "<file>: <error>" for each record that Open() has quarantined, for the log.
  const std::vector<std::string>& quarantined() const { return quarantined_; }

  // All images, by id.
  std::vector<ImagePtr> List() const;
  // By id ("sha256:<hex>", 64 hex digits, or a unique prefix of them), tag, digest reference, or
  // name without a tag (latest). kNotFound naming `name`; kInvalidArgument when a prefix is
  // ambiguous or the text is neither an id nor a reference.
  absl::StatusOr<ImagePtr> Find(absl::string_view name) const;

  // Publishes a pulled image: adds the tags and digest references of `image` to those it has
  // already, and removes them from other images. Synced to disk on return.
  absl::StatusOr<ImagePtr> Put(Image image);

  // Removes the image with all its references; List() and Find() do not return it afterwards.
  // kNotFound when it does not exist. The caller deletes its layers, see Unused().
  absl::Status Remove(const oci::Digest& id);

  // Those of `chain_ids` that no image and no running pull needs. The caller deletes them while it
  // holds the leases: a pull that needs one of them waits until its lease is released.
  std::vector<LayerLease> Unused(const std::vector<oci::ChainId>& chain_ids);

  LayerLeases& leases() { return leases_; }

 private:
  explicit ImageStore(const base::Paths& paths);
  std::string RecordPath(const oci::Digest& id) const;
  absl::StatusOr<Image> Load(const std::string& file, const LayerTarget& layers) const;
  void MoveToQuarantine(const std::string& file, const absl::Status& why);
  absl::Status Write(const Image& image) const;
  void WriteStale() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);
  // Copies of the images that lose references to `winner`, without these references.
  std::vector<ImagePtr> LosersLocked(const Image& winner) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void PublishLocked(ImagePtr image) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UnpublishLocked(const oci::Digest& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string directory_;
  const std::string quarantine_;
  std::vector<std::string> quarantined_;
  LayerLeases leases_;

  // Serialises writers across their disk writes; taken before mu_.
  absl::Mutex write_mu_;
  uint64_t last_sequence_ ABSL_GUARDED_BY(write_mu_) = 0;
  // Whose records still have references that are another image's by now: a crash or a full disk
  // ended a Put(). They are written, if the disk allows, before that image goes: otherwise the next
  // start would give the references back to them.
  std::set<oci::Digest> stale_ ABSL_GUARDED_BY(write_mu_);

  mutable absl::Mutex mu_;
  std::map<oci::Digest, ImagePtr> images_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, oci::Digest> references_ ABSL_GUARDED_BY(mu_);  // tags and digest refs
};

}  // namespace crisp::image
