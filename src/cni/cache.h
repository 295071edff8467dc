// Attachments on disk, in the format of libcni (kind cniCacheV1): the configuration that ADD was
// run with, and its result. Written before the first plugin runs, so that DEL undoes that ADD also
// after a crash of crispd or a change of the configuration directory.
//   <cache_dir>/results/<network>-<container id>-eth0
// Thread-safe for different containers; the caller runs operations on one container one at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cni/arguments.h"

namespace crisp::cni {

struct CacheEntry {
  std::string network;
  std::string container_id;
  std::string netns;
  std::string config;  // configuration list, JSON
  CniArgs args;
  std::string capability_args;  // JSON object
  std::string result;           // JSON; empty until ADD has succeeded
};

std::string EncodeCacheEntry(const CacheEntry& entry);
// kInvalidArgument for text that is not an entry, kNotFound for an entry that libcni of another
// runtime wrote (delegates of a meta plugin use the same directory and the same container id).
absl::StatusOr<CacheEntry> DecodeCacheEntry(absl::string_view text);
// Of an entry that any runtime wrote.
absl::StatusOr<Attachment> DecodeAttachment(absl::string_view text);

class Cache {
 public:
  explicit Cache(absl::string_view cache_dir);

  // Adds or replaces an entry. It survives crispd but is not synced: a power cut ends the pods too.
  absl::Status Write(const CacheEntry& entry) const;

  struct Found {
    std::string path;
    absl::StatusOr<CacheEntry> entry;  // an error when the file is damaged
  };
  // Crisp's entries of this container, of all networks. Also removes temporary files that a crispd
  // which was killed while writing has left.
  absl::StatusOr<std::vector<Found>> Find(absl::string_view container_id) const;
  // Everything that is attached, by crisp or another user of this cache. Fails as a whole when an
  // entry cannot be read: what is not in the answer may be freed.
  absl::StatusOr<std::vector<Attachment>> List() const;
  // A missing file is OK.
  absl::Status Remove(const std::string& path) const;

 private:
  std::string results_dir_;
};

}  // namespace crisp::cni
