// One launch as the shim sees it: the builder it forked, the page it reports on and the pipe that
// tells how far it is. Used for init and for every exec.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.h"
#include "shim/builder.h"
#include "shim/event_loop.h"
#include "shim/report.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

class LaunchOwner {
 public:
  // The child exists; with a barrier it waits for Release().
  virtual void OnCreated() {}
  // The builder is through, and the child has executed its program or has failed: see Launch::ok().
  virtual void OnLaunched() = 0;

 protected:
  ~LaunchOwner() = default;
};

class Launch final : public EventSource {
 public:
  // Completes `input` (report, done, barrier, console) and forks. False and errno when that is not
  // possible. `stdio` of the input stays the caller's.
  struct Options {
    bool barrier = false;
    bool terminal = false;
  };
  bool StartContainer(EventLoop& loop, LaunchOwner& owner, BuilderInput input,
                      const ::shim::v1::Start& start, Options options);
  bool StartExec(EventLoop& loop, LaunchOwner& owner, BuilderInput input,
                 const ::shim::v1::Exec& exec, Options options);

  bool pending() const { return done_.valid(); }
  pid_t builder() const { return builder_; }
  void ForgetBuilder() { builder_ = 0; }  // it was reaped
  // The child's pid, 0 before there is one. Known as soon as the child can be.
  pid_t child() const { return report_ == nullptr ? 0 : report_->child; }
  const Report& report() const { return *report_; }
  // Whether the child has executed its program.
  bool ok() const;
  int64_t finished_ns() const { return finished_ns_; }

  bool is_parked() const { return barrier_.valid(); }
  void Release();
  // The pty master the child has sent; invalid without a terminal.
  base::UniqueFd TakeMaster();
  // Gives the page back.
  void Close();

  void OnEvent(uint32_t events) override;

 private:
  bool Prepare(EventLoop& loop, LaunchOwner& owner, BuilderInput& input, Options options);
  template <typename Build>
  bool Fork(const BuilderInput& input, Build build);

  EventLoop* loop_ = nullptr;
  LaunchOwner* owner_ = nullptr;
  Report* report_ = nullptr;
  pid_t builder_ = 0;
  int64_t finished_ns_ = 0;
  base::UniqueFd done_;     // read end
  base::UniqueFd barrier_;  // write end
  base::UniqueFd console_;
  base::UniqueFd child_done_, child_barrier_,
      child_console_;  // the builder's ends, until it is forked
};

}  // namespace crisp::shim
