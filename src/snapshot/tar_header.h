// One header block of a tar archive: Unix V7, ustar (POSIX.1-1988), star and GNU tar, read as Go's
// archive/tar does, which Docker, containerd and CRI-O use. Pure, thread-safe.
#pragma once

#include <time.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::snapshot {

constexpr size_t kTarBlock = 512;
using TarBlock = std::array<char, kTarBlock>;

struct TarHeader {
  enum class Format { kV7, kUstar, kStar, kGnu };

  Format format = Format::kV7;
  char type = '0';
  std::string name;
  std::string link;
  int64_t size = 0;  // may be negative
  int64_t mode = 0;
  int64_t uid = 0;
  int64_t gid = 0;
  timespec mtime = {};
  int64_t major = 0;
  int64_t minor = 0;

  // Links, devices, directories and FIFOs have no contents, whatever their size says.
  bool HasContents() const { return type < '1' || type > '6'; }
};

// kInvalidArgument for a wrong checksum and for fields that are not numbers.
absl::StatusOr<TarHeader> ParseTarHeader(const TarBlock& block);

// Octal digits, or a number in base 256 with the first bit set; nothing if it is neither.
std::optional<int64_t> ParseTarNumber(absl::string_view field);

// Decimal digits, with or without a sign; nothing if there is anything else.
std::optional<int64_t> ParseDecimal(absl::string_view text);

inline absl::string_view Field(const TarBlock& block, size_t at, size_t size) {
  return absl::string_view(block.data() + at, size);
}

}  // namespace crisp::snapshot
