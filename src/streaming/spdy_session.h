// The server's end of a SPDY connection: tracks which streams are open and what may be sent on
// them, and answers a peer that breaks the protocol. Takes bytes by Receive() and sends them
// through the transport. I/O thread only.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "streaming/spdy_frame.h"
#include "streaming/transport.h"

namespace crisp::streaming {

class SpdySession : private SpdyFrameVisitor {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // A new stream; returns false to refuse it. Nothing can be sent on it before OnStreamOpen().
    virtual bool OnStream(uint32_t id, const SpdyHeaders& headers) = 0;
    virtual void OnStreamOpen(uint32_t id) = 0;  // accepted, and the reply is sent
    virtual void OnStreamData(uint32_t id, absl::string_view data) = 0;
    virtual void OnStreamEnd(uint32_t id) = 0;    // the peer sends no more on it
    virtual void OnStreamReset(uint32_t id) = 0;  // by the peer, or after a protocol error on it
  };

  SpdySession(Transport* transport, Handler* handler, size_t max_streams);

  // After an error the session is over: GOAWAY has been sent, and the caller closes the transport.
  absl::Status Receive(absl::string_view bytes);

  // Does nothing if the stream is not open for sending. `data` is at most 64 KiB.
  void Send(uint32_t id, absl::string_view data);
  void End(uint32_t id);
  void Reset(uint32_t id, ResetCode code);
  void GoAway(GoAwayCode code);

  // The handler says whether it can take more data; see UpdateReading().
  void SetReading(bool on);
  // To be called when the transport's unsent() went down.
  void OnWritable() { UpdateReading(); }

 private:
  struct Stream {
    bool local_open = true;
    bool remote_open = true;
  };

  absl::Status OnSynStream(uint32_t id, bool fin, const SpdyHeaders& headers) override;
  absl::Status OnHeaders(uint32_t id, bool fin) override;
  absl::Status OnData(uint32_t id, absl::string_view data, bool fin) override;
  void OnReset(uint32_t id) override;
  void OnPing(uint32_t id) override;
  void OnGoAway() override;
  void RemoteEnd(uint32_t id);
  void UpdateReading();

  Transport* const transport_;
  Handler* const handler_;
  const size_t max_streams_;
  SpdyDecoder decoder_;
  std::unordered_map<uint32_t, Stream> streams_;
  uint32_t last_id_ = 0;
  bool replied_ = false;
  bool peer_leaves_ = false;
  bool wants_reading_ = true;
};

}  // namespace crisp::streaming
