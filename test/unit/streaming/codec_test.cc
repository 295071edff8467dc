// Codecs and other pure parts, with well-formed and hostile input.
#include <zlib.h>

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "streaming/channel.h"
#include "streaming/http_head.h"
#include "streaming/remote_command_codec.h"
#include "streaming/request.h"
#include "streaming/spdy_frame.h"
#include "streaming/token_store.h"
#include "test_client.h"

namespace crisp::streaming {
namespace {

struct Recorder : SpdyFrameVisitor {
  absl::Status OnSynStream(uint32_t id, bool fin, const SpdyHeaders& headers) override {
    events.push_back("syn " + std::to_string(id) + (fin ? " fin " : " ") +
                     std::string(headers.Get("streamtype")));
    return absl::OkStatus();
  }
  absl::Status OnHeaders(uint32_t id, bool) override {
    events.push_back("headers " + std::to_string(id));
    return absl::OkStatus();
  }
  absl::Status OnData(uint32_t id, absl::string_view data, bool fin) override {
    if (last_data != id) events.push_back("data " + std::to_string(id) + " ");
    last_data = fin ? 0 : id;
    events.back() += std::string(data) + (fin ? "." : "");
    return absl::OkStatus();
  }
  void OnReset(uint32_t id) override { events.push_back("reset " + std::to_string(id)); }
  void OnPing(uint32_t id) override { events.push_back("ping " + std::to_string(id)); }
  void OnGoAway() override { events.push_back("goaway"); }

