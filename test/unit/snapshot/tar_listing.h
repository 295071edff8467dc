// What a TarReader finds in the bytes of an archive, as text.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "snapshot/tar_reader.h"

namespace crisp::snapshot {

// A source of the bytes of `archive` (borrowed), `step` at a time.
inline TarReader::Source InSteps(absl::string_view archive, size_t step) {
  return [archive, step]() mutable -> absl::StatusOr<absl::Span<const char>> {
    const absl::string_view piece = archive.substr(0, step);
    archive.remove_prefix(piece.size());
    return absl::MakeConstSpan(piece.data(), piece.size());
  };
}

// All contents, with zeros for holes.
inline absl::StatusOr<std::string> Contents(TarReader& tar, const TarEntry& entry) {
  std::string contents;
  while (true) {
    int64_t offset = 0;
    const auto piece = tar.NextBlock(offset);
    if (!piece.ok()) return piece.status();
    if (piece->empty()) break;
    contents.resize(static_cast<size_t>(offset), '\0');
    contents.append(piece->data(), piece->size());
  }
  contents.resize(static_cast<size_t>(entry.size), '\0');
  return contents;
}

// "f name contents|" or "l name -> target|" for each entry; then what is wrong, if anything is.
inline std::string List(absl::string_view archive, size_t step = 1000) {
  TarReader tar(InSteps(archive, step));
  std::string list;
  TarEntry entry;
  while (true) {
    const absl::StatusOr<bool> more = tar.Next(entry);
    if (!more.ok()) return absl::StrCat(list, more.status().message());
    if (!*more) return list;
    absl::StrAppend(&list, std::string(1, "fdlhpcb"[static_cast<int>(entry.type)]), " ",
                    entry.name);
    if (!entry.link.empty()) absl::StrAppend(&list, " -> ", entry.link);
    if (entry.type == TarEntry::Type::kFile) {
      const absl::StatusOr<std::string> contents = Contents(tar, entry);
      if (!contents.ok()) return absl::StrCat(list, " ", contents.status().message());
      absl::StrAppend(&list, " ", *contents);
    }
    list += "|";
  }
}

}  // namespace crisp::snapshot
