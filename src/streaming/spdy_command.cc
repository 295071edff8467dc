#include <map>
#include <optional>
#include <utility>

#include "streaming/command_session.h"
#include "streaming/remote_command.h"
#include "streaming/spdy_session.h"

namespace crisp::streaming {
namespace {

// There are five types of stream; all others are refused.
constexpr size_t kMaxStreams = 5;

std::optional<Channel> ChannelOf(absl::string_view stream_type) {
  if (stream_type == "stdin") return Channel::kIn;
  if (stream_type == "stdout") return Channel::kOut;
  if (stream_type == "stderr") return Channel::kErr;
  if (stream_type == "error") return Channel::kError;
  if (stream_type == "resize") return Channel::kResize;
  return std::nullopt;
}

class SpdyCommand : public TransportUser, private SpdySession::Handler, private ChannelLink {
 public:
  SpdyCommand(const SessionContext& context, Request request, const CommandProtocol& protocol,
              const Streams& streams, std::shared_ptr<Transport> transport)
      : transport_(std::move(transport)),
        session_(transport_.get(), this, kMaxStreams),
        creation_timer_(context.loop),
        command_(
            RemoteCommand::Create(context, std::move(request), protocol.status_as_json, this)) {
    wanted_[Channel::kError] = true;
    wanted_[Channel::kIn] = streams.in;
    wanted_[Channel::kOut] = streams.out;
    wanted_[Channel::kErr] = streams.err;
    wanted_[Channel::kResize] = streams.tty && protocol.resize;
    creation_timer_.Start(context.creation_timeout, [this] {
      session_.GoAway(GoAwayCode::kProtocolError);
      transport_->Close();
    });
  }
  ~SpdyCommand() override { command_->Detach(); }

  void OnBytes(absl::string_view bytes, bool) override {
    if (!session_.Receive(bytes).ok()) {
      command_->Detach();
      transport_->Close();
    }
  }
  bool OnStop() override { return command_->Stop(); }
  void OnWritable() override {
    session_.OnWritable();
    command_->OnRoom();
  }
  void OnClosed() override {
    creation_timer_.Cancel();
    command_->Detach();
  }

 private:
  bool OnStream(uint32_t id, const SpdyHeaders& headers) override {
    const std::optional<Channel> channel = ChannelOf(headers.Get("streamtype"));
    return channel && ids_.emplace(*channel, id).second;
  }
  // As in Kubernetes' server, the command starts when all streams exist; clients rely on that.
  void OnStreamOpen(uint32_t id) override {
    const Channel channel = *Find(id);
    if (!wanted_[channel]) session_.End(id);
    for (const auto& [wanted_channel, wanted] : wanted_) {
      if (wanted && ids_.count(wanted_channel) == 0) return;
    }
    creation_timer_.Cancel();
    command_->Begin();
  }
  void OnStreamData(uint32_t id, absl::string_view data) override {
    const std::optional<Channel> channel = Find(id);
    if (!channel || !wanted_[*channel]) return;
    if (channel == Channel::kIn) command_->OnInput(data);
    if (channel == Channel::kResize) command_->OnResize(data);
  }
  void OnStreamEnd(uint32_t id) override {
    if (Find(id) == Channel::kIn) command_->OnInputEnd();
  }
  void OnStreamReset(uint32_t id) override {
    const std::optional<Channel> channel = Find(id);
    if (channel == Channel::kIn) command_->OnInputEnd();
    if (channel == Channel::kOut || channel == Channel::kErr) command_->OnOutputIgnored(*channel);
  }

  void Send(Channel channel, absl::string_view data) override {
    if (auto id = ids_.find(channel); id != ids_.end()) session_.Send(id->second, data);
  }
  void End(Channel channel) override {
    if (auto id = ids_.find(channel); id != ids_.end()) session_.End(id->second);
  }
  void Finish() override {
    session_.GoAway(GoAwayCode::kOk);
    transport_->Close();
  }
  size_t Room() const override { return transport_->Room(); }
  void SetReading(bool on) override { session_.SetReading(on); }

  std::optional<Channel> Find(uint32_t id) const {
    for (const auto& [channel, stream_id] : ids_) {
      if (stream_id == id) return channel;
    }
    return std::nullopt;
  }

  const std::shared_ptr<Transport> transport_;
  SpdySession session_;
  Timer creation_timer_;
  std::map<Channel, bool> wanted_;
  std::map<Channel, uint32_t> ids_;  // all streams that the client has opened
  const std::shared_ptr<RemoteCommand> command_;
};

}  // namespace

std::shared_ptr<TransportUser> NewSpdyCommand(const SessionContext& context, Request request,
                                              const CommandProtocol& protocol,
                                              std::shared_ptr<Transport> transport) {
  const Streams streams = StreamsOf(request);
  return std::make_shared<SpdyCommand>(context, std::move(request), protocol, streams,
                                       std::move(transport));
}

}  // namespace crisp::streaming
