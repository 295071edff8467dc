// Attachments on disk, in the files libcni keeps (kind cniCacheV1): with which configuration ADD
// was run and what came of it. Written before the first plugin runs, so that DEL after a crash or
// after a change of the configuration directory undoes what was really done.
//   <cache_dir>/results/<network>-<container id>-eth0
// Thread-safe; entries of one container are the business of one thread at a time.
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
  std::string result;           // JSON; empty until ADD has ended well
};

std::string EncodeCacheEntry(const CacheEntry& entry);
// kInvalidArgument for what is no entry, kNotFound for one another runtime's libcni wrote (a meta
// plugin's delegates use the same directory and the same container id).
absl::StatusOr<CacheEntry> DecodeCacheEntry(absl::string_view text);

class Cache {
 public:
  explicit Cache(absl::string_view cache_dir);

  // Adds or replaces. Survives the daemon, not a power cut, and neither do the pods.
  absl::Status Write(const CacheEntry& entry) const;

  struct Found {
    std::string path;
    absl::StatusOr<CacheEntry> entry;  // an error when the file is damaged
  };
  // Ours for this container, under whatever network name. What a writer that died left goes.
  absl::StatusOr<std::vector<Found>> Find(absl::string_view container_id) const;
  // A missing file is OK.
  absl::Status Remove(const std::string& path) const;

 private:
  std::string results_dir_;
};

}  // namespace crisp::cni
