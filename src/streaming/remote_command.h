// One exec or attach session, independent of the protocol: starts the process, copies its streams
// with back-pressure, and ends the session in the order that clients expect. The ChannelLink
// carries the channels. I/O thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "streaming/channel.h"
#include "streaming/command_session.h"
#include "streaming/command_start.h"
#include "streaming/fd_stream.h"
#include "streaming/loop.h"
#include "streaming/remote_command_codec.h"
#include "streaming/request.h"
#include "streaming/runtime.h"

namespace crisp::streaming {

// Carries the channels of a remote command to the client: SPDY streams or WebSocket messages.
class ChannelLink {
 public:
  virtual ~ChannelLink() = default;
  virtual void Send(Channel channel, absl::string_view data) = 0;
  virtual void End(Channel channel) = 0;  // nothing more will be sent on it
  virtual void Finish() = 0;              // after the last End(): flush and close
  virtual size_t Room() const = 0;        // bytes that may be sent now
  virtual void SetReading(bool on) = 0;
};

class RemoteCommand : public std::enable_shared_from_this<RemoteCommand>, private FdStream::Owner {
 public:
  // `link` is borrowed until Detach(). `request` is an ExecRequest or an AttachRequest. The
  // context's ticket is held until the session and its calls into the runtime have ended.
  static std::shared_ptr<RemoteCommand> Create(const SessionContext& context, Request request,
                                               bool status_as_json, ChannelLink* link);
  ~RemoteCommand() override;

  void Begin();  // once, when the channels exist

  // From the client. Input is kept until the process runs.
  void OnInput(absl::string_view data);
  void OnInputEnd();
  void OnResize(absl::string_view json);  // any piece of a sequence of JSON objects
  // The client reset this output. It is read and dropped, so that the process does not notice.
  void OnOutputIgnored(Channel channel);
  void OnRoom();  // Room() went up
  void Detach();  // the client is gone; kills the process if it still runs
  // crispd stops: kills the process if it still runs and sends the client an error, because crictl
  // would take the mere end of the connection for success. False if the client is gone.
  bool Stop();

 private:
  struct Control;  // ProcessControl with a lock, so that its calls never overlap

  RemoteCommand(const SessionContext& context, Request request, bool status_as_json,
                ChannelLink* link);

  void Started(absl::StatusOr<Process> process);
  void OpenStreams(Stdio io);
  void WaitForExit();
  void Exited(absl::StatusOr<int> exit_code);
  void DrainOutputs();
  void FinishIfDone();
  void Finish(const std::string& result, bool kill = false);
  void ReleaseProcess(bool kill);
  void FlushEarlyInput();
  void SendResize();
  void UpdateReading();
  size_t waiting_input() const;

  size_t ReadRoom(FdStream* stream) override;
  void OnRead(FdStream* stream, absl::string_view data) override;
  void OnReadEnd(FdStream* stream, int error) override;
  void OnWritten(FdStream* stream) override;
  void OnWriteEnd(FdStream* stream, int error) override;

  // An output on its way from the process to the client.
  struct Output {
    std::shared_ptr<FdStream> stream;  // a terminal's is also the input
    Channel channel;
    bool ended = true;
    bool ignored = false;
    // Set when the process has exited and the output is still open: the bytes still to be read, at
    // most; reading ends earlier if none are waiting.
    std::optional<size_t> left = std::nullopt;
  };
  Output* Find(const FdStream* stream);
  void EndOutput(Output* output);

  const SessionContext context_;
  Loop* const loop_;
  const Request request_;
  const bool is_exec_;
  const bool status_as_json_;
  ChannelLink* link_;  // null once detached

  std::shared_ptr<CommandStart> start_;  // until the process runs
  std::shared_ptr<Control> control_;     // null before the start and after the end
  std::unique_ptr<FdWatch> exited_;
  std::shared_ptr<FdStream> input_;
  Output outputs_[2] = {{nullptr, Channel::kOut}, {nullptr, Channel::kErr}};
  Timer drain_timer_;

  bool started_ = false;
  bool finished_ = false;
  std::string early_input_;
  bool input_ended_ = false;
  std::optional<absl::StatusOr<int>> exit_code_;
  std::string resize_text_;
  std::optional<TerminalSize> next_size_;
  bool resizing_ = false;
};

}  // namespace crisp::streaming
