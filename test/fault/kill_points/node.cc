#include "fault/kill_points/node.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "fault/kill_points/scenario.h"
#include "linux/process_ref.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

using RuntimeStub = v1::RuntimeService::Stub;
using ImageStub = v1::ImageService::Stub;

// The programs with points; the tier's other tests have the released ones.
std::string UsePrograms(std::string page) {
  setenv("CRISP_TEST_BIN_DIR", CRISP_KILL_POINTS_BIN, /*overwrite=*/1);
  return page;
}

std::string CgroupParent(Daemon& daemon) { return PodConfig(daemon).linux().cgroup_parent(); }

std::vector<std::string> Flags(const Disk& root, const Disk& state, bool native) {
  std::vector<std::string> flags = {"--root", root.path() + "/root", "--state",
                                    state.path() + "/state"};
  if (native) flags.insert(flags.end(), {"--cni-native", "true"});
  return flags;
}

// What runs in a shim, or in what it has forked.
bool InShim(const std::string& point) {
  return absl::StartsWith(point, "shim") || absl::StartsWith(point, "builder") ||
         absl::StartsWith(point, "child") || absl::StartsWith(point, "helper");
}

std::string Difference(const std::set<std::string>& expected, const std::set<std::string>& found) {
  std::string text;
  for (const std::string& line : found)
    if (expected.count(line) == 0) absl::StrAppend(&text, "\n  left: ", line);
  for (const std::string& line : expected)
    if (found.count(line) == 0) absl::StrAppend(&text, "\n  gone: ", line);
  return text;
}

}  // namespace

const char* NameOf(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "nothing";
    case Fault::kCrispd:
      return "kill crispd";
    case Fault::kShim:
      return "kill shim";
    case Fault::kBoth:
      return "kill both";
    case Fault::kReboot:
      return "reboot";
    case Fault::kDisk:
      return "full disks";
    case Fault::kDescriptors:
      return "no descriptors";
  }
  return "";
}

void Promise(bool kept, const std::string& what) {
  if (!kept) throw Broken(what);
}

Node::Node(bool native)
    : native_(native),
      standstill_(UsePrograms(absl::StrCat("/var/lib/crisp-test-points-", getpid()))),
      daemon_(Flags(root_disk_, state_disk_, native)),
      leftovers_(daemon_, CgroupParent(daemon_)) {
  daemon_.Pull(kBusybox);
  daemon_.Pull(kVolumesImage);
  // What the first pod makes for all that follow.
  {
    Pod first(daemon_);
    first.Run({"true"});
  }
  empty_ = ListSettled();
  StartSteadyPod();
}

Node::~Node() = default;

void Node::GiveUp() {
  try {
    daemon_.Kill9();
    leftovers_.Reboot();
    daemon_.Start();
  } catch (const std::exception& error) {
    fprintf(stderr, "kill points: %s\n", error.what());
  }
}

void Node::StartSteadyPod() {
  const std::string gate = daemon_.dir() + "/gate";
  Promise(base::MakeDirs(gate, 0755).ok() &&
              (mkfifo((gate + "/lines").c_str(), 0600) == 0 || errno == EEXIST),
          "a FIFO cannot be made");
  pod_ = std::make_unique<Pod>(daemon_);
  // It forks nothing, so that its processes stay the same.
  steady_ = pod_->Run({"sh", "-c", "exec 3<>/gate/lines; while read line <&3; do echo $line; done"},
                      [&](v1::ContainerConfig& config) {
                        v1::Mount* mount = config.add_mounts();
                        mount->set_host_path(gate);
                        mount->set_container_path("/gate");
                      });
  steady_process_ = ProcessOf(steady_);
  steady_log_.clear();
  WriteSteadyLine();
  pod_->AwaitLog(steady_, "line-0");
  steady_only_ = ListSettled();
}

// When the same is there several times in a row.
std::set<std::string> Node::ListSettled() {
  std::set<std::string> last;
  std::string change;
  int times = 0;
  const bool settled = Eventually([&] {
    std::set<std::string> now = leftovers_.List();
    times = now == last ? times + 1 : 0;
    if (times == 0) change = Difference(last, now);
    last = std::move(now);
    return times == 4;
  });
  Promise(settled, "what is on the host does not settle:" + change);
  return last;
}

