// A crispd for one test program: with temporary root and state, its own CNI network and bridge, and
// the registry of test/run. The destructor removes everything. Failures throw std::runtime_error
// with crispd's log, which ends the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "integration/endpoint.h"

namespace crisp::test {

// Writes `directory`/net.d with a network of its own, leases below `directory`. Returns the name of
// its bridge, which its first pod makes and RemoveBridge() removes.
std::string MakeNetwork(const std::string& directory);
void RemoveBridge(const std::string& bridge);

class Daemon final : public Endpoint {
 public:
  // `flags` are added to the flags of the temporary directories and network.
  explicit Daemon(std::vector<std::string> flags = {});
  ~Daemon() override;

  // The daemon that most tests of a program share; each removes its own pods.
  static Daemon& Shared();

  void Start();  // waits until it serves
  // Starts it with at most so many descriptors and kills it as soon as it serves. Returns false if
  // it ended before, in any way: gRPC aborts without descriptors. Throws if it does neither.
  bool ServesWith(int descriptors);
  // Starts it with at most so many descriptors. Those below `first` are open already, so that what
  // it opens has higher numbers.
  void StartWith(int descriptors, size_t first);
  void Kill9();      // sends SIGKILL and reaps it
  void Terminate();  // SIGTERM, waits; returns its exit status in exit_status
  int exit_status = -1;

  pid_t pid() const { return pid_; }
  // Below dir(), which also has net.d/ and logs/.
  std::string root() const { return Flag("--root", dir() + "/root"); }
  std::string state() const { return Flag("--state", dir() + "/state"); }
  std::string Log() const;

 private:
  Daemon(std::vector<std::string> flags, const std::string& directory);
  // The value of a flag that the test gave, or the default.
  std::string Flag(const std::string& name, const std::string& otherwise) const;
  void AwaitService();
  // With descriptors up to `first`, exclusive.
  void Spawn(const std::string& shell_setup, size_t first = 3);
  std::string bridge_;
  std::vector<std::string> flags_;
  pid_t pid_ = 0;
};

}  // namespace crisp::test
