// A containerd with runc for one run, in a temporary directory: its programs are those that
// test/tools/build makes. The destructor removes everything. Failures throw std::runtime_error with
// the last lines of containerd's log.
#pragma once

#include <sys/types.h>

#include <string>

#include "integration/endpoint.h"

namespace crisp::bench {

class Containerd final : public test::Endpoint {
 public:
  // `programs`: the directory of containerd, containerd-shim-runc-v2 and runc. `certs`: a certs.d
  // tree.
  Containerd(const std::string& programs, const std::string& certs);
  ~Containerd() override;

  pid_t pid() const { return pid_; }
  void Restart();
  std::string data() const { return dir() + "/root"; }
  std::string certs() const { return dir() + "/certs.d"; }  // a copy
  static std::string Version(const std::string& programs);

 private:
  Containerd(const std::string& programs, const std::string& certs, const std::string& directory);
  void Start();
  void Kill();
  void RemoveAll();
  std::string LogEnd() const;

  const std::string programs_;
  const std::string bridge_;
  pid_t pid_ = 0;
};

}  // namespace crisp::bench
