#include "snapshot/decoder.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr int kZstdWindowLogMax = 27;

class PlainDecoder : public Decoder {
 public:
  absl::Status Step(absl::Span<const char>& input, absl::Span<char>& output) override {
    const size_t n = std::min(input.size(), output.size());
    std::memcpy(output.data(), input.data(), n);
    input.remove_prefix(n);
    output.remove_prefix(n);
    return absl::OkStatus();
  }
  absl::Status CheckEnd() const override { return absl::OkStatus(); }
};

class GzipDecoder : public Decoder {
 public:
  absl::Status Step(absl::Span<const char>& input, absl::Span<char>& output) override {
    // A member continues without input: it may have bytes that did not fit into the last output.
    while (!input.empty() || mode_ == Mode::kMember) {
      if (mode_ == Mode::kBetween) BeginMemberOrPadding(input[0]);
      if (mode_ == Mode::kPadding) {
        if (std::any_of(input.begin(), input.end(), [](char c) { return c != 0; })) {
          return absl::DataLossError(
              "gzip: the last member is followed by bytes that are not gzip");
        }
        input.remove_prefix(input.size());
        break;
      }
      const size_t before = input.size() + output.size();
      CRISP_RETURN_IF_ERROR(Inflate(input, output));
      if (input.size() + output.size() == before) break;
    }
    return absl::OkStatus();
  }

  absl::Status CheckEnd() const override {
    if (mode_ == Mode::kMember || members_ == 0) {
      return absl::DataLossError("gzip: stream ends inside a member");
    }
    return absl::OkStatus();
  }

 private:
  enum class Mode { kBetween, kMember, kPadding };

  void BeginMemberOrPadding(char first) {
    if (members_ > 0 && first == 0) {
      mode_ = Mode::kPadding;
      return;
    }
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;  // igzip checks header, CRC and length of the member
    mode_ = Mode::kMember;
  }

  absl::Status Inflate(absl::Span<const char>& input, absl::Span<char>& output) {
    constexpr size_t kMax = size_t{1} << 30;  // igzip's counters have 32 bits
    const uint32_t in = static_cast<uint32_t>(std::min(input.size(), kMax));
    const uint32_t out = static_cast<uint32_t>(std::min(output.size(), kMax));
    state_.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(input.data()));
    state_.avail_in = in;
    state_.next_out = reinterpret_cast<uint8_t*>(output.data());
    state_.avail_out = out;
    if (const int error = isal_inflate(&state_); error != ISAL_DECOMP_OK) {
      return absl::DataLossError(absl::StrCat("gzip: igzip error ", error));
    }
    input.remove_prefix(in - state_.avail_in);
    output.remove_prefix(out - state_.avail_out);
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      mode_ = Mode::kBetween;
      ++members_;
    }
    return absl::OkStatus();
  }

  Mode mode_ = Mode::kBetween;
  uint64_t members_ = 0;
  inflate_state state_;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }

  absl::Status Step(absl::Span<const char>& input, absl::Span<char>& output) override {
    while (true) {
      ZSTD_inBuffer in = {input.data(), input.size(), 0};
      ZSTD_outBuffer out = {output.data(), output.size(), 0};
      const size_t rest = ZSTD_decompressStream(context_, &out, &in);
      if (ZSTD_isError(rest)) {
        return absl::DataLossError(absl::StrCat("zstd: ", ZSTD_getErrorName(rest)));
      }
      input.remove_prefix(in.pos);
      output.remove_prefix(out.pos);
      if (in.pos + out.pos > 0) at_frame_end_ = rest == 0;
      if (output.empty() || (in.pos == 0 && out.pos == 0)) return absl::OkStatus();
    }
  }

  absl::Status CheckEnd() const override {
    if (!at_frame_end_) return absl::DataLossError("zstd: stream ends inside a frame");
    return absl::OkStatus();
  }

 private:
  ZSTD_DCtx* const context_;
  bool at_frame_end_ = false;
};

struct Magic {
  absl::string_view bytes;
  absl::string_view name;
};
constexpr Magic kRefused[] = {
    {absl::string_view("\xfd"
                       "7zXZ\0",
                       6),
     "xz"},
    {"BZh", "bzip2"},
    {"\x04\x22\x4d\x18", "lz4"},
    {"\x1f\x9d", "compress"},
};

bool IsZstd(absl::string_view first) {
  if (absl::StartsWith(first, "\x28\xb5\x2f\xfd")) return true;
  // A skippable frame may come first.
  return first.size() >= 4 && (first[0] & 0xf0) == 0x50 && first.substr(1, 3) == "\x2a\x4d\x18";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Decoder>> NewDecoder(absl::string_view first_bytes) {
  if (absl::StartsWith(first_bytes, "\x1f\x8b")) return std::make_unique<GzipDecoder>();
  if (IsZstd(first_bytes)) return std::make_unique<ZstdDecoder>();
  for (const Magic& magic : kRefused) {
    if (absl::StartsWith(first_bytes, magic.bytes)) {
      return absl::UnimplementedError(
          absl::StrCat("layer compression ", magic.name, ": must be gzip, zstd or none"));
    }
  }
  return std::make_unique<PlainDecoder>();
}

}  // namespace crisp::snapshot
