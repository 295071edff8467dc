#include <utility>

#include "absl/strings/escaping.h"
#include "streaming/command_session.h"
#include "streaming/remote_command.h"

namespace crisp::streaming {
namespace {

class WebSocketCommand : public TransportUser, private ChannelLink {
 public:
  WebSocketCommand(const SessionContext& context, Request request, const CommandProtocol& protocol,
                   const Streams& streams, std::shared_ptr<Transport> transport)
      : transport_(std::move(transport)),
        streams_(streams),
        coding_(protocol.coding),
        close_channel_(protocol.close_channel),
        decoder_(protocol.coding),
        command_(
            RemoteCommand::Create(context, std::move(request), protocol.status_as_json, this)) {}
  ~WebSocketCommand() override { command_->Detach(); }

  // All channels exist from the start. As in Kubernetes' server, an empty message on the first
  // writable channel tells the client that the session is ready.
  void Begin() {
    Send(streams_.out ? Channel::kOut : streams_.err ? Channel::kErr : Channel::kError, "");
    command_->Begin();
  }

  void OnBytes(absl::string_view bytes, bool end) override {
    const absl::Status status = decoder_.Feed(
        bytes, end, [this](uint8_t channel, absl::string_view data) { OnData(channel, data); });
    if (!status.ok()) {
      command_->Detach();
      transport_->Close();
    }
  }
  bool OnStop() override { return command_->Stop(); }
  void OnWritable() override { command_->OnRoom(); }
  void OnClosed() override { command_->Detach(); }

 private:
  void OnData(uint8_t channel, absl::string_view data) {
    if (channel == static_cast<uint8_t>(Channel::kIn) && streams_.in) {
      command_->OnInput(data);
    } else if (channel == static_cast<uint8_t>(Channel::kResize)) {
      command_->OnResize(data);
    } else if (channel == kCloseChannel && close_channel_) {
      if (data[0] == static_cast<char>(Channel::kIn)) command_->OnInputEnd();
    }
  }

  void Send(Channel channel, absl::string_view data) override {
    const std::string head = ChannelHead(coding_, channel);
    if (coding_ == ChannelCoding::kBinary) {
      transport_->Send(head, data);
    } else {
      transport_->Send(head, absl::Base64Escape(data));
    }
  }
  void End(Channel) override {
  }  // the protocol has no such message; the end of the connection ends all channels
  void Finish() override { transport_->Close(); }
  size_t Room() const override {
    return coding_ == ChannelCoding::kBinary ? transport_->Room() : transport_->Room() / 4 * 3;
  }
  void SetReading(bool on) override { transport_->SetReading(on); }

  const std::shared_ptr<Transport> transport_;
  const Streams streams_;
  const ChannelCoding coding_;
  const bool close_channel_;
  ChannelDecoder decoder_;
  const std::shared_ptr<RemoteCommand> command_;
};

}  // namespace

std::shared_ptr<TransportUser> NewWebSocketCommand(const SessionContext& context, Request request,
                                                   const CommandProtocol& protocol,
                                                   std::shared_ptr<Transport> transport) {
  const Streams streams = StreamsOf(request);
  auto command = std::make_shared<WebSocketCommand>(context, std::move(request), protocol, streams,
                                                    std::move(transport));
  command->Begin();
  return command;
}

}  // namespace crisp::streaming
