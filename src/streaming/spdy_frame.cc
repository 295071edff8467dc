#include "streaming/spdy_frame.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::streaming {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr uint32_t kControlBit = 0x80000000;
constexpr uint32_t kVersion = 3;
constexpr uint8_t kFin = 1;

enum FrameType : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

uint32_t Read32(absl::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

void Append32(std::string* out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

std::string ControlHead(FrameType type, size_t length) {
  std::string frame;
  Append32(&frame, kControlBit | kVersion << 16 | type);
  Append32(&frame, static_cast<uint32_t>(length));
  return frame;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("spdy: ", what));
}

}  // namespace

absl::Status SpdyDecoder::Feed(absl::string_view bytes, SpdyFrameVisitor* visitor) {
  while (!bytes.empty()) {
    if (in_data_) {
      const size_t size = std::min<size_t>(data_left_, bytes.size());
      data_left_ -= static_cast<uint32_t>(size);
      in_data_ = data_left_ > 0;
      CRISP_RETURN_IF_ERROR(
          visitor->OnData(data_id_, bytes.substr(0, size), data_fin_ && !in_data_));
      bytes.remove_prefix(size);
      continue;
    }
    size_t wanted = kHeadBytes;
    if (partial_.size() >= kHeadBytes) wanted += Read32(partial_, 4) & 0xffffff;
    const size_t size = std::min(wanted - partial_.size(), bytes.size());
    absl::StrAppend(&partial_, bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (partial_.size() < wanted) return absl::OkStatus();
    if (wanted == kHeadBytes)
      CRISP_RETURN_IF_ERROR(BeginFrame(visitor));
    else
      CRISP_RETURN_IF_ERROR(ControlFrame(visitor));
  }
  return absl::OkStatus();
}

// To be called when all eight bytes of the head have arrived.
absl::Status SpdyDecoder::BeginFrame(SpdyFrameVisitor* visitor) {
  const uint32_t first = Read32(partial_, 0);
  const uint32_t length = Read32(partial_, 4) & 0xffffff;
  if (first & kControlBit) {
    if ((first >> 16 & 0x7fff) != kVersion) return Malformed("control frame: version must be 3");
    if (length > kMaxControlFrameBytes) return Malformed("control frame too long");
    return length == 0 ? ControlFrame(visitor) : absl::OkStatus();
  }
  if (first == 0) return Malformed("data on stream 0");
  data_id_ = first;
  data_fin_ = partial_[4] & kFin;
  data_left_ = length;
  in_data_ = length > 0;
  partial_.clear();
  return in_data_ ? absl::OkStatus() : visitor->OnData(data_id_, "", data_fin_);
}

absl::Status SpdyDecoder::ControlFrame(SpdyFrameVisitor* visitor) {
  const uint16_t type = Read32(partial_, 0) & 0xffff;
  const absl::string_view body = absl::string_view(partial_).substr(kHeadBytes);
  const uint32_t id = body.size() >= 4 ? Read32(body, 0) & ~kControlBit : 0;
  switch (type) {
    case kSynStream:
    case kSynReply:
    case kHeaders:
      CRISP_RETURN_IF_ERROR(HeaderFrame(visitor, type, id));
      break;
    case kRstStream:
      if (body.size() != 8 || id == 0) return Malformed("bad RST_STREAM");
      visitor->OnReset(id);
      break;
    case kSettings:
      if (body.size() < 4 || Read32(body, 0) != (body.size() - 4) / 8 || body.size() % 8 != 4) {
        return Malformed("SETTINGS count does not match its length");
      }
      break;
    case kPing:
      if (body.size() != 4) return Malformed("bad PING");
      visitor->OnPing(Read32(body, 0));
      break;
    case kGoAway:
      if (body.size() != 8) return Malformed("bad GOAWAY");
      visitor->OnGoAway();
      break;
    case kWindowUpdate:
      if (body.size() != 8 || (Read32(body, 4) & ~kControlBit) == 0) {
        return Malformed("bad WINDOW_UPDATE");
      }
      break;
    default:
      break;
  }
  partial_.clear();
  return absl::OkStatus();
}

absl::Status SpdyDecoder::HeaderFrame(SpdyFrameVisitor* visitor, uint16_t type, uint32_t id) {
  const absl::string_view body = absl::string_view(partial_).substr(kHeadBytes);
  const size_t fixed = type == kSynStream ? 10 : 4;
  if (body.size() < fixed || id == 0) return Malformed("bad header frame");
  absl::StatusOr<SpdyHeaders> headers = inflater_.Decode(body.substr(fixed));
  if (!headers.ok()) return Malformed(headers.status().message());
  const bool fin = partial_[4] & kFin;
  if (type != kSynStream) return visitor->OnHeaders(id, fin);
  return visitor->OnSynStream(id, fin, *headers);
}

std::string DataFrameHead(uint32_t id, bool fin, size_t payload_bytes) {
  std::string frame;
  Append32(&frame, id);
  Append32(&frame, static_cast<uint32_t>(payload_bytes) | (fin ? uint32_t{kFin} << 24 : 0));
  return frame;
}

std::string SynReplyFrame(uint32_t id, bool first_reply) {
  const std::string block = EmptyHeaderBlock(first_reply);
  std::string frame = ControlHead(kSynReply, 4 + block.size());
  Append32(&frame, id);
  return frame + block;
}

std::string ResetFrame(uint32_t id, ResetCode code) {
  std::string frame = ControlHead(kRstStream, 8);
  Append32(&frame, id);
  Append32(&frame, static_cast<uint32_t>(code));
  return frame;
}

std::string PingFrame(uint32_t id) {
  std::string frame = ControlHead(kPing, 4);
  Append32(&frame, id);
  return frame;
}

std::string GoAwayFrame(uint32_t last_good_id, GoAwayCode code) {
  std::string frame = ControlHead(kGoAway, 8);
  Append32(&frame, last_good_id);
  Append32(&frame, static_cast<uint32_t>(code));
  return frame;
}

}  // namespace crisp::streaming