void Node::WriteSteadyLine() {
  const long number = std::count(steady_log_.begin(), steady_log_.end(), '\n');
  const std::string line = absl::StrCat("line-", number, "\n");
  const absl::StatusOr<base::UniqueFd> fifo =
      base::Open(daemon_.dir() + "/gate/lines", O_WRONLY | (number == 0 ? 0 : O_NONBLOCK));
  Promise(fifo.ok() && base::WriteAll(fifo->get(), line).ok(),
          "the steady container does not read");
  steady_log_ += line;
}

bool Node::Strike(Fault fault, const std::string& point) {
  std::vector<pid_t> shims;
  for (const ShimProcess& shim : leftovers_.Shims()) {
    const bool steady = shim.id == pod_->id() || shim.id == steady_;
    if (!steady && !shim.forked) shims.push_back(shim.pid);
  }
  if ((fault == Fault::kShim || fault == Fault::kBoth) && shims.empty()) return false;
  if (EndsCrispd(fault)) {
    siginfo_t info;
    kill(daemon_.pid(), SIGKILL);
    // Reaped in Recover, or by whoever waits for its start.
    (void)waitid(P_PID, static_cast<id_t>(daemon_.pid()), &info, WEXITED | WNOWAIT);
  }
  if (fault == Fault::kShim || fault == Fault::kBoth) {
    for (const pid_t shim : shims) kill(shim, SIGKILL);
  }
  if (fault == Fault::kReboot) {
    leftovers_.Reboot();
  } else {
    WriteSteadyLine();
  }
  if (fault == Fault::kDisk) {
    full_ = true;
    root_disk_.Fill();
    state_disk_.Fill();
  }
  if (fault == Fault::kDescriptors) TakeDescriptors(point);
  return true;
}

void Node::TakeDescriptors(const std::string& point) {
  std::vector<pid_t> pids;
  if (InShim(point)) {
    // Not from a child, nor from a builder whose work is done: the container's program would keep
    // that limit.
    const bool builder =
        absl::StartsWith(point, "builder: ") && !absl::StartsWith(point, "builder: clone");
    for (const ShimProcess& shim : leftovers_.Shims()) {
      const bool steady = shim.id == pod_->id() || shim.id == steady_;
      if (!steady && (builder || !shim.forked)) pids.push_back(shim.pid);
    }
  } else {
    pids.push_back(daemon_.pid());
  }
  for (const pid_t pid : pids) {
    rlimit before = {};
    if (prlimit(pid, RLIMIT_NOFILE, nullptr, &before) != 0) continue;
    // All of these are in use; with a limit of 0 the kernel would also refuse poll(2).
    const rlimit none = {8, before.rlim_max};
    if (prlimit(pid, RLIMIT_NOFILE, &none, nullptr) == 0) taken_.emplace_back(pid, before);
  }
}

void Node::GiveDescriptors() {
  for (const auto& [pid, limit] : taken_) (void)prlimit(pid, RLIMIT_NOFILE, &limit, nullptr);
  taken_.clear();
}

