// crispd's heart: the parts that make, run, watch and remove pods, wired together. Knows CRI
// messages as configuration, nothing of gRPC and of the handlers above it. Thread-safe.
//
//   cri/ ---> Api ---> Sandboxes ---> Containers ---> shims, cgroups, snapshots, network
//                 |--> Execs
//                 |--> Images      shim gone
//                 '--> Stats       Monitor ---> Exits ---> Core::Announce ---> Listener (cri/)
#pragma once

#include <string>
#include <vector>

#include "runtime/api.h"
#include "runtime/containers.h"
#include "runtime/core.h"
#include "runtime/exec.h"
#include "runtime/exits.h"
#include "runtime/images.h"
#include "runtime/recovery.h"
#include "runtime/sandboxes.h"
#include "runtime/security_profiles.h"
#include "runtime/stats.h"

namespace crisp::runtime {

class Runtime {
 public:
  explicit Runtime(const Parts& parts);
  ~Runtime();  // Stop()
  Runtime(const Runtime&) = delete;

  // Starts the threads, reads the records, finds what runs, finishes what a dead crispd left
  // pending, then listens for exec, attach and port-forward clients. Call once, before serving.
  absl::Status Start();
  // Takes over what `config` may change while crispd runs: the directories of CDI specifications.
  void Reload(const config::Config& config);
  // Begins to end exec, attach and port-forward, whose clients are told.
  void BeginStop();
  // Stops the threads; containers run on.
  void Stop();

  Api api();

 private:
  // Whose network is not undone.
  std::vector<std::string> AttachedSandboxes() const;

  Core core_;
  SecurityProfiles profiles_;
  Exits exits_;
  Containers containers_;
  Sandboxes sandboxes_;
  Execs execs_;
  Images images_;
  Stats stats_;
  Recovery recovery_;  // its background jobs run as long as the others
};

}  // namespace crisp::runtime
