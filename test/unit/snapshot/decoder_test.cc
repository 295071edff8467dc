// Decompression: detection of the format, members, frames, padding, damage, any split of the input.
#include "snapshot/decoder.h"

#include <catch2/catch.hpp>
#include <random>

#include "fakes/tar_builder.h"

namespace crisp::snapshot {
namespace {

// Feeds `input` in pieces of `in` bytes through outputs of `out` bytes.
absl::StatusOr<std::string> Decode(const std::string& input, size_t in, size_t out) {
  auto decoder = NewDecoder(absl::string_view(input).substr(0, kMagicBytes));
  if (!decoder.ok()) return decoder.status();
  std::string plain;
  std::string buffer(out, '\0');
  for (size_t at = 0; at < input.size(); at += in) {
    absl::Span<const char> piece(input.data() + at, std::min(in, input.size() - at));
    bool full = false;
    do {
      absl::Span<char> room(&buffer[0], out);
      if (absl::Status status = (*decoder)->Step(piece, room); !status.ok()) return status;
      plain.append(buffer.data(), out - room.size());
      full = room.empty();
    } while (!piece.empty() || full);
  }
  if (absl::Status status = (*decoder)->CheckEnd(); !status.ok()) return status;
  return plain;
}

std::string Sample(size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) {
    text.append(random() % 40, static_cast<char>('a' + random() % 26));
    text.push_back(static_cast<char>(random()));
  }
  text.resize(size);
  return text;
}

TEST_CASE("the result does not depend on how input and output are split") {
  const std::string plain = Sample(100'000);
  for (const std::string& packed :
       {Gzip(plain), Gzip(plain, 9), Gzip(plain, 0), Zstd(plain), Zstd(plain, 19), plain}) {
    for (const auto& [in, out] : std::vector<std::pair<size_t, size_t>>{
             {1, 4096}, {7, 1000}, {4096, 1}, {100'000, 100'000}, {33, 262'144}}) {
      auto decoded = Decode(packed, in, out);
      REQUIRE(decoded.ok());
      REQUIRE(*decoded == plain);
    }
  }
}

TEST_CASE("an empty gzip or zstd stream is valid, and an empty blob is a plain tar") {
  REQUIRE(*Decode(Gzip(""), 1, 16) == "");
  REQUIRE(*Decode(Zstd(""), 1, 16) == "");
  REQUIRE(*Decode("", 1, 16) == "");
}

TEST_CASE("several gzip members and zstd frames are one stream") {
  for (const size_t in : {1, 2, 5, 1000}) {
    REQUIRE(*Decode(Gzip("one") + Gzip("") + Gzip("two"), in, 64) == "onetwo");
    REQUIRE(*Decode(Zstd("one") + Zstd("two"), in, 64) == "onetwo");
    const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
    REQUIRE(*Decode(skippable + Zstd("one") + skippable, in, 64) == "one");
  }
}

TEST_CASE("zero padding may follow gzip, nothing else may") {
  REQUIRE(*Decode(Gzip("data") + std::string(513, '\0'), 3, 64) == "data");
  for (const std::string& tail :
       {std::string("garbage"), std::string("\0x", 2), std::string("\x1f\x8b\x07")}) {
    REQUIRE_FALSE(Decode(Gzip("data") + tail, 3, 64).ok());
    REQUIRE_FALSE(Decode(Zstd("data") + tail, 3, 64).ok());
  }
}

TEST_CASE("every truncation is noticed") {
  const std::string plain = Sample(3000);
  for (const std::string& packed : {Gzip(plain), Zstd(plain)}) {
    // Shorter than the magic number it is taken for a plain tar, which the diff id does not match.
    for (size_t size = kMagicBytes; size < packed.size(); ++size) {
      REQUIRE_FALSE(Decode(packed.substr(0, size), 100, 4096).ok());
    }
  }
}

TEST_CASE("a damaged gzip checksum or length is noticed") {
  std::string packed = Gzip("some text");
  for (size_t i = packed.size() - 8; i < packed.size(); ++i) {
    std::string damaged = packed;
    damaged[i] ^= 1;
    REQUIRE(absl::IsDataLoss(Decode(damaged, 4, 64).status()));
  }
}

TEST_CASE("random damage never crashes the decoders") {
  std::mt19937 random(11);
  const std::string plain = Sample(5000);
  for (const std::string& packed : {Gzip(plain), Zstd(plain)}) {
    for (int i = 0; i < 2000; ++i) {
      std::string damaged = packed;
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
      (void)Decode(damaged, 64, 512);
    }
  }
}

TEST_CASE("other compressions are refused by name") {
  REQUIRE(absl::IsUnimplemented(NewDecoder(std::string("\xfd"
                                                       "7zXZ\0",
                                                       6))
                                    .status()));
  REQUIRE(absl::IsUnimplemented(NewDecoder("BZh91A").status()));
  REQUIRE(absl::IsUnimplemented(NewDecoder("\x04\x22\x4d\x18__").status()));
  REQUIRE(absl::IsUnimplemented(NewDecoder("\x1f\x9d____").status()));
}

TEST_CASE("a zstd frame with a window over 128 MiB is refused") {
  // Frame header: no single segment, window descriptor exponent 18 -> 2^(10+18) = 256 MiB.
  const std::string frame("\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00", 9);
  const auto decoded = Decode(frame, 100, 100);
  REQUIRE(absl::IsDataLoss(decoded.status()));
  REQUIRE(std::string(decoded.status().message()).find("memory") != std::string::npos);
  // 128 MiB is accepted: an empty raw block ends the frame.
  REQUIRE(*Decode(std::string("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", 9), 100, 100) == "");
}

}  // namespace
}  // namespace crisp::snapshot
