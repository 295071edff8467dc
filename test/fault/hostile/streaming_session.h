// What the cases about streams share: a container to execute programs in, and sessions with it.
#pragma once

#include <string>
#include <vector>

#include "test/fault/hostile/attack.h"
#include "test_client.h"

namespace crisp::hostile {

inline constexpr char kStreamProtocol[] = "v4.channel.k8s.io";

// A container to execute programs in, and the calls that make URLs for it.
class Victim {
 public:
  explicit Victim(Target& target);

  // An exec of the attacker with `words`, with stdin and stdout.
  std::string ExecUrl(const std::vector<std::string>& words);
  std::string ForwardUrl(int port);

  // An ordinary session works, the attacked ones have left no process, and memory is bounded.
  void Unharmed();

 private:
  size_t Processes();

  Target& target_;
  test::Pod& pod_;
  const std::string container_;
  size_t processes_ = 0;
  Usage before_;
};

// The streams of an exec.
struct Session {
  explicit Session(const std::string& url);
  streaming::SpdyClient client;
  uint32_t error = 0;
  uint32_t in = 0;
  uint32_t out = 0;
};

// The cases of streaming_urls.cc.
std::vector<Case> UrlCases();

}  // namespace crisp::hostile
