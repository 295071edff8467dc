// Messages in both encodings, in pieces whose size the first byte sets; resize messages are parsed.
#include <cstddef>
#include <cstdint>

#include "streaming/channel.h"
#include "streaming/remote_command_codec.h"

using crisp::streaming::Channel;
using crisp::streaming::ChannelCoding;
using crisp::streaming::ChannelDecoder;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t step = data[0] % 16 + 1;
  ChannelDecoder decoder(data[0] & 0x80 ? ChannelCoding::kBase64 : ChannelCoding::kBinary);
  absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  while (!rest.empty()) {
    const absl::string_view piece = rest.substr(0, step);
    rest.remove_prefix(piece.size());
    // A zero byte at the end of a piece marks the end of the message.
    const bool end = piece.back() == '\0';
    const absl::Status status =
        decoder.Feed(piece, end, [](uint8_t channel, absl::string_view content) {
          if (content.empty()) __builtin_trap();
          if (channel == static_cast<uint8_t>(Channel::kResize)) {
            crisp::streaming::DecodeTerminalSize(content).IgnoreError();
          }
        });
    if (!status.ok()) return 0;
  }
  return 0;
}
