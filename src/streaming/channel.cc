#include "streaming/channel.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace crisp::streaming {

absl::Status ChannelDecoder::Feed(
    absl::string_view piece, bool end,
    const std::function<void(uint8_t channel, absl::string_view data)>& on_data) {
  if (!has_channel_ && !piece.empty()) {
    if (coding_ == ChannelCoding::kBase64 && !absl::ascii_isdigit(piece[0])) {
      return absl::InvalidArgumentError("websocket: a message must start with a channel digit");
    }
    channel_ = static_cast<uint8_t>(coding_ == ChannelCoding::kBase64 ? piece[0] - '0' : piece[0]);
    has_channel_ = true;
    piece.remove_prefix(1);
  }
  if (coding_ == ChannelCoding::kBase64) {
    absl::StrAppend(&carry_, piece);
    const size_t whole = end ? carry_.size() : carry_.size() / 4 * 4;
    std::string data;
    if (!absl::Base64Unescape(absl::string_view(carry_).substr(0, whole), &data)) {
      return absl::InvalidArgumentError("websocket: bad base64");
    }
    carry_.erase(0, whole);
    if (!data.empty()) on_data(channel_, data);
  } else if (!piece.empty()) {
    on_data(channel_, piece);
  }
  if (end) has_channel_ = false;
  return absl::OkStatus();
}

std::string ChannelHead(ChannelCoding coding, Channel channel) {
  const char number = static_cast<char>(channel);
  return std::string(1,
                     coding == ChannelCoding::kBase64 ? static_cast<char>('0' + number) : number);
}

}  // namespace crisp::streaming
