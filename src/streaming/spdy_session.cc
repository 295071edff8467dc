#include "streaming/spdy_session.h"

#include "absl/strings/str_cat.h"

namespace crisp::streaming {

SpdySession::SpdySession(Transport* transport, Handler* handler, size_t max_streams)
    : transport_(transport), handler_(handler), max_streams_(max_streams) {}

absl::Status SpdySession::Receive(absl::string_view bytes) {
  absl::Status status = decoder_.Feed(bytes, this);
  if (!status.ok()) GoAway(GoAwayCode::kProtocolError);
  UpdateReading();
  return status;
}

void SpdySession::Send(uint32_t id, absl::string_view data) {
  auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.local_open || data.empty()) return;
  transport_->Send(DataFrameHead(id, false, data.size()), data);
}

void SpdySession::End(uint32_t id) {
  auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.local_open) return;
  transport_->Send(DataFrameHead(id, true, 0), "");
  stream->second.local_open = false;
  if (!stream->second.remote_open) streams_.erase(stream);
}

void SpdySession::Reset(uint32_t id, ResetCode code) {
  if (streams_.erase(id) > 0) transport_->Send(ResetFrame(id, code), "");
}

void SpdySession::GoAway(GoAwayCode code) { transport_->Send(GoAwayFrame(last_id_, code), ""); }

void SpdySession::SetReading(bool on) {
  wants_reading_ = on;
  UpdateReading();
}

// The server stops reading from a peer that causes answers (to pings, refused streams) and does not
// read them. Data stops at kMaxUnsentBytes, so only answers exceed it, and a peer that is only slow
// to read data can still send.
void SpdySession::UpdateReading() {
  transport_->SetReading(wants_reading_ && transport_->unsent() <= 2 * kMaxUnsentBytes);
}

absl::Status SpdySession::OnSynStream(uint32_t id, bool fin, const SpdyHeaders& headers) {
  if (id % 2 == 0 || id <= last_id_) {
    return absl::InvalidArgumentError(absl::StrCat("spdy: stream id ", id, " after ", last_id_));
  }
  last_id_ = id;
  if (peer_leaves_ || streams_.size() >= max_streams_ || !handler_->OnStream(id, headers)) {
    transport_->Send(ResetFrame(id, ResetCode::kRefusedStream), "");
    return absl::OkStatus();
  }
  streams_[id] = Stream();
  transport_->Send(SynReplyFrame(id, !replied_), "");
  replied_ = true;
  handler_->OnStreamOpen(id);
  if (fin) RemoteEnd(id);
  return absl::OkStatus();
}

absl::Status SpdySession::OnHeaders(uint32_t id, bool fin) {
  if (fin) RemoteEnd(id);
  return absl::OkStatus();
}

absl::Status SpdySession::OnData(uint32_t id, absl::string_view data, bool fin) {
  auto stream = streams_.find(id);
  if (stream == streams_.end()) {
    // Data may have been in flight when the stream was closed. Data on a stream that never existed
    // is an error.
    if (id % 2 == 0 || id > last_id_) {
      return absl::InvalidArgumentError(absl::StrCat("spdy: data on unknown stream ", id));
    }
    return absl::OkStatus();
  }
  if (!stream->second.remote_open) {
    Reset(id, ResetCode::kStreamAlreadyClosed);
    handler_->OnStreamReset(id);
    return absl::OkStatus();
  }
  if (!data.empty()) handler_->OnStreamData(id, data);
  if (fin) RemoteEnd(id);
  return absl::OkStatus();
}

void SpdySession::RemoteEnd(uint32_t id) {
  auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.remote_open) return;
  stream->second.remote_open = false;
  if (!stream->second.local_open) streams_.erase(stream);
  handler_->OnStreamEnd(id);
}

void SpdySession::OnReset(uint32_t id) {
  if (streams_.erase(id) > 0) handler_->OnStreamReset(id);
}

// Odd ids are pings of the client, which are echoed. This server sends no pings, so it expects no
// answers.
void SpdySession::OnPing(uint32_t id) {
  if (id % 2 == 1) transport_->Send(PingFrame(id), "");
}

void SpdySession::OnGoAway() { peer_leaves_ = true; }

}  // namespace crisp::streaming
