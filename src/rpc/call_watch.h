// Tells handlers that their client is gone. gRPC's synchronous interface says so only when asked
// (ServerContext::IsCancelled), so one thread asks for the calls in flight, and a handler waits on
// its call's token (base/call.h) instead of asking. Short calls end before they are asked for.
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::rpc {

class CallWatch {
 public:
  // How late a handler learns that its client left, at most.
  static constexpr absl::Duration kInterval = absl::Milliseconds(250);

  ~CallWatch();

  // Starts the thread. Once, before the first call.
  absl::Status Start();

  // A call from its begin to its end. `is_cancelled` is called on the watch's thread, never after
  // the destructor returned.
  class InFlight {
   public:
    InFlight(CallWatch& watch, const base::Call& call, std::function<bool()> is_cancelled);
    ~InFlight();
    InFlight(const InFlight&) = delete;

   private:
    CallWatch& watch_;
    uint64_t key_ = 0;
  };

 private:
  struct Entry {
    std::shared_ptr<base::CancelToken> token;
    std::function<bool()> is_cancelled;
  };

  void Run();

  absl::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_key_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, Entry> calls_ ABSL_GUARDED_BY(mu_);
  base::Thread thread_;
};

}  // namespace crisp::rpc
