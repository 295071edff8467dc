// The images this node has: one JSON record per image under Paths::Images(), an index in memory.
// Layers are named by chain id and live elsewhere (LayerTarget). Thread-safe; readers never wait
// for a disk. Disk format: image/image_record_codec.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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

// An image as it is known; immutable once published by the store.
struct Image {
  oci::Digest id;                         // digest of config_json
  std::vector<std::string> repo_tags;     // canonical "host/path:tag", sorted
  std::vector<std::string> repo_digests;  // canonical "host/path@<digest resolved>", sorted
  oci::Digest manifest_digest;            // of the platform's manifest, not of an index
  int64_t size = 0;                       // bytes: manifest + config + compressed layers, > 0
  bool pinned = false;
  std::string config_json;    // exact bytes
  oci::ImageConfig config;    // decoded from config_json
  std::vector<Layer> layers;  // base layer first; derived from config_json
  uint64_t sequence = 0;  // order of writing: of two records claiming one tag the later one has it
};
using ImagePtr = std::shared_ptr<const Image>;

class ImageStore {
 public:
  // Loads every record. One that cannot be understood, or that counts on a layer `layers` does not
  // have, is moved to Paths::Quarantine() and reported by quarantined(); only an unusable directory
  // is an error. `layers` is not kept.
  static absl::StatusOr<std::unique_ptr<ImageStore>> Open(const base::Paths& paths,
                                                          const LayerTarget& layers);

  // "<file>: <why>" of the records moved aside by Open(), for the log.
  const std::vector<std::string>& quarantined() const { return quarantined_; }

  // All images, by id.
  std::vector<ImagePtr> List() const;
  // By id ("sha256:<hex>", 64 hex digits, or a unique prefix of the hex digits), tag, digest
  // reference, or name without a tag (= latest). kNotFound naming `name`; kInvalidArgument when a
  // prefix is ambiguous or the text can be neither.
  absl::StatusOr<ImagePtr> Find(absl::string_view name) const;

  // Publishes what a pull found: adds the tag and digest references given in `image` to those the
  // image has, and takes its tags away from other images. Durable (synced) on return.
  absl::StatusOr<ImagePtr> Put(Image image);

  // Removes the image with all its references; gone from List() and Find() on return. kNotFound
  // when it is already gone. Its layers are the caller's to delete: Unused() tells which.
  absl::Status Remove(const oci::Digest& id);

  // Of `chain_ids`, those that no image and no running pull needs: delete them while holding the
  // leases (a pull that wants one waits until its lease is dropped).
  std::vector<LayerLease> Unused(const std::vector<oci::ChainId>& chain_ids);

  LayerLeases& leases() { return leases_; }

 private:
  explicit ImageStore(const base::Paths& paths);
  std::string RecordPath(const oci::Digest& id) const;
  absl::StatusOr<Image> Load(const std::string& file, const LayerTarget& layers) const;
  void MoveAside(const std::string& file, const absl::Status& why);
  absl::Status Write(const Image& image) const;
  // Other images that lose references to `winner`, as they are without them.
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

  mutable absl::Mutex mu_;
  std::map<oci::Digest, ImagePtr> images_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, oci::Digest> references_ ABSL_GUARDED_BY(mu_);  // tags and digest refs
};

}  // namespace crisp::image
