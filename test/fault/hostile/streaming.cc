// What a client of the streaming server can send: SPDY and WebSocket that are wrong.
#include <sys/socket.h>

#include <functional>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "test/fault/hostile/streaming_session.h"

namespace crisp::hostile {
namespace {

using streaming::Big32;
using streaming::Connection;
using streaming::ControlFrame;

using SpdyAttack = std::function<void(Session&)>;
using RawAttack = std::function<void(Connection&)>;

// Within an open session.
Outcome InSession(Target& target, const std::vector<SpdyAttack>& attacks) {
  Victim victim(target);
  for (const SpdyAttack& attack : attacks) {
    Session session(victim.ExecUrl({"cat"}));
    attack(session);
    shutdown(session.client.connection.fd(), SHUT_WR);
  }
  victim.Unharmed();
  return Harmless("the next session works");
}

// Right after the upgrade, before the streams.
Outcome AfterUpgrade(Target& target, const std::string& upgrade,
                     const std::vector<RawAttack>& attacks) {
  Victim victim(target);
  for (const RawAttack& attack : attacks) {
    Connection connection(victim.ExecUrl({"cat"}));
    const std::string answer = connection.Ask(
        upgrade == "spdy" ? streaming::SpdyHead(connection.path(), {kStreamProtocol})
                          : streaming::WebSocketHead(connection.path(), kStreamProtocol));
    if (!absl::StrContains(answer, " 101 ")) {
      if (upgrade == "websocket") throw Skipped("the runtime has no WebSocket");
      throw Broken("no upgrade: " + answer);
    }
    attack(connection);
  }
  victim.Unharmed();
  return Harmless("the next session works");
}

RawAttack Bytes(const std::string& bytes) {
  return [bytes](Connection& connection) { connection.Write(bytes); };
}

// A SYN_STREAM with a header block of these bytes.
std::string SynStream(const std::string& block) {
  streaming::HeaderDeflater deflater;
  return ControlFrame(1, 0, Big32(1) + Big32(0) + std::string(2, '\0') + deflater.Deflate(block));
}

Outcome SettingsCount(Target& target) {
  return AfterUpgrade(
      target, "spdy",
      {Bytes(ControlFrame(4, 0, Big32(0x10000000))), Bytes(ControlFrame(4, 0, Big32(0xffffffff))),
       Bytes(ControlFrame(4, 0, Big32(2) + std::string(8, 'x'))),
       Bytes(ControlFrame(4, 0, Big32(0x20000001) + std::string(8, 'x')))});
}

Outcome HeaderCount(Target& target) {
  return AfterUpgrade(target, "spdy",
                      {Bytes(SynStream(Big32(0x7fffffff))), Bytes(SynStream(Big32(0xffffffff))),
                       Bytes(SynStream(Big32(1 << 20) + std::string(1 << 16, '\0')))});
}

Outcome HeaderLength(Target& target) {
  return AfterUpgrade(target, "spdy",
                      {Bytes(SynStream(Big32(1) + Big32(0x80000000) + "x")),
                       Bytes(SynStream(Big32(1) + Big32(0xffffffff) + "x")),
                       Bytes(SynStream(Big32(1) + Big32(1) + "x" + Big32(0x7fffffff))),
                       Bytes(SynStream(Big32(1) + Big32(0) + Big32(0)))});
}

Outcome HeaderBomb(Target& target) {
  const std::string bomb = streaming::PlainHeaderBlock({{"a", std::string(256 * kMebibyte, 'x')}});
  return AfterUpgrade(target, "spdy",
                      {Bytes(SynStream(bomb)),
                       Bytes(ControlFrame(1, 0, std::string(10, '\0') + "not zlib at all"))});
}

Outcome ManyStreams(Target& target) {
  return InSession(
      target, {[](Session& session) {
        for (int i = 0; i < 4096; ++i) {
          session.client.connection.Write(session.client.OpenFrame({{"streamtype", "stdin"}}));
        }
      }});
}

Outcome AfterEnd(Target& target) {
  return InSession(target, {[](Session& session) {
                              session.client.Send(session.in, "x", true);
                              session.client.Send(session.in, "after the end");
                            },
                            [](Session& session) { session.client.Send(99, "never opened"); },
                            [](Session& session) { session.client.Send(0, "x"); },
                            [](Session& session) {
                              session.client.next_id = 1;
                              session.client.Open({{"streamtype", "stdin"}});
                            }});
}

Outcome WindowOverflow(Target& target) {
  return InSession(target, {[](Session& session) {
                     for (int i = 0; i < 1000; ++i) {
                       session.client.connection.Write(
                           ControlFrame(9, 0, Big32(session.out) + Big32(0x7fffffff)));
                     }
                     session.client.connection.Write(ControlFrame(9, 0, Big32(0) + Big32(0)));
                   }});
}

Outcome Garbage(Target& target) {
  std::mt19937 random(20260915);  // the same bytes in every run
  std::string bytes(64 << 10, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  const std::vector<RawAttack> attacks = {Bytes(bytes), Bytes(std::string(100, '\xff')),
                                          Bytes("GET / HTTP/1.1\r\n\r\n"),
                                          Bytes(ControlFrame(0xffff, 0xff, std::string(100, 'x')))};
  AfterUpgrade(target, "spdy", attacks);
  return AfterUpgrade(target, "websocket", attacks);
}

// A frame with this first byte and the 64-bit length, masked.
std::string WebSocketFrame(int first, uint64_t size, const std::string& payload) {
  return std::string(1, static_cast<char>(first)) + '\xff' +
         Big32(static_cast<uint32_t>(size >> 32)) + Big32(static_cast<uint32_t>(size)) +
         std::string(4, '\0') + payload;  // a mask of zeros changes nothing
}

Outcome HugeFrame(Target& target) {
  const std::string payload(kMebibyte, '\0');
  return AfterUpgrade(target, "websocket",
                      {Bytes(WebSocketFrame(0x82, uint64_t{1} << 63, payload)),
                       Bytes(WebSocketFrame(0x82, (uint64_t{1} << 63) - 1, payload)),
                       Bytes(WebSocketFrame(0x82, uint64_t{1} << 32, payload)),
                       Bytes(WebSocketFrame(0x89, 1 << 16, payload))});
}

Outcome BadFrames(Target& target) {
  const RawAttack endless = [](Connection& connection) {
    const std::string payload(kMebibyte, '\0');
    bool taken = connection.Write(WebSocketFrame(0x02, payload.size(), payload));
    for (int i = 0; taken && i < 256; ++i) {
      taken = connection.Write(WebSocketFrame(0x00, payload.size(), payload));
    }
  };
  return AfterUpgrade(target, "websocket",
                      {Bytes(std::string("\x82\x02\x00x", 4)),  // not masked
                       Bytes(WebSocketFrame(0x80, 1, "x")),     // goes on with none
                       Bytes(WebSocketFrame(0x02, 1, "x") + WebSocketFrame(0x82, 1, "x")),
                       Bytes(WebSocketFrame(0x09, 1, "x")),     // a ping in parts
                       Bytes(WebSocketFrame(0xf2, 1, "x")),     // reserved bits
                       Bytes(WebSocketFrame(0x83, 1, "x")),     // unknown kind
                       Bytes(WebSocketFrame(0x82, 1, "\xff")),  // unknown channel
                       Bytes(WebSocketFrame(0x82, 0, "")),      // no channel
                       Bytes(WebSocketFrame(0x88, 1, "x")), endless});
}

}  // namespace

std::vector<Case> StreamingCases() {
  constexpr auto kHarmless = Allowed::kHarmless;
  std::vector<Case> cases = {
      {"stream: SPDY SETTINGS with more entries than bytes (CVE-2026-35469)", kHarmless,
       SettingsCount, "src/streaming/spdy_frame.cc ControlFrame"},
      {"stream: SPDY headers without number (CVE-2026-43970)", kHarmless, HeaderCount,
       "src/streaming/spdy_headers.cc kMaxHeaders"},
      {"stream: SPDY header longer than its block", kHarmless, HeaderLength,
       "src/streaming/spdy_headers.cc ReadText"},
      {"stream: SPDY header block that unpacks to 256 MiB (CVE-2026-43970)", kHarmless, HeaderBomb,
       "src/streaming/spdy_headers.cc Decode"},
      {"stream: 4,096 SPDY streams in one session", kHarmless, ManyStreams,
       "src/streaming/spdy_session.cc max_streams_"},
      {"stream: SPDY data after the end and on streams that are not open", kHarmless, AfterEnd,
       "src/streaming/spdy_session.cc OnData"},
      {"stream: SPDY windows that overflow", kHarmless, WindowOverflow,
       "src/streaming/spdy_frame.cc ControlFrame"},
      {"stream: garbage after the upgrade", kHarmless, Garbage, "src/streaming/spdy_frame.cc"},
      {"stream: a WebSocket frame of 2^63 bytes", kHarmless, HugeFrame,
       "src/streaming/websocket_transport.cc kMaxMessageBytes"},
      {"stream: WebSocket frames that are not masked, not begun or never end", kHarmless, BadFrames,
       "src/streaming/websocket_transport.cc kMaxMessageBytes"},
  };
  for (Case& one : UrlCases()) cases.push_back(std::move(one));
  return cases;
}

}  // namespace crisp::hostile
