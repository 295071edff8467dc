#include "streaming/spdy_headers.h"

#include <zlib.h>

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace crisp::streaming {
namespace {

// Reads big-endian numbers and checks bounds.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : rest_(bytes) {}

  bool ReadLength(uint32_t* value) {
    if (rest_.size() < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; ++i) *value = *value << 8 | static_cast<uint8_t>(rest_[i]);
    rest_.remove_prefix(4);
    return true;
  }
  bool ReadText(absl::string_view* text) {
    uint32_t length;
    if (!ReadLength(&length) || length > rest_.size()) return false;
    *text = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  absl::string_view rest_;
};

// Words of the dictionary; in it each is preceded by its length (2.6.10.1).
constexpr const char* kDictionaryWords[] = {"options",
                                            "head",
                                            "post",
                                            "put",
                                            "delete",
                                            "trace",
                                            "accept",
                                            "accept-charset",
                                            "accept-encoding",
                                            "accept-language",
                                            "accept-ranges",
                                            "age",
                                            "allow",
                                            "authorization",
                                            "cache-control",
                                            "connection",
                                            "content-base",
                                            "content-encoding",
                                            "content-language",
                                            "content-length",
                                            "content-location",
                                            "content-md5",
                                            "content-range",
                                            "content-type",
                                            "date",
                                            "etag",
                                            "expect",
                                            "expires",
                                            "from",
                                            "host",
                                            "if-match",
                                            "if-modified-since",
                                            "if-none-match",
                                            "if-range",
                                            "if-unmodified-since",
                                            "last-modified",
                                            "location",
                                            "max-forwards",
                                            "pragma",
                                            "proxy-authenticate",
                                            "proxy-authorization",
                                            "range",
                                            "referer",
                                            "retry-after",
                                            "server",
                                            "te",
                                            "trailer",
                                            "transfer-encoding",
                                            "upgrade",
                                            "user-agent",
                                            "vary",
                                            "via",
                                            "warning",
                                            "www-authenticate",
                                            "method",
                                            "get",
                                            "status",
                                            "200 OK",
                                            "version",
                                            "HTTP/1.1",
                                            "url",
                                            "public",
                                            "set-cookie",
                                            "keep-alive",
                                            "origin"};

constexpr char kDictionaryTail[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00"
    " Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,"
    "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

std::string BuildDictionary() {
  std::string dictionary;
  for (absl::string_view word : kDictionaryWords) {
    dictionary.append(3, '\0');
    dictionary.push_back(static_cast<char>(word.size()));
    absl::StrAppend(&dictionary, word);
  }
  return dictionary + kDictionaryTail;
}

}  // namespace

const std::string* SpdyHeaders::Find(absl::string_view name) const {
  for (const auto& [key, value] : entries_) {
    if (key == name) return &value;
  }
  return nullptr;
}

absl::string_view SpdyHeaders::Get(absl::string_view name) const {
  const std::string* value = Find(name);
  return value == nullptr ? absl::string_view() : absl::string_view(*value);
}

void SpdyHeaders::Add(std::string name, std::string value) {
  entries_.emplace_back(std::move(name), std::move(value));
}

absl::StatusOr<SpdyHeaders> ParseHeaderBlock(absl::string_view block) {
  Cursor cursor(block);
  uint32_t count;
  if (!cursor.ReadLength(&count)) return absl::InvalidArgumentError("header block without a count");
  if (count > kMaxHeaders) {
    return absl::InvalidArgumentError(absl::StrCat("header block: ", count, " headers"));
  }
  SpdyHeaders headers;
  for (uint32_t i = 0; i < count; ++i) {
    absl::string_view name, value;
    if (!cursor.ReadText(&name) || !cursor.ReadText(&value)) {
      return absl::InvalidArgumentError("header block: a length exceeds the block");
    }
    std::string lower = absl::AsciiStrToLower(name);
    if (lower.empty()) return absl::InvalidArgumentError("header block: empty name");
    if (headers.Has(lower)) return absl::InvalidArgumentError("header block: a name is repeated");
    headers.Add(std::move(lower), std::string(value));
  }
  if (!cursor.at_end()) return absl::InvalidArgumentError("header block: bytes after the headers");
  return headers;
}

const std::string& SpdyDictionary() {
  static const std::string* const dictionary = new std::string(BuildDictionary());
  return *dictionary;
}

HeaderInflater::HeaderInflater() = default;

HeaderInflater::~HeaderInflater() {
  if (stream_) inflateEnd(stream_.get());
}

absl::StatusOr<SpdyHeaders> HeaderInflater::Decode(absl::string_view compressed) {
  if (!stream_) {
    auto stream = std::make_unique<z_stream>();
    if (inflateInit(stream.get()) != Z_OK)
      return absl::ResourceExhaustedError("inflate: no memory");
    stream_ = std::move(stream);
  }
  std::string block(kMaxHeaderBlockBytes, '\0');
  stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream_->avail_in = static_cast<uInt>(compressed.size());
  stream_->next_out = reinterpret_cast<Bytef*>(block.data());
  stream_->avail_out = static_cast<uInt>(block.size());
  int result = inflate(stream_.get(), Z_SYNC_FLUSH);
  if (result == Z_NEED_DICT) {
    const std::string& dictionary = SpdyDictionary();
    result = inflateSetDictionary(stream_.get(), reinterpret_cast<const Bytef*>(dictionary.data()),
                                  static_cast<uInt>(dictionary.size()));
    if (result == Z_OK) result = inflate(stream_.get(), Z_SYNC_FLUSH);
  }
  if (stream_->avail_out == 0) return absl::InvalidArgumentError("header block: too long");
  // Z_BUF_ERROR only means that zlib had nothing left to do.
  if ((result != Z_OK && result != Z_BUF_ERROR) || stream_->avail_in != 0) {
    return absl::InvalidArgumentError("header block: bad zlib data");
  }
  block.resize(block.size() - stream_->avail_out);
  return ParseHeaderBlock(block);
}

std::string EmptyHeaderBlock(bool first) {
  static constexpr char kHead[] = {0x78, static_cast<char>(0xbb)};  // deflate, 32 KiB, dictionary
  // A stored block with four zero bytes (no headers), then the empty stored block of a sync flush,
  // because Go's inflater returns bytes only at such a boundary.
  static constexpr char kBlocks[] = {0, 4, 0, -5, -1, 0, 0, 0, 0, 0, 0, 0, -1, -1};
  std::string block;
  if (first) {
    const std::string& dictionary = SpdyDictionary();
    const uLong id =
        adler32(adler32(0, nullptr, 0), reinterpret_cast<const Bytef*>(dictionary.data()),
                static_cast<uInt>(dictionary.size()));
    block.append(kHead, sizeof(kHead));
    for (int shift = 24; shift >= 0; shift -= 8) block.push_back(static_cast<char>(id >> shift));
  }
  block.append(kBlocks, sizeof(kBlocks));
  return block;
}

}  // namespace crisp::streaming
