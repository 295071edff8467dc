// The compressed name/value block of SPDY/3 (draft-mbelshe-httpbis-spdy-00, 2.6.10). One zlib
// stream runs through all blocks a peer sends, so every block must be decoded, in order, even one
// nobody wants.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct z_stream_s;

namespace crisp::streaming {

inline constexpr size_t kMaxHeaderBlockBytes = 16 << 10;  // after inflating
inline constexpr size_t kMaxHeaders = 64;

class SpdyHeaders {
 public:
  // The value of `name` (lower case, as on the wire), empty when absent.
  absl::string_view Get(absl::string_view name) const;
  bool Has(absl::string_view name) const { return Find(name) != nullptr; }
  void Add(std::string name, std::string value);
  size_t size() const { return entries_.size(); }

 private:
  const std::string* Find(absl::string_view name) const;

  std::vector<std::pair<std::string, std::string>> entries_;
};

// Parses an inflated block. kInvalidArgument for counts and lengths beyond the block or the limits
// above, an empty or a repeated name. Names are lower-cased.
absl::StatusOr<SpdyHeaders> ParseHeaderBlock(absl::string_view block);

// The shared dictionary every SPDY/3 zlib stream starts from.
const std::string& SpdyDictionary();

class HeaderInflater {
 public:
  HeaderInflater();
  ~HeaderInflater();
  HeaderInflater(const HeaderInflater&) = delete;
  HeaderInflater& operator=(const HeaderInflater&) = delete;

  // After an error the stream is lost: the session must end.
  absl::StatusOr<SpdyHeaders> Decode(absl::string_view compressed);

 private:
  std::unique_ptr<z_stream_s> stream_;  // made by the first block
};

// The block of a SYN_REPLY without headers, all this server ever sends. Stored deflate blocks, so
// no compressor (and its 256 KiB) is needed; `first` adds the stream's head.
std::string EmptyHeaderBlock(bool first);

}  // namespace crisp::streaming
