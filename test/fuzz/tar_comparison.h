// What tar_reader_fuzz.cc takes for the same files. Apart from the fuzz target, so that
// test/unit/snapshot can test it. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::snapshot {

// How crisp's list of an archive ends.
enum class TarEnd {
  kWhole,
  kLarge,  // at a file whose contents are not compared
  kError,
};

struct TarList {
  std::string lines;  // of the entries before the end
  TarEnd end = TarEnd::kWhole;
  std::string error;  // kError: what is wrong with the next entry
};

inline constexpr char kListOfError[] = "error";
inline constexpr char kLineOfLarge[] = "large\n";

// As tarlist (test/fuzz/tar) writes it: an archive that is not taken has no entries.
inline std::string Written(const TarList& list) {
  switch (list.end) {
    case TarEnd::kWhole:
      return list.lines;
    case TarEnd::kLarge:
      return absl::StrCat(list.lines, kLineOfLarge);
    case TarEnd::kError:
      return kListOfError;
  }
  return "";
}

// archive/tar sees only while it reads a file that a map does not fit its contents, and tarlist
// does not read a large one. crisp sees it before. All entries before that file must be equal.
inline bool IsMapOfLargeFile(const TarList& ours, absl::string_view theirs) {
  return ours.end == TarEnd::kError &&
         ours.error == "a sparse file has more or fewer bytes than its map says" &&
         theirs == absl::StrCat(ours.lines, kLineOfLarge);
}

// Whether crisp's list and tarlist's of the same archive are equal, or differ as they are meant to.
inline bool SameFiles(const TarList& ours, absl::string_view theirs) {
  return Written(ours) == theirs || IsMapOfLargeFile(ours, theirs);
}

}  // namespace crisp::snapshot