  std::vector<std::string> events;
  uint32_t last_data = 0;
};

std::string SynStream(HeaderDeflater* deflater, uint32_t id, const std::string& block) {
  return ControlFrame(1, 0, Big32(id) + Big32(0) + std::string(2, '\0') + deflater->Deflate(block));
}

absl::Status FeedOne(const std::string& bytes) {
  SpdyDecoder decoder;
  Recorder recorder;
  return decoder.Feed(bytes, &recorder);
}

TEST_CASE("the SPDY/3 dictionary is the one that clients use") {
  const std::string& dictionary = SpdyDictionary();
  CHECK(dictionary.size() == 1423);
  CHECK(adler32(1, reinterpret_cast<const Bytef*>(dictionary.data()),
                static_cast<uInt>(dictionary.size())) == 0xe3c6a7c2);
}

TEST_CASE("frames are decoded the same in whatever pieces the bytes come") {
  HeaderDeflater deflater;
  const std::string first =
      SynStream(&deflater, 1, PlainHeaderBlock({{"StreamType", "stdin"}, {"x", ""}}));
  const std::string second = SynStream(&deflater, 3, PlainHeaderBlock({{"streamtype", "stdout"}}));
  const std::string bytes =
      first + DataFrame(1, 0, "hello") + DataFrame(1, 1, "") + ControlFrame(6, 0, Big32(7)) +
      ControlFrame(99, 0, "unknown") + ControlFrame(10, 0, "") +
      ControlFrame(4, 0, Big32(1) + std::string(8, '\0')) +
      ControlFrame(9, 0, Big32(1) + Big32(0x7fffffff)) + second +
      ControlFrame(3, 0, Big32(3) + Big32(5)) + ControlFrame(7, 0, Big32(0) + Big32(0));
  const std::vector<std::string> expected = {"syn 1 stdin",  "data 1 hello.", "ping 7",
                                             "syn 3 stdout", "reset 3",       "goaway"};
  for (const size_t step : {1u, 2u, 3u, 7u, 8u, 9u, 1000u}) {
    SpdyDecoder decoder;
    Recorder recorder;
    for (size_t at = 0; at < bytes.size(); at += step) {
      const absl::Status fed = decoder.Feed(absl::string_view(bytes).substr(at, step), &recorder);
      REQUIRE(fed.message() == "");
    }
    CHECK(recorder.events == expected);
  }
}

TEST_CASE("malformed frames end the session") {
  HeaderDeflater deflater;
  CHECK_FALSE(FeedOne(Big32(0x80020001) + Big32(0)).ok());             // another version
  CHECK_FALSE(FeedOne(DataFrame(0, 0, "x")).ok());                     // stream 0
  CHECK_FALSE(FeedOne(Big32(0x80030004) + Big32(0x00ffffff)).ok());    // longer than allowed
  CHECK_FALSE(FeedOne(ControlFrame(3, 0, Big32(1))).ok());             // short RST_STREAM
  CHECK_FALSE(FeedOne(ControlFrame(6, 0, "")).ok());                   // short PING
  CHECK_FALSE(FeedOne(ControlFrame(7, 0, Big32(1))).ok());             // short GOAWAY
  CHECK_FALSE(FeedOne(ControlFrame(1, 0, Big32(1))).ok());             // short SYN_STREAM
  CHECK_FALSE(FeedOne(ControlFrame(9, 0, Big32(1) + Big32(0))).ok());  // WINDOW_UPDATE by 0
  // More settings than fit into the frame.
  CHECK_FALSE(FeedOne(ControlFrame(4, 0, Big32(0x20000000) + std::string(8, '\0'))).ok());
  CHECK_FALSE(FeedOne(ControlFrame(4, 0, Big32(0xffffffff))).ok());
  CHECK_FALSE(FeedOne("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").ok());
}

TEST_CASE("hostile header blocks are refused") {
  HeaderDeflater deflater;
  auto refused = [](const std::string& block) {
    HeaderDeflater own;
    return !FeedOne(SynStream(&own, 1, block)).ok();
  };
  CHECK_FALSE(refused(PlainHeaderBlock({{"a", "b"}})));
  CHECK(refused(Big32(0xffffffff)));                              // count
  CHECK(refused(Big32(1) + Big32(0x80000000)));                   // length 2^31
  CHECK(refused(Big32(1) + Big32(1) + "a" + Big32(0xffffffff)));  // length beyond the block
  CHECK(refused(""));
  CHECK(refused(PlainHeaderBlock({{"", "x"}})));
  CHECK(refused(PlainHeaderBlock({{"a", "x"}, {"A", "y"}})));
  CHECK(refused(PlainHeaderBlock({{"a", "x"}}) + "rest"));
  HeaderList many;
  for (int i = 0; i < 65; ++i) many.emplace_back(std::to_string(i), "");
  CHECK(refused(PlainHeaderBlock(many)));
  // 10 MB that compress to 10 KB.
  CHECK(refused(PlainHeaderBlock({{"a", std::string(10 << 20, 'x')}})));
  CHECK_FALSE(FeedOne(ControlFrame(1, 0, std::string(10, '\1') + "not zlib")).ok());
}

TEST_CASE("replies without headers inflate to an empty block") {
  HeaderInflater inflater;
  for (const bool first : {true, false, false}) {
    const std::string frame = SynReplyFrame(5, first);
    absl::StatusOr<SpdyHeaders> headers = inflater.Decode(absl::string_view(frame).substr(12));
    REQUIRE(headers.ok());
    CHECK(headers->size() == 0);
  }
}

std::vector<std::pair<int, std::string>> Channels(ChannelCoding coding,
                                                  const std::vector<std::string>& messages,
                                                  size_t step, bool* ok) {
  std::vector<std::pair<int, std::string>> seen;
  ChannelDecoder decoder(coding);
  *ok = true;
  for (const std::string& message : messages) {
    size_t at = 0;
    do {
      const absl::string_view piece = absl::string_view(message).substr(at, step);
      at += step;
      const bool end = at >= message.size();
      *ok &= decoder
                 .Feed(piece, end,
                       [&](uint8_t channel, absl::string_view data) {
                         if (seen.empty() || seen.back().first != channel) {
                           seen.emplace_back(channel, "");
                         }
                         seen.back().second += std::string(data);
                       })
                 .ok();
    } while (at < message.size());
  }
  return seen;
}

TEST_CASE("WebSocket messages are split into channel and data") {
  bool ok;
  using Seen = std::vector<std::pair<int, std::string>>;
  for (const size_t step : {1u, 2u, 3u, 5u, 100u}) {
    CHECK(Channels(ChannelCoding::kBinary, {std::string("\0hello", 6), "", "\x04size", "\xff\x01"},
                   step, &ok) == Seen{{0, "hello"}, {4, "size"}, {255, "\x01"}});
    CHECK(ok);
    CHECK(Channels(ChannelCoding::kBase64, {"0aGVsbG8=", "0IHlvdQ==", "4c2l6ZQ=="}, step, &ok) ==
          Seen{{0, "hello you"}, {4, "size"}});
    CHECK(ok);
    Channels(ChannelCoding::kBase64, {"0a*Vs"}, step, &ok);
    CHECK_FALSE(ok);
    Channels(ChannelCoding::kBase64, {"xaGVs"}, step, &ok);
    CHECK_FALSE(ok);
  }
}

TEST_CASE("results and terminal sizes have Kubernetes' format") {
  CHECK(EncodeExit(0, true) == R"({"metadata":{},"status":"Success"})");
  CHECK(EncodeExit(0, false).empty());
  CHECK(EncodeExit(7, true) ==
        R"({"details":{"causes":[{"message":"7","reason":"ExitCode"}]},)"
        R"("message":"command terminated with non-zero exit code: exit status 7",)"
        R"("metadata":{},"reason":"NonZeroExitCode","status":"Failure"})");
  CHECK(EncodeFailure("no\xffway", true).find("Internal error occurred: no") != std::string::npos);
  absl::StatusOr<TerminalSize> size = DecodeTerminalSize("{\"Width\":80,\"Height\":24}\n");
  REQUIRE(size.ok());
  CHECK(size->columns == 80);
  CHECK(size->rows == 24);
  size = DecodeTerminalSize("{\"height\":7,\"WIDTH\":65535}");
  REQUIRE(size.ok());
  CHECK(size->columns == 65535);
  CHECK(size->rows == 7);
  for (const char* bad : {"", "{}", "{\"Width\":65536,\"Height\":1}", "{\"Width\":-1,\"Height\":1}",
                          "{\"Width\":\"1\",\"Height\":1}", "[[[[[[[["}) {
    CHECK_FALSE(DecodeTerminalSize(bad).ok());
  }
}

TEST_CASE("a terminal is not made 0 wide or high") {
  for (const char* size : {"{\"Width\":0,\"Height\":0}", "{\"Width\":0,\"Height\":24}",
                           "{\"Width\":80,\"Height\":0}", "{\"Width\":80}"}) {
    CHECK_FALSE(DecodeTerminalSize(size).ok());
  }
}

TEST_CASE("HTTP heads are parsed strictly") {
  absl::StatusOr<HttpHead> head = ParseHttpHead(SpdyHead("/exec/t?x=1", {"a.k8s.io", "b.k8s.io"}));
  REQUIRE(head.ok());
  CHECK(head->path == "/exec/t");
  CHECK(head->upgrade == Upgrade::kSpdy);
  CHECK(head->protocols == std::vector<std::string>{"a.k8s.io", "b.k8s.io"});
  head = ParseHttpHead(WebSocketHead("/x", "v5.k8s.io, SPDY/3.1+portforward.k8s.io"));
  REQUIRE(head.ok());
  CHECK(head->upgrade == Upgrade::kWebSocket);
  CHECK(head->protocols == std::vector<std::string>{"v5.k8s.io", "SPDY/3.1+portforward.k8s.io"});
  head = ParseHttpHead("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(head.ok());
  CHECK(head->upgrade == Upgrade::kNone);
  CHECK_FALSE(ParseHttpHead("GET / HTTP/1.1\r\nHost: a\r\n").ok());
  CHECK_FALSE(ParseHttpHead("GET /\r\n\r\n").ok());
  CHECK_FALSE(ParseHttpHead("GET / HTTP/1.1\r\nbad header\r\n\r\n").ok());
}

TEST_CASE("requests with missing or contradicting fields are refused") {
  const Streams out = {false, true, false, false};
  CHECK(Validate(ExecRequest{"c", {"true"}, out}).ok());
  CHECK(Validate(AttachRequest{"c", out}).ok());
  CHECK(Validate(PortForwardRequest{"p"}).ok());
  for (const Request& bad : std::vector<Request>{
           ExecRequest{"", {"true"}, out}, ExecRequest{"c", {}, out},
           ExecRequest{"c", {"true"}, Streams{}}, AttachRequest{"", out},
           AttachRequest{"c", Streams{}}, ExecRequest{"c", {"true"}, {true, true, true, true}},
           AttachRequest{"c", {true, true, true, true}}, PortForwardRequest{""}}) {
    CHECK(Validate(bad).code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a token works once and only for its lifetime") {
  TokenStore store(2, absl::Hours(1));
  const std::string first = *store.Add(PortForwardRequest{"one"});
  const std::string second = *store.Add(PortForwardRequest{"two"});
  CHECK(first.size() == 64);
  CHECK(first != second);
  CHECK(store.Add(PortForwardRequest{"three"}).status().code() ==
        absl::StatusCode::kResourceExhausted);
  CHECK_FALSE(store.Take("").has_value());
  CHECK(std::get<PortForwardRequest>(*store.Take(first)).sandbox_id == "one");
  CHECK_FALSE(store.Take(first).has_value());
  CHECK(store.Add(PortForwardRequest{"three"}).ok());

  TokenStore quick(2, absl::ZeroDuration());
  CHECK_FALSE(quick.Take(*quick.Add(PortForwardRequest{"late"})).has_value());
  CHECK(quick.Add(PortForwardRequest{"a"}).ok());
  CHECK(quick.Add(PortForwardRequest{"b"}).ok());
  CHECK(quick.Add(PortForwardRequest{"c"}).ok());  // expired tokens do not count
}

}  // namespace
}  // namespace crisp::streaming
