// The five channels of Kubernetes' remotecommand protocols and their form as WebSocket messages:
// one byte (or, in the base64 protocols, one digit) naming the channel, then data. The protocol
// defines the numbers. Pure. Source: k8s.io/streaming, KEP-4006.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace crisp::streaming {

enum class Channel : uint8_t { kIn = 0, kOut = 1, kErr = 2, kError = 3, kResize = 4 };
// v5: the message's single byte of data is the number of a channel that its sender ends.
inline constexpr uint8_t kCloseChannel = 255;

enum class ChannelCoding { kBinary, kBase64 };

// Splits a client's messages into channel and data. A message may come in any pieces; at most three
// characters are held back.
class ChannelDecoder {
 public:
  explicit ChannelDecoder(ChannelCoding coding) : coding_(coding) {}

  // `end` is set with the last piece of a message. `on_data` gets the number of the channel and its
  // data, never empty. kInvalidArgument for a channel that is not a digit, or bad base64.
  absl::Status Feed(absl::string_view piece, bool end,
                    const std::function<void(uint8_t channel, absl::string_view data)>& on_data);

 private:
  const ChannelCoding coding_;
  bool has_channel_ = false;
  uint8_t channel_ = 0;
  std::string carry_;  // base64 characters of an incomplete group of four
};

// The first byte of a message on `channel`.
std::string ChannelHead(ChannelCoding coding, Channel channel);

}  // namespace crisp::streaming
