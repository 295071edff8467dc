#include "streaming/remote_command.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "streaming/transport.h"

namespace crisp::streaming {
namespace {

// How long a session waits for its outputs to close after the process has exited. A background
// child of the process may hold them open for ever; then only what they contain is still sent.
constexpr absl::Duration kDrainDelay = absl::Milliseconds(200);

// More than a terminal can contain. FIONREAD counts only n_tty's 4 KiB. The flip buffer behind it
// is limited to 8 KiB plus one write, and each buffer may be twice as large (22 KiB in all were
// seen).
constexpr size_t kTerminalBytes = 32 << 10;

bool IsReadable(int fd) {
  pollfd entry = {fd, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

// At least the number of bytes that are written and not read yet; 0 only if there are none.
size_t BytesWaiting(int fd) {
  if (!IsReadable(fd)) return 0;
  if (isatty(fd) != 0) return kTerminalBytes;
  int waiting = 0;
  ioctl(fd, FIONREAD, &waiting);
  return static_cast<size_t>(std::max(waiting, 0));
}

}  // namespace

struct RemoteCommand::Control {
  absl::Mutex mutex;
  std::unique_ptr<ProcessControl> process ABSL_GUARDED_BY(mutex);
  bool waited ABSL_GUARDED_BY(mutex) = false;  // the process is reaped and must not be killed
};

std::shared_ptr<RemoteCommand> RemoteCommand::Create(const SessionContext& context, Request request,
                                                     bool status_as_json, ChannelLink* link) {
  return std::shared_ptr<RemoteCommand>(
      new RemoteCommand(context, std::move(request), status_as_json, link));
}

RemoteCommand::RemoteCommand(const SessionContext& context, Request request, bool status_as_json,
                             ChannelLink* link)
    : context_(context),
      loop_(context.loop),
      request_(std::move(request)),
      is_exec_(std::holds_alternative<ExecRequest>(request_)),
      status_as_json_(status_as_json),
      link_(link),
      drain_timer_(context.loop) {}

RemoteCommand::~RemoteCommand() = default;

void RemoteCommand::Begin() {
  if (started_) return;
  started_ = true;
  start_ = CommandStart::Begin(context_, request_,
                               [self = shared_from_this()](absl::StatusOr<Process> process) {
                                 self->Started(std::move(process));
                               });
}

void RemoteCommand::Started(absl::StatusOr<Process> process) {
  const bool over = link_ == nullptr || finished_;
  start_.reset();
  if (!process.ok()) {
    if (over) return;
    Finish(EncodeFailure(absl::StrCat(is_exec_ ? "error executing command in container: "
                                               : "error attaching to container: ",
                                      process.status().message()),
                         status_as_json_));
    return;
  }
  control_ = std::make_shared<Control>();
  {
    absl::MutexLock lock(&control_->mutex);
    control_->process = std::move(process->control);
  }
  if (over) {  // the client left, or crispd stops, while the process was starting
    ReleaseProcess(true);
    return;
  }
  OpenStreams(std::move(process->io));
  exited_ = std::make_unique<FdWatch>(loop_, std::move(process->exited));
  exited_->WhenReadable([this] { WaitForExit(); });
  FlushEarlyInput();
  SendResize();
}

void RemoteCommand::OpenStreams(Stdio io) {
  const Streams wanted = StreamsOf(request_);
  auto open = [this](base::UniqueFd fd, FdStream::AtEnd at_end) {
    return FdStream::Create(loop_, std::move(fd), at_end, this);
  };
  Output& out = outputs_[0];
  if (io.tty.valid()) {
    out.stream = open(std::move(io.tty), FdStream::AtEnd::kNothing);
    out.ignored |= !wanted.out;
    if (wanted.in) input_ = out.stream;
  } else {
    if (io.out.valid()) out.stream = open(std::move(io.out), FdStream::AtEnd::kClose);
    if (io.err.valid()) outputs_[1].stream = open(std::move(io.err), FdStream::AtEnd::kClose);
    if (io.in.valid()) input_ = open(std::move(io.in), FdStream::AtEnd::kClose);
  }
  for (Output& output : outputs_) {
    if (!output.stream) continue;
    output.ended = false;
    output.stream->StartReading();
  }
}

void RemoteCommand::WaitForExit() {
  loop_->RunOnWorker([self = shared_from_this(), control = control_] {
    absl::StatusOr<int> exit_code = 0;
    {
      absl::MutexLock lock(&control->mutex);
      if (!control->process) return;
      exit_code = control->process->Wait();
      control->waited = true;
    }
    self->loop_->Post([self, exit_code] { self->Exited(exit_code); });
  });
}

void RemoteCommand::Exited(absl::StatusOr<int> exit_code) {
  if (finished_ || link_ == nullptr) return;
  exit_code_ = std::move(exit_code);
  exited_.reset();
  // The process no longer reads its input. The session still reads, to notice when the client
  // leaves.
  if (input_ && input_ != outputs_[0].stream) input_->Close();
  input_.reset();
  UpdateReading();
  drain_timer_.Start(kDrainDelay, [this] { DrainOutputs(); });
  FinishIfDone();
}

void RemoteCommand::DrainOutputs() {
  for (Output& output : outputs_) {
    if (output.ended) continue;
    output.left = BytesWaiting(output.stream->fd());
    if (*output.left == 0) EndOutput(&output);
  }
  FinishIfDone();
}

void RemoteCommand::FinishIfDone() {
  if (finished_ || !exit_code_ || !outputs_[0].ended || !outputs_[1].ended) return;
  if (!exit_code_->ok()) {
    Finish(EncodeFailure(exit_code_->status().message(), status_as_json_));
  } else {
    Finish(EncodeExit(is_exec_ ? **exit_code_ : 0, status_as_json_));
  }
}

void RemoteCommand::Finish(const std::string& result, bool kill) {
  finished_ = true;
  ReleaseProcess(kill);
  link_->End(Channel::kOut);
  link_->End(Channel::kErr);
  link_->End(Channel::kIn);
  link_->End(Channel::kResize);
  if (!result.empty()) link_->Send(Channel::kError, result);
  link_->End(Channel::kError);
  link_->Finish();
}

void RemoteCommand::Detach() {
  if (link_ == nullptr) return;
  link_ = nullptr;
  ReleaseProcess(!finished_ && !exit_code_);
}

bool RemoteCommand::Stop() {
  if (link_ == nullptr) return false;
  if (!finished_) Finish(EncodeFailure("crispd is stopping", status_as_json_), !exit_code_);
  return true;
}

void RemoteCommand::ReleaseProcess(bool kill) {
  if (start_) start_->GiveUp();
  start_.reset();
  drain_timer_.Cancel();
  exited_.reset();
  for (Output& output : outputs_) {
    if (output.stream) output.stream->Close();
    output.stream.reset();
  }
  if (input_) input_->Close();
  input_.reset();
  early_input_ = std::string();
  if (!control_) return;
  loop_->RunOnWorker([control = std::move(control_), ticket = context_.ticket, kill] {
    absl::MutexLock lock(&control->mutex);
    if (kill && !control->waited) control->process->Kill();
    control->process.reset();
  });
}

void RemoteCommand::OnInput(absl::string_view data) {
  if (finished_ || exit_code_ || link_ == nullptr || input_ended_) return;
  if (!control_) {
    absl::StrAppend(&early_input_, data);
  } else if (input_) {
    input_->Write(data, "");
  }
  UpdateReading();
}

void RemoteCommand::FlushEarlyInput() {
  if (input_) {
    input_->Write(early_input_, "");
    if (input_ended_) input_->EndWriting();
  }
  early_input_ = std::string();
  UpdateReading();
}

void RemoteCommand::OnInputEnd() {
  if (input_ended_) return;
  input_ended_ = true;
  if (input_) input_->EndWriting();
}

void RemoteCommand::OnResize(absl::string_view json) {
  for (const char c : json) {
    if (resize_text_.size() >= kMaxResizeBytes) resize_text_.clear();
    resize_text_.push_back(c);
    if (c != '}') continue;
    absl::StatusOr<TerminalSize> size = DecodeTerminalSize(resize_text_);
    resize_text_.clear();
    if (size.ok()) next_size_ = *size;
  }
  SendResize();
}

// Makes one call at a time, with the newest size: two workers could apply two sizes in the wrong
// order.
void RemoteCommand::SendResize() {
  if (resizing_ || !next_size_ || !control_ || !StreamsOf(request_).tty) return;
  resizing_ = true;
  loop_->RunOnWorker([self = shared_from_this(), control = control_, size = *next_size_] {
    {
      absl::MutexLock lock(&control->mutex);
      // The protocol cannot report an error here, and the process may just have exited.
      if (control->process) control->process->Resize(size.columns, size.rows).IgnoreError();
    }
    self->loop_->Post([self] {
      self->resizing_ = false;
      self->SendResize();
    });
  });
  next_size_.reset();
}

void RemoteCommand::OnOutputIgnored(Channel channel) {
  for (Output& output : outputs_) {
    if (output.channel != channel) continue;
    output.ignored = true;
    if (output.stream) output.stream->StartReading();
  }
}

void RemoteCommand::OnRoom() {
  for (Output& output : outputs_) {
    if (output.stream) output.stream->StartReading();
  }
}

size_t RemoteCommand::waiting_input() const {
  return early_input_.size() + (input_ ? input_->buffered() : 0);
}

void RemoteCommand::UpdateReading() {
  if (link_ != nullptr && !finished_) link_->SetReading(waiting_input() < kMaxUnsentBytes);
}

RemoteCommand::Output* RemoteCommand::Find(const FdStream* stream) {
  for (Output& output : outputs_) {
    if (output.stream.get() == stream) return &output;
  }
  return nullptr;
}

void RemoteCommand::EndOutput(Output* output) {
  output->ended = true;
  if (output->stream == input_) input_.reset();
  output->stream->Close();
  output->stream.reset();
}

size_t RemoteCommand::ReadRoom(FdStream* stream) {
  const Output* output = Find(stream);
  const size_t room = output->ignored ? kMaxUnsentBytes : link_->Room();
  return output->left ? std::min(room, *output->left) : room;
}

void RemoteCommand::OnRead(FdStream* stream, absl::string_view data) {
  Output* output = Find(stream);
  if (!output->ignored) link_->Send(output->channel, data);
  if (!output->left) return;
  *output->left -= data.size();
  if (*output->left > 0 && IsReadable(stream->fd())) return;
  EndOutput(output);
  FinishIfDone();
}

void RemoteCommand::OnReadEnd(FdStream* stream, int /*error: a terminal ends with EIO*/) {
  EndOutput(Find(stream));
  FinishIfDone();
}

void RemoteCommand::OnWritten(FdStream*) { UpdateReading(); }

// The process closed its input or exited: what the client still sends is dropped.
void RemoteCommand::OnWriteEnd(FdStream* stream, int) {
  if (input_.get() == stream && outputs_[0].stream.get() != stream) {
    stream->Close();
    input_.reset();
  }
  UpdateReading();
}

}  // namespace crisp::streaming
