// Writes tar archives byte by byte, right and wrong ones, and compresses them.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace crisp::snapshot {

struct TarItem {
  std::string name;
  char type = '0';
  std::string body;
  std::string link;
  uint32_t mode = 0644;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t mtime = 1'600'000'000;
  uint64_t major = 0;
  uint64_t minor = 0;
  std::vector<std::pair<std::string, std::string>> pax;
};

class TarBuilder {
 public:
  TarBuilder& Add(const TarItem& item) {
    std::vector<std::pair<std::string, std::string>> pax = item.pax;
    if (item.name.size() > 100) pax.emplace_back("path", item.name);
    if (item.link.size() > 100) pax.emplace_back("linkpath", item.link);
    if (!pax.empty()) Header('x', "pax", PaxBody(pax));
    Raw(Block(item, item.body.size()));
    return Padded(item.body);
  }
  TarBuilder& File(const std::string& name, const std::string& body = "x") {
    TarItem item;
    item.name = name;
    item.body = body;
    return Add(item);
  }
  TarBuilder& Dir(const std::string& name, uint32_t mode = 0755) {
    TarItem item;
    item.name = name;
    item.type = '5';
    item.mode = mode;
    return Add(item);
  }
  TarBuilder& Link(const std::string& name, const std::string& target) {
    return Typed(name, '2', target);
  }
  TarBuilder& Hard(const std::string& name, const std::string& target) {
    return Typed(name, '1', target);
  }
  TarBuilder& Typed(const std::string& name, char type, const std::string& link = "") {
    TarItem item;
    item.name = name;
    item.type = type;
    item.link = link;
    return Add(item);
  }
  TarBuilder& Device(const std::string& name, char type, uint64_t major, uint64_t minor) {
    TarItem item;
    item.name = name;
    item.type = type;
    item.major = major;
    item.minor = minor;
    return Add(item);
  }
  // A special header (x, g, L, K) with its body.
  TarBuilder& Header(char type, const std::string& name, const std::string& body) {
    TarItem item;
    item.name = name;
    item.type = type;
    Raw(Block(item, body.size()));
    return Padded(body);
  }
  TarBuilder& Raw(const std::string& bytes) {
    tar_ += bytes;
    return *this;
  }
  TarBuilder& Padded(const std::string& body) {
    tar_ += body;
    tar_.append((512 - body.size() % 512) % 512, '\0');
    return *this;
  }
  // The archive with its two zero blocks.
  std::string Done() const { return tar_ + std::string(1024, '\0'); }
  const std::string& bytes() const { return tar_; }

  static std::string PaxRecord(const std::string& key, const std::string& value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + 1;
    while (absl::StrCat(length).size() + rest != length) ++length;
    return absl::StrCat(length, " ", key, "=", value, "\n");
  }
  static std::string PaxBody(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string body;
    for (const auto& [key, value] : records) body += PaxRecord(key, value);
    return body;
  }
  // A ustar header block with a right checksum; numbers too large for octal become base-256.
  static std::string Block(const TarItem& item, uint64_t size) {
    std::string block(512, '\0');
    auto put = [&](size_t at, absl::string_view text, size_t room) {
      std::memcpy(&block[at], text.data(), std::min(text.size(), room));
    };
    put(0, item.name, 100);
    Number(block, 100, 8, item.mode);
    Number(block, 108, 8, item.uid);
    Number(block, 116, 8, item.gid);
    Number(block, 124, 12, size);
    Number(block, 136, 12, item.mtime);
    block[156] = item.type;
    put(157, item.link, 100);
    put(257,
        absl::string_view("ustar\0"
                          "00",
                          8),
        8);
    if (item.type == '3' || item.type == '4') {
      Number(block, 329, 8, item.major);
      Number(block, 337, 8, item.minor);
    }
    Checksum(block);
    return block;
  }
  static void Checksum(std::string& block) {
    std::memset(&block[148], ' ', 8);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    const std::string text = absl::StrFormat("%06o", sum);
    std::memcpy(&block[148], text.data(), 6);
    block[154] = '\0';
  }
  static void Number(std::string& block, size_t at, size_t room, uint64_t value) {
    const std::string octal = absl::StrFormat("%0*o", static_cast<int>(room - 1), value);
    if (octal.size() == room - 1) {
      std::memcpy(&block[at], octal.data(), octal.size());
      return;
    }
    // Base-256, two's complement.
    const bool negative = static_cast<int64_t>(value) < 0;
    for (size_t i = 0; i < room; ++i) {
      const size_t shift = 8 * (room - 1 - i);
      const uint64_t byte = shift < 64 ? value >> shift : (negative ? 0xff : 0);
      block[at + i] = static_cast<char>(byte);
    }
    block[at] = static_cast<char>((negative ? 0xff : 0x80) | (negative ? 0 : block[at] & 0x7f));
  }

 private:
  std::string tar_;
};

inline std::string Gzip(const std::string& plain, int level = 1) {
  z_stream stream = {};
  deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string Zstd(const std::string& plain, int level = 1) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), level));
  return out;
}

}  // namespace crisp::snapshot
