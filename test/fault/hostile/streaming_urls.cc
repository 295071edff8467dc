// URLs of the streaming server that are used up, foreign or guessed, and clients that do not read
// or say nothing.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "test/fault/hostile/streaming_session.h"

namespace crisp::hostile {
namespace {

using streaming::Connection;
using streaming::SpdyClient;

// The first line of the answer to an upgrade of `path` at the server of `url`.
std::string StatusLine(const std::string& url, const std::string& path) {
  Connection connection(url);
  const std::string answer = connection.Ask(streaming::SpdyHead(path, {kStreamProtocol}));
  return answer.substr(0, answer.find('\r'));
}

void NoUpgrade(const std::string& url, const std::string& path, const std::string& what) {
  const std::string line = StatusLine(url, path);
  Demand(!line.empty() && !absl::StrContains(line, " 101 "), absl::StrCat(what, ": ", line));
}

Outcome UsedTwice(Target& target) {
  Victim victim(target);
  const std::string url = victim.ExecUrl({"cat"});
  const std::string path = Connection(url).path();
  {
    Session session(url);
    NoUpgrade(url, path, "a URL works while it is in use");
    session.client.Send(session.in, "", true);
    session.client.ReadToEnd();
  }
  NoUpgrade(url, path, "a URL works twice");
  // Two at the same moment.
  for (int i = 0; i < 50; ++i) {
    const std::string raced = victim.ExecUrl({"cat"});
    std::atomic<int> accepted = 0;
    std::vector<std::thread> clients;
    std::vector<std::unique_ptr<Connection>> connections;
    for (int n = 0; n < 4; ++n) connections.push_back(std::make_unique<Connection>(raced));
    for (const auto& connection : connections) {
      clients.emplace_back([&accepted, &connection] {
        try {
          const std::string answer =
              connection->Ask(streaming::SpdyHead(connection->path(), {kStreamProtocol}));
          if (absl::StrContains(answer, " 101 ")) ++accepted;
        } catch (const std::runtime_error&) {  // no answer: not accepted
        }
      });
    }
    for (std::thread& client : clients) client.join();
    Demand(accepted == 1, absl::StrCat(accepted.load(), " clients share one URL"));
  }
  victim.Unharmed();
  return {Outcome::kRefused, "the second use is refused"};
}

Outcome Expired(Target& target) {
  Victim victim(target);
  const std::string url = victim.ExecUrl({"cat"});
  constexpr unsigned kSeconds = 65;  // a URL is for one minute, and a client has none to wait for
  sleep(kSeconds);
  NoUpgrade(url, Connection(url).path(), "a URL works after a minute");
  victim.Unharmed();
  return {Outcome::kRefused, "refused after a minute"};
}

Outcome Guesses(Target& target, int count) {
  Victim victim(target);
  const std::string url = victim.ExecUrl({"cat"});
  const std::string path = Connection(url).path();
  const size_t slash = path.rfind('/');
  const std::string token = path.substr(slash + 1);
  std::atomic<int> accepted = 0;
  std::atomic<int> lost = 0;  // connections without an answer
  std::vector<std::thread> clients;
  for (unsigned part = 0; part < 4; ++part) {
    clients.emplace_back([&, part] {
      std::mt19937 random(part);
      for (int i = 0; i < count / 4; ++i) {
        std::string guess = token;
        // One other character, then more and more of them.
        for (int changes = 0; changes <= i % 8; ++changes) {
          char& c = guess[random() % guess.size()];
          c = c == 'a' ? 'b' : 'a';
        }
        if (guess == token) continue;
        try {
          const std::string line = StatusLine(url, path.substr(0, slash + 1) + guess);
          if (absl::StrContains(line, " 101 ")) ++accepted;
        } catch (const std::runtime_error&) {
          ++lost;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  Demand(accepted == 0, absl::StrCat(accepted.load(), " of ", count, " guesses were right"));
  Demand(lost < count / 100 + 1, absl::StrCat(lost.load(), " guesses got no answer"));
  victim.Unharmed();
  return {Outcome::kRefused, absl::StrCat(count, " guesses")};
}

Outcome OtherPath(Target& target) {
  Victim victim(target);
  for (const char* other : {"attach", "portforward", "exec/..", "", "EXEC"}) {
    const std::string url = victim.ExecUrl({"cat"});
    const std::string path = Connection(url).path();
    const std::string token = path.substr(path.rfind('/'));
    NoUpgrade(url, absl::StrCat(other[0] == '\0' ? "" : "/", other, token),
              absl::StrCat("the URL of an exec works as ", other));
  }
  victim.Unharmed();
  return {Outcome::kRefused, "a URL is for its own kind of session"};
}

Outcome NeverReads(Target& target) {
  Victim victim(target);
  const Usage before = RuntimeUsage(target);
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < 16; ++i) {
    sessions.push_back(std::make_unique<Session>(victim.ExecUrl({"out", "0"})));
  }
  // Settles() watches for ten seconds: the sessions write hundreds of MiB a second.
  Demand(!Settles([&] { return RuntimeUsage(target).resident > before.resident + 64 * kMebibyte; }),
         "output that a client does not read fills the runtime's memory");
  sessions.clear();
  victim.Unharmed();
  return Harmless("16 clients that do not read");
}

Outcome SaysNothing(Target& target) {
  Victim victim(target);
  const std::string url = victim.ExecUrl({"cat"});
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 400; ++i) {
    silent.push_back(std::make_unique<Connection>(url));
    if (i % 2 == 0) silent.back()->Write("POST /exec");
  }
  {
    Session session(victim.ExecUrl({"cat"}));  // among them
    session.client.Send(session.in, "x", true);
    session.client.ReadToEnd();
    Demand(session.client.streams[session.out].data == "x",
           "400 silent connections keep others out");
  }
  // Upgraded, but without the streams that a session needs.
  std::vector<std::unique_ptr<SpdyClient>> idle;
  for (int i = 0; i < 20; ++i) {
    idle.push_back(std::make_unique<SpdyClient>(victim.ExecUrl({"cat"})));
    idle.back()->Upgrade({kStreamProtocol});
  }
  silent.clear();
  idle.clear();
  victim.Unharmed();
  return Harmless("420 silent clients");
}

Outcome LongHead(Target& target) {
  Victim victim(target);
  const std::string url = victim.ExecUrl({"cat"});
  for (const std::string& line :
       {"X: " + std::string(8 * kMebibyte, 'x'), std::string("\0\0\r\n", 4),
        "Content-Length: 99999999999999999999\r\n\r\n" + std::string(kMebibyte, 'x')}) {
    Connection connection(url);
    connection.Write("POST " + connection.path() + " HTTP/1.1\r\nHost: node\r\n");
    connection.Write(line);
  }
  std::string fields;
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&fields, "X-", i, ": x\r\n");
  Connection connection(url);
  connection.Write("GET / HTTP/1.1\r\n" + fields + "\r\n");
  victim.Unharmed();
  return Harmless("the next session works");
}

// Ports that no socket has, in the call and in the stream's headers.
Outcome BadPorts(Target& target) {
  test::Endpoint& endpoint = target.endpoint();
  Victim victim(target);
  int refused = 0;
  for (const int port : {-1, 0, 65536, 1 << 30}) {
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(target.ThePod().id());
    request.add_port(port);
    v1::PortForwardResponse response;
    const grpc::Status status =
        endpoint.Try(endpoint.runtime(), &Runtime::PortForward, request, &response);
    if (status.ok()) continue;  // a runtime may leave it to the streams
    target.Refused(status);
    ++refused;
  }
  for (const char* port : {"-1", "0", "65536", "1e3", "0x50", "80\n", "99999999999999999999", ""}) {
    SpdyClient client(victim.ForwardUrl(80));
    client.Upgrade({"portforward.k8s.io"});
    client.Open({{"streamtype", "error"}, {"port", port}, {"requestid", "0"}});
    const uint32_t data = client.Open({{"streamtype", "data"}, {"port", port}, {"requestid", "0"}});
    client.Send(data, "x", true);
    shutdown(client.connection.fd(), SHUT_WR);
    client.ReadToEnd();
    Demand(client.streams[data].data.empty(), absl::StrCat("port \"", port, "\" answers"));
  }
  victim.Unharmed();
  return {refused > 0 ? Outcome::kRefused : Outcome::kHarmless, "no port answers"};
}

}  // namespace

std::vector<Case> UrlCases() {
  constexpr auto kHarmless = Allowed::kHarmless;
  constexpr auto kRefused = Allowed::kRefused;
  const auto guesses = [](int count) {
    return [count](Target& target) { return Guesses(target, count); };
  };
  return {
      {"stream: a URL is used twice", kRefused, UsedTwice, "src/streaming/token_store.cc Take"},
      {"stream: a URL is used after its minute", kRefused, Expired,
       "src/streaming/token_store.cc DropExpired", true},
      {"stream: 2,000 guessed URLs", kRefused, guesses(2000), "src/base/id.cc NewId"},
      {"stream: a million guessed URLs", kRefused, guesses(1'000'000), "src/base/id.cc NewId",
       true},
      {"stream: a client that does not read", kHarmless, NeverReads,
       "src/streaming/transport.h kMaxUnsentBytes"},
      {"stream: clients that say nothing", kHarmless, SaysNothing,
       "src/streaming/server.h max_unauthenticated"},
      {"stream: a request head without end", kHarmless, LongHead,
       "src/streaming/http_head.h kMaxHeadBytes"},
      {"stream: the URL of an exec on the path of attach", kRefused, OtherPath,
       "src/streaming/router.cc RouteRequest"},
      {"stream: ports that do not exist are not forwarded", Allowed::kEither, BadPorts,
       "src/streaming/port_forward.cc"},
  };
}

}  // namespace crisp::hostile
