// A registry on loopback, with or without TLS, with a table of answers by path, which can misbehave
// in many ways. One thread per connection; the destructor ends all threads.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "fakes/tls_server.h"

namespace crisp::image {

struct EvilRequest {
  std::string method;
  std::string target;                          // with query
  std::string path;                            // without
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string certificate;  // the name in that of the client, by TLS
};

struct EvilReply {
  int status = 200;
  std::vector<std::string> headers = {};  // beside Content-Length
  std::string body = {};
  int64_t content_length = -1;              // -1: the correct one
  bool chunked = false;                     // no Content-Length
  bool endless = false;                     // repeats the body forever
  size_t reset_after = SIZE_MAX;            // bytes of body, then RST
  size_t stall_after = SIZE_MAX;            // bytes of body, then nothing until the client closes
  bool drip = false;                        // one byte per 5 ms
  bool silent = false;                      // closes the connection instead
  bool ignore_range = false;                // a Range request gets everything
  std::function<void()> before_reply = {};  // runs on the connection's thread
  std::function<void()> halfway = {};       // runs after half of the body
};

class EvilRegistry {
 public:
  using Handler = std::function<EvilReply(const EvilRequest&)>;

  // `port` 0: any free one. Aborts when it cannot listen.
  explicit EvilRegistry(int port = 0);
  // One that speaks TLS. The authorities that it names to its clients are those of `accepted`.
  explicit EvilRegistry(const TlsIdentity& identity, const std::vector<std::string>& accepted = {});
  ~EvilRegistry();

  // Of one that speaks TLS: whether it answers plain HTTP with 400, as nginx does, or hangs up.
  void AnswerPlainHttp(bool answer) { answers_plain_http_ = answer; }
  // Of one that does not speak TLS: how often a client has tried to.
  int tls_attempts() const { return tls_attempts_; }

  // "127.0.0.1:<port>"
  std::string host() const;
  // For GET and HEAD of exactly this path. The last call counts.
  void Serve(const std::string& path, EvilReply reply);
  void Serve(const std::string& path, Handler handler);
  // Forgets all answers, the guard and the requests so far.
  void Clear();
  // Called first for every request; for a reply with status 0 the table is used.
  void Guard(Handler guard);

  std::vector<EvilRequest> requests() const;
  size_t Count(const std::string& method, const std::string& path) const;
  // Waits until no answer is being sent: all have ended, or their clients have closed. False when
  // that takes longer.
  bool AwaitIdle(absl::Duration patience) const;

 private:
  struct Connection {
    int fd = -1;  // -1: closed
    std::thread thread;
  };
  struct Stream;
  void Listen(int port);
  void Accept();
  void Talk(Connection& connection, int fd);
  // For a client that speaks TLS with a registry that does not, or the other way round.
  void Misunderstand(int fd, bool by_tls);
  EvilReply Answer(const EvilRequest& request);
  bool Send(const Stream& stream, const EvilRequest& request, EvilReply reply);

  UniqueTlsContext tls_;  // nullptr: without
  std::atomic<bool> answers_plain_http_ = false;
  std::atomic<int> tls_attempts_ = 0;
  base::UniqueFd listener_;
  int port_ = 0;
  std::thread acceptor_;
  std::atomic<bool> stopping_ = false;
  mutable absl::Mutex mu_;
  std::map<std::string, Handler> handlers_;
  Handler guard_;
  std::vector<EvilRequest> requests_;
  int answering_ = 0;
  std::list<Connection> connections_;
};

}  // namespace crisp::image
