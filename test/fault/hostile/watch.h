// What must go on while a case attacks: execs in a neighbour's pod stay fast, and neither the
// runtime nor a program it has started takes much memory. A thread looks four times a second.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/thread.h"
#include "client/cri_client.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {

struct WatchOptions {
  pid_t pid = 0;                               // of the runtime; 0: whoever listens on its socket
  absl::Duration patience = absl::Seconds(2);  // for one exec, at least
  int64_t memory_kib = 128 << 10;              // growth during a case; 0: not looked at
};

class Watch {
 public:
  // Starts the neighbour; throws when that fails.
  Watch(Target& target, WatchOptions options);
  ~Watch();

  // The runtime may be another process than before.
  void Begin();
  // Makes one more exec, and returns what was wrong since Begin(), or "".
  std::string End();

 private:
  void Loop();
  void Look();
  absl::Duration Exec();
  void Weigh();

  const WatchOptions options_;
  client::CriClient client_;  // a connection of its own
  std::unique_ptr<test::Pod> pod_;
  std::string container_;
  const std::string socket_;
  pid_t pid_ = 0;            // of the runtime
  uint64_t start_time_ = 0;  // of that process
  int64_t memory_before_ = 0;
  absl::Duration at_rest_ = absl::ZeroDuration();  // the slowest exec before the first case

  absl::Mutex mu_;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  std::string wrong_ ABSL_GUARDED_BY(mu_);
  base::Thread thread_;
};

// The process that listens on the socket (SO_PEERCRED); 0 when nothing does.
pid_t ListenerOf(const std::string& socket);

}  // namespace crisp::hostile