void Node::Recover(Fault fault, bool starting) {
  GiveDescriptors();
  if (full_) {
    root_disk_.Free();
    state_disk_.Free();
  }
  full_ = false;
  if (EndsCrispd(fault)) daemon_.Kill9();  // reaps it
  siginfo_t end = {};
  const auto pid = static_cast<id_t>(daemon_.pid());
  const bool ended =
      pid == 0 || waitid(P_PID, pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid != 0;
  Promise(!ended || EndsCrispd(fault) || (starting && fault == Fault::kDescriptors),
          "crispd ended by itself");
  if (!ended) return;
  daemon_.Kill9();  // reaps it
  daemon_.Start();
}

void Node::CheckSteady() {
  Promise(PodState(pod_->id()) == v1::SANDBOX_READY, "the steady pod is not READY");
  Promise(State(steady_) == v1::CONTAINER_RUNNING, "the steady container does not run");
  Promise(ProcessOf(steady_) == steady_process_, "the steady container has another process");
  Promise(pod_->Exec(steady_, {"echo", "alive"}).out == "alive\n", "exec in the steady container");
  Promise(Eventually([&] { return pod_->LogText(steady_) == steady_log_; }),
          "the steady container's log is not complete: " + pod_->LogText(steady_));
}

void Node::RemoveAllBut(const std::string& pod, const std::string& container) {
  const auto containers =
      daemon_.Call(daemon_.runtime(), &RuntimeStub::ListContainers, v1::ListContainersRequest());
  for (const v1::Container& each : containers.containers()) {
    const v1::ContainerStatus status = pod_->ContainerStatus(each.id());
    const bool exited = status.state() == v1::CONTAINER_EXITED;
    Promise(status.started_at() == 0 || status.created_at() <= status.started_at(),
            "a container was started before it was created");
    Promise(!exited || status.started_at() <= status.finished_at(),
            "a container finished before it was started");
    // Twice: it may be repeated.
    for (int i = 0; i < 2 && each.id() != container; ++i) pod_->RemoveContainer(each.id());
  }
  const auto pods =
      daemon_.Call(daemon_.runtime(), &RuntimeStub::ListPodSandbox, v1::ListPodSandboxRequest());
  for (const v1::PodSandbox& each : pods.items()) {
    if (each.id() == pod) continue;
    v1::StopPodSandboxRequest stop;
    v1::RemovePodSandboxRequest remove;
    stop.set_pod_sandbox_id(each.id());
    remove.set_pod_sandbox_id(each.id());
    for (int i = 0; i < 2; ++i) {
      daemon_.Call(daemon_.runtime(), &RuntimeStub::StopPodSandbox, stop);
      daemon_.Call(daemon_.runtime(), &RuntimeStub::RemovePodSandbox, remove);
    }
  }
  v1::RemoveImageRequest image;
  image.mutable_image()->set_image(kPulledImage);
  daemon_.Call(daemon_.images(), &ImageStub::RemoveImage, image);
}

void Node::AwaitNothingBut(const std::set<std::string>& expected) {
  std::set<std::string> found;
  const bool clean = Eventually([&] {
    found = leftovers_.List();
    return found == expected;
  });
  Promise(clean, "on the host after everything was removed:" + Difference(expected, found));
}

void Node::CleanUp() {
  RemoveAllBut(pod_->id(), steady_);
  AwaitNothingBut(steady_only_);
}

void Node::Renew() {
  Promise(PodState(pod_->id()) == v1::SANDBOX_NOTREADY, "a pod is READY after a restart");
  Promise(State(steady_) == v1::CONTAINER_EXITED, "a container runs after a restart");
  RemoveAllBut("", "");
  AwaitNothingBut(empty_);
  pod_.reset();
  StartSteadyPod();
}

std::optional<v1::ContainerState> Node::State(const std::string& container) {
  v1::ListContainersRequest request;
  request.mutable_filter()->set_id(container);
  const auto listed = daemon_.Call(daemon_.runtime(), &RuntimeStub::ListContainers, request);
  if (listed.containers().empty()) return std::nullopt;
  return listed.containers(0).state();
}

std::optional<v1::PodSandboxState> Node::PodState(const std::string& pod) {
  v1::ListPodSandboxRequest request;
  request.mutable_filter()->set_id(pod);
  const auto listed = daemon_.Call(daemon_.runtime(), &RuntimeStub::ListPodSandbox, request);
  if (listed.items().empty()) return std::nullopt;
  return listed.items(0).state();
}

Running Node::ProcessOf(const std::string& container) {
  const int pid = pod_->HostPid(container);
  const auto process = linux::ProcessRef::Of(pid);
  Promise(process.ok(), "the process of a running container does not exist");
  return {.pid = pid, .start_ticks = process->start_ticks};
}

std::vector<std::string> Node::Containers(const std::string& name) {
  std::vector<std::string> ids;
  const auto listed =
      daemon_.Call(daemon_.runtime(), &RuntimeStub::ListContainers, v1::ListContainersRequest());
  for (const v1::Container& each : listed.containers())
    if (each.metadata().name() == name) ids.push_back(each.id());
  return ids;
}

std::vector<std::string> Node::Pods(const std::string& uid) {
  std::vector<std::string> ids;
  const auto listed =
      daemon_.Call(daemon_.runtime(), &RuntimeStub::ListPodSandbox, v1::ListPodSandboxRequest());
  for (const v1::PodSandbox& each : listed.items())
    if (each.metadata().uid() == uid) ids.push_back(each.id());
  return ids;
}

}  // namespace crisp::test
