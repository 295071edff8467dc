// SPDY/3.1 frames to and from bytes (draft-mbelshe-httpbis-spdy-00 section 2; 3.1 adds a session
// window nobody we talk to uses). Pure: no descriptors, no clock. Bytes come from an untrusted
// peer.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "streaming/spdy_headers.h"

namespace crisp::streaming {

inline constexpr size_t kMaxControlFrameBytes = 16 << 10;

enum class ResetCode : uint32_t {
  kProtocolError = 1,
  kInvalidStream = 2,
  kRefusedStream = 3,
  kCancel = 5,
  kInternalError = 6,
  kStreamAlreadyClosed = 9,
};
enum class GoAwayCode : uint32_t { kOk = 0, kProtocolError = 1, kInternalError = 2 };

// Receives what a peer sent. Data arrives in pieces as it comes in; `fin` with the last piece of a
// frame, which may be empty.
class SpdyFrameVisitor {
 public:
  virtual ~SpdyFrameVisitor() = default;
  virtual absl::Status OnSynStream(uint32_t id, bool fin, const SpdyHeaders& headers) = 0;
  virtual absl::Status OnHeaders(uint32_t id, bool fin) = 0;  // HEADERS and SYN_REPLY
  virtual absl::Status OnData(uint32_t id, absl::string_view data, bool fin) = 0;
  virtual void OnReset(uint32_t id) = 0;
  virtual void OnPing(uint32_t id) = 0;
  virtual void OnGoAway() = 0;
};

// Cuts a byte stream into frames. SETTINGS and WINDOW_UPDATE are checked and dropped: the only SPDY
// clients there are (moby/spdystream) never send nor obey windows, so this server's back-pressure
// is TCP's. Unknown control frames are skipped, as the draft says.
class SpdyDecoder {
 public:
  // Consumes all of `bytes`. kInvalidArgument, or an error of the visitor: the session is over.
  absl::Status Feed(absl::string_view bytes, SpdyFrameVisitor* visitor);

 private:
  absl::Status BeginFrame(SpdyFrameVisitor* visitor);
  absl::Status ControlFrame(SpdyFrameVisitor* visitor);
  absl::Status HeaderFrame(SpdyFrameVisitor* visitor, uint16_t type, uint32_t id);

  HeaderInflater inflater_;
  std::string partial_;   // frame head, or a control frame as far as it has come
  bool in_data_ = false;  // inside the payload of a data frame
  uint32_t data_id_ = 0;
  uint32_t data_left_ = 0;
  bool data_fin_ = false;
};

// Frames this server sends.
std::string DataFrameHead(uint32_t id, bool fin, size_t payload_bytes);  // payload below 2^24
std::string SynReplyFrame(uint32_t id, bool first_reply);
std::string ResetFrame(uint32_t id, ResetCode code);
std::string PingFrame(uint32_t id);
std::string GoAwayFrame(uint32_t last_good_id, GoAwayCode code);

}  // namespace crisp::streaming
