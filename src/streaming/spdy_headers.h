// The compressed name/value block of SPDY/3 (draft-mbelshe-httpbis-spdy-00, 2.6.10). All blocks of
// a peer are one zlib stream, so each must be decoded, in order, even if its headers are not
// needed.
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

// Parses an inflated block and lower-cases names. kInvalidArgument for counts and lengths that
// exceed the block or the limits above, and for an empty or repeated name.
absl::StatusOr<SpdyHeaders> ParseHeaderBlock(absl::string_view block);

// The dictionary that every SPDY/3 zlib stream starts with.
const std::string& SpdyDictionary();

class HeaderInflater {
 public:
  HeaderInflater();
  ~HeaderInflater();
  HeaderInflater(const HeaderInflater&) = delete;
  HeaderInflater& operator=(const HeaderInflater&) = delete;

  // After an error the zlib stream cannot be continued, and the session must end.
  absl::StatusOr<SpdyHeaders> Decode(absl::string_view compressed);

 private:
  std::unique_ptr<z_stream_s> stream_;  // made by the first block
};

// The block of a SYN_REPLY without headers; this server sends no other. It is made of stored
// deflate blocks, so that no compressor (with its 256 KiB) is needed. `first` adds the head of the
// stream.
std::string EmptyHeaderBlock(bool first);

}  // namespace crisp::streaming
