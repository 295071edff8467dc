#include "streaming/loop.h"

#include <signal.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::streaming {

namespace asio = boost::asio;
using Error = boost::system::error_code;

struct Loop::Impl {
  absl::Status Start(int worker_count);
  void Work();
  void Stop();

  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  base::Thread thread;

  absl::Mutex mu;
  std::deque<std::function<void()>> tasks ABSL_GUARDED_BY(mu);
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::vector<base::Thread> workers;
};

absl::Status Loop::Impl::Start(int worker_count) {
  CRISP_ASSIGN_OR_RETURN(thread, base::StartThread("streaming", [this] { context.run(); }));
  for (int i = 0; i < worker_count; ++i) {
    CRISP_ASSIGN_OR_RETURN(base::Thread worker,
                           base::StartThread("streaming work", [this] { Work(); }));
    workers.push_back(std::move(worker));
  }
  return absl::OkStatus();
}

void Loop::Impl::Work() {
  const auto has_work = [this]()
                            ABSL_SHARED_LOCKS_REQUIRED(mu) { return stopping || !tasks.empty(); };
  while (true) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mu, absl::Condition(&has_work));
      if (stopping) return;
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    task();
  }
}

void Loop::Impl::Stop() {
  context.stop();
  thread.Join();
  {
    absl::MutexLock lock(&mu);
    stopping = true;
  }
  for (base::Thread& worker : workers) worker.Join();
}

absl::StatusOr<std::unique_ptr<Loop>> Loop::Start(int workers) {
  // Threads inherit this mask. The main thread handles signals, and a write to a pipe without a
  // reader must fail with EPIPE here instead of raising SIGPIPE.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto loop = std::unique_ptr<Loop>(new Loop(std::make_unique<Impl>()));
  const absl::Status started = loop->impl_->Start(workers);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  CRISP_RETURN_IF_ERROR(started);
  return loop;
}

Loop::Loop(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)), scratch_(std::make_unique<char[]>(kScratchBytes)) {}

Loop::~Loop() { Stop(); }

void Loop::Post(std::function<void()> task) { asio::post(impl_->context, std::move(task)); }

void Loop::RunOnWorker(std::function<void()> task) {
  absl::MutexLock lock(&impl_->mu);
  impl_->tasks.push_back(std::move(task));
}

void Loop::Stop() { impl_->Stop(); }

asio::io_context& Loop::context() { return impl_->context; }

// A queued handler may keep it longer than the FdWatch lives; it then finds `alive` false.
struct FdWatch::State {
  explicit State(asio::io_context& context) : descriptor(context) {}
  asio::posix::stream_descriptor descriptor;
  bool alive = true;
};

namespace {

template <typename State, typename WaitType>
void Wait(const std::shared_ptr<State>& state, WaitType type, std::function<void()> callback) {
  state->descriptor.async_wait(type, [state, callback = std::move(callback)](const Error& error) {
    if (state->alive && error != asio::error::operation_aborted) callback();
  });
}

}  // namespace

FdWatch::FdWatch(Loop* loop, base::UniqueFd fd) : state_(std::make_shared<State>(loop->context())) {
  Error error;
  state_->descriptor.assign(fd.get(), error);
  // This fails only for a descriptor that epoll refuses, such as a regular file. The descriptor is
  // closed and its waits end at once, so that the caller's read or write returns the error.
  if (!error) fd.release();
}

FdWatch::~FdWatch() {
  state_->alive = false;
  Error ignored;
  state_->descriptor.close(ignored);
}

int FdWatch::fd() const {
  return state_->descriptor.is_open() ? state_->descriptor.native_handle() : -1;
}

void FdWatch::WhenReadable(std::function<void()> callback) {
  Wait(state_, asio::posix::stream_descriptor::wait_read, std::move(callback));
}

void FdWatch::WhenWritable(std::function<void()> callback) {
  Wait(state_, asio::posix::stream_descriptor::wait_write, std::move(callback));
}

base::UniqueFd FdWatch::Release() {
  state_->alive = false;
  return base::UniqueFd(state_->descriptor.is_open() ? state_->descriptor.release() : -1);
}

struct Timer::State {
  explicit State(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  bool alive = true;
};

Timer::Timer(Loop* loop) : loop_(loop) {}

Timer::~Timer() { Cancel(); }

void Timer::Start(absl::Duration after, std::function<void()> callback) {
  Cancel();
  state_ = std::make_shared<State>(loop_->context());
  state_->timer.expires_after(absl::ToChronoNanoseconds(after));
  state_->timer.async_wait([state = state_, callback = std::move(callback)](const Error& error) {
    if (state->alive && !error) callback();
  });
}

void Timer::Cancel() {
  if (!state_) return;
  state_->alive = false;
  state_->timer.cancel();
  state_.reset();
}

}  // namespace crisp::streaming
