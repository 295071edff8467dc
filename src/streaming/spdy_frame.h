// Converts SPDY/3.1 frames to and from bytes (draft-mbelshe-httpbis-spdy-00 section 2; 3.1 adds a
// session window, which Kubernetes' clients do not use). The bytes come from an untrusted peer.
// Pure: no descriptors, no clock.
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

// Receives what the decoder finds. The data of a frame may come in several pieces; `fin` is set
// with the last one, which may be empty.
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

// Splits a byte stream into frames. SETTINGS and WINDOW_UPDATE are checked and dropped: the client
// library in use (moby/spdystream) does not use windows, so TCP alone provides back-pressure.
// Unknown control frames are skipped, as the draft requires.
class SpdyDecoder {
 public:
  // Consumes all of `bytes`. After an error (kInvalidArgument or the visitor's) the session must
  // end.
  absl::Status Feed(absl::string_view bytes, SpdyFrameVisitor* visitor);

 private:
  absl::Status BeginFrame(SpdyFrameVisitor* visitor);
  absl::Status ControlFrame(SpdyFrameVisitor* visitor);
  absl::Status HeaderFrame(SpdyFrameVisitor* visitor, uint16_t type, uint32_t id);

  HeaderInflater inflater_;
  std::string partial_;   // the beginning of a frame head or a control frame
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
