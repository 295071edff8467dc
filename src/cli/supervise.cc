#include "cli/supervise.h"

#include <signal.h>
#include <unistd.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "cli/node_facts.h"
#include "cli/reporter.h"

namespace crisp::cli {
namespace {

// What the threads of a supervisor tell its loop.
class Mailbox {
 public:
  void Changed() {
    const absl::MutexLock lock(&mu_);
    has_changed_ = true;
  }
  void Stop() {
    const absl::MutexLock lock(&mu_);
    is_stopped_ = true;
  }
  // Until something changes, for at most `span`. Returns false once stopped.
  bool Wait(absl::Duration span) {
    const absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(this, &Mailbox::HasNews), span);
    has_changed_ = false;
    return !is_stopped_;
  }
  // Returns whether it is stopped after at most `span`.
  bool AwaitStop(absl::Duration span) {
    const absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&is_stopped_), span);
  }

 private:
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return has_changed_ || is_stopped_; }

  absl::Mutex mu_;
  bool has_changed_ ABSL_GUARDED_BY(mu_) = false;
  bool is_stopped_ ABSL_GUARDED_BY(mu_) = false;
};

absl::StatusOr<sigset_t> BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return base::Errno("sigmask", "", error);
  // A listener that has gone is seen in the answer of write(2).
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

// The events only say that it is time to look: a runtime that has none costs latency, nothing else.
void WatchRuntime(CriRuntime& runtime, const std::string& uid, Mailbox& mailbox) {
  constexpr absl::Duration kRetry = absl::Seconds(1);
  do {
    runtime.WatchEvents(uid, [&mailbox] { mailbox.Changed(); });
    mailbox.Changed();
  } while (!mailbox.AwaitStop(kRetry));
}

// Returns whether the pod is over; false: it is to be torn down.
bool KeepRunning(PodSupervisor& supervisor, Mailbox& mailbox, Reporter& reporter) {
  absl::Time wake = absl::InfinitePast();
  std::string message;
  while (mailbox.Wait(wake - absl::Now())) {
    const PodReport report = supervisor.Sync();
    wake = report.wake;
    if (!report.message.empty() && report.message != message)
      base::Log(base::LogLevel::kWarning, "all is not well", {{"reason", report.message}});
    message = report.message;
    // In the middle of doing something: the next round knows how it went.
    if (wake != absl::InfinitePast() || report.is_over) reporter.Tell(report);
    if (report.is_over) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SupervisedPod>> SupervisedPod::Open(const PodDirectory& directory,
                                                                   const std::string& socket_path,
                                                                   std::function<void()> changed) {
  CRISP_ASSIGN_OR_RETURN(const PodRecord record, directory.ReadRecord());
  CRISP_ASSIGN_OR_RETURN(const std::string documents, directory.ReadDocuments());
  auto pod = std::unique_ptr<SupervisedPod>(new SupervisedPod(socket_path, std::move(changed)));
  Problems problems;
  DecodeManifest(kManifestFile, documents, pod->manifest_, problems);
  if (!problems.empty()) return absl::InvalidArgumentError(problems.Lines()[0]);
  for (const Pod& candidate : pod->manifest_.pods) {
    if (candidate.metadata.name == record.name &&
        candidate.metadata.namespace_ == record.namespace_)
      pod->pod_ = &candidate;
  }
  if (pod->pod_ == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(directory.path(), "/", kManifestFile, " has no pod ", record.name));
  }
  pod->instance_.uid = record.uid;
  pod->instance_.users = record.users;
  pod->instance_.directory = directory.path();
  pod->instance_.disk_directory = directory.data();
  pod->instance_.logs = directory.logs();
  CRISP_ASSIGN_OR_RETURN(const RuntimeFacts facts, pod->runtime_.Facts());
  CRISP_ASSIGN_OR_RETURN(pod->node_, ReadNode(facts));
  CRISP_ASSIGN_OR_RETURN(std::vector<RegistryCredential> credentials,
                         PullCredentialsOf(*pod->pod_, pod->manifest_));
  pod->files_ =
      std::make_unique<HostPodFiles>(*pod->pod_, pod->manifest_, pod->instance_, pod->node_);
  pod->supervisor_ = std::make_unique<PodSupervisor>(
      *pod->pod_, pod->manifest_, pod->instance_, pod->node_, std::move(credentials),
      PodSupervisor::Hands{.runtime = pod->runtime_,
                           .files = *pod->files_,
                           .handlers = pod->handlers_,
                           .probes = pod->probes_,
                           .clock = absl::Now});
  return pod;
}

absl::Status Supervise(const PodDirectory& directory, const std::string& socket_path,
                       int listener) {
  CRISP_ASSIGN_OR_RETURN(const sigset_t signals, BlockSignals());
  CRISP_ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> lock,
                         directory.TryLock(Holder::kSupervisor));
  if (!lock.has_value())
    return absl::AlreadyExistsError(absl::StrCat(directory.path(), " has a supervisor already"));
  Mailbox mailbox;
  CRISP_ASSIGN_OR_RETURN(const auto pod, SupervisedPod::Open(directory, socket_path,
                                                             [&mailbox] { mailbox.Changed(); }));
  CRISP_ASSIGN_OR_RETURN(base::Thread waiter, base::StartThread("signals", [&] {
                           int signal = 0;
                           sigwait(&signals, &signal);
                           mailbox.Stop();
                           pod->Interrupt();
                         }));
  absl::StatusOr<base::Thread> watcher =
      base::StartThread("events", [&] { WatchRuntime(pod->runtime(), pod->uid(), mailbox); });
  Reporter reporter(base::JoinPath(directory.path(), kStatusFile), listener);
  const bool is_over = watcher.ok() && KeepRunning(pod->supervisor(), mailbox, reporter);
  // Ends both threads, when no signal has come yet.
  kill(getpid(), SIGTERM);
  waiter.Join();
  CRISP_RETURN_IF_ERROR(watcher.status());
  watcher->Join();
  return is_over ? pod->supervisor().Finish() : pod->supervisor().TearDown();
}

}  // namespace crisp::cli
