// Layers that attack the one who unpacks them, for the unit tests of the unpacker and for the
// hostile suite. Each is refused with a clean error or is harmless: unpacked inside its own
// directory. Nothing outside may change.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fakes/tar_builder.h"

namespace crisp::snapshot {

// Where crisp has a check: file of src and function.
namespace where {
inline constexpr char kResolve[] = "linux/rootfs_path.cc OpenInRoot";
inline constexpr char kHardLink[] = "snapshot/tree_writer.cc CreateHardLink";
inline constexpr char kPlace[] = "snapshot/tree_writer.cc Place";
inline constexpr char kClear[] = "snapshot/tree_writer.cc ClearName";
inline constexpr char kClassify[] = "snapshot/tree_writer.cc Classify";
inline constexpr char kWhiteout[] = "snapshot/tree_writer.cc CreateWhiteout";
inline constexpr char kEnter[] = "snapshot/tree_writer.cc Enter";
inline constexpr char kOpaque[] = "snapshot/tree_writer.cc MarkOpaque";
inline constexpr char kSplit[] = "snapshot/tree_writer.cc SplitName";
inline constexpr char kRoot[] = "snapshot/tree_writer.cc ApplyToRoot";
inline constexpr char kConvert[] = "snapshot/tar_reader.cc Convert";
inline constexpr char kMetadata[] = "snapshot/tree_metadata.cc MetadataOf";
inline constexpr char kSpecial[] = "snapshot/tree_writer.cc CreateSpecial";
inline constexpr char kXattrs[] = "snapshot/tree_metadata.cc KeepsXattr";
inline constexpr char kApply[] = "snapshot/tree_metadata.cc ApplyMetadata";
inline constexpr char kTimes[] = "snapshot/tree_metadata.cc Clamped";
inline constexpr char kHeader[] = "snapshot/tar_reader.cc ReadPending";
inline constexpr char kTar[] = "snapshot/tar_reader.cc NextHeader";
inline constexpr char kPax[] = "snapshot/tar_extensions.cc ParsePax";
inline constexpr char kSparse[] = "snapshot/tar_extensions.cc CheckSparse";
inline constexpr char kNumber[] = "snapshot/tar_header.cc ParseTarNumber";
inline constexpr char kContents[] = "snapshot/tree_writer.cc WriteContents";
inline constexpr char kSpend[] = "snapshot/space_guard.cc Spend";
inline constexpr char kGzip[] = "snapshot/decoder.cc GzipDecoder";
inline constexpr char kZstd[] = "snapshot/decoder.cc ZstdDecoder";
inline constexpr char kMagic[] = "snapshot/decoder.cc NewDecoder";
inline constexpr char kTrailer[] = "snapshot/layer_writer.cc RunUnpack";
}  // namespace where

struct HostileLayers {
  enum Verdict { kRefused, kHarmless };

  std::string name;
  Verdict verdict;    // what crisp promises
  const char* check;  // the one that this proves
  // Layers from the lowest to the top-most, as blobs; the last one is the hostile one. `canary` is
  // the absolute path of a directory on the host, which has a file `secret`.
  std::function<std::vector<std::string>(const std::string& canary)> layers;
  // What must be true of the last layer when it is not refused, as tree_fact.h has it. The word
  // "@" stands for the canary's path without its first slash.
  std::vector<std::string> facts = {};
  // The other verdict is as safe, if another runtime prefers it.
  bool both_safe = false;
  bool slow = false;  // takes more than some seconds
};

using enum HostileLayers::Verdict;

using Layers = std::vector<std::string>;
inline Layers One(const TarBuilder& tar) { return {tar.Done()}; }

// `fact` of a table above with the canary's path in it.
std::string FactOf(const std::string& fact, const std::string& canary);

std::vector<HostileLayers> HostileLinks();
std::vector<HostileLayers> HostileNames();
std::vector<HostileLayers> HostileInodes();
std::vector<HostileLayers> HostileStreams();

}  // namespace crisp::snapshot
