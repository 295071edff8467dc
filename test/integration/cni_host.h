// For the tests of the engine inside crispd (cni/native): a host, which is a network namespace of
// the calling thread, pods and machines outside on it, and networks by the engine and by plugins.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "cni/network.h"

namespace crisp::cni {

inline constexpr uint16_t kPort = 8080;  // of servers
enum class By { kPlugins, kEngine };

inline base::Deadline Soon() { return base::Deadline::In(absl::Seconds(30)); }

// What a command of the shell prints, in the namespace of the calling thread, or in another one.
std::string Output(const std::string& command);
std::string OutputIn(int netns, const std::string& command);

// How many links of the calling thread's namespace are ends of pods' veths.
size_t CountVeths();

// A namespace with a pin, which is a pod or a machine outside.
struct Machine {
  base::UniqueFd netns;
  base::UniqueFd server;
  PodNetworkRequest request;

  Machine(const std::string& dir, const std::string& name);
  // TCP, at every address.
  void Serve();
  // Nothing holds the namespace any more.
  void Vanish();
};

// The address that the server sees of one who connects to it from the namespace (-1: the host), or
// why it sees none.
std::string SeenFrom(int netns, const std::string& ip, const Machine& to, uint16_t port = kPort);

// The test's host, with plugins that note when they are executed. Its destructor removes all.
struct Host {
  std::string dir;                       // $DIR in a configuration
  Options options;                       // of the engine
  std::unique_ptr<Network> networks[2];  // by By

  explicit Host(const std::string& conf);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Ends the networks, which do now what they have put off.
  void Stop();
  // Expected to succeed.
  absl::StatusOr<PodNetwork> Add(By by, const Machine& pod) const;
  absl::Status Del(By by, const Machine& pod) const;
  // "bridge ADD;loopback ADD;", since the last call.
  std::string Executed() const;
  // The addresses that are leased.
  std::vector<std::string> Leases() const;
};

}  // namespace crisp::cni
