// A crispd that is killed and starved again and again, and the pod beside what is done to it, which
// must not notice. On disks of its own, which can be filled.
#pragma once

#include <sys/resource.h>

#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "fault/kill_points/leftovers.h"
#include "fault/kill_points/standstill.h"
#include "integration/disk.h"
#include "integration/pod.h"

namespace crisp::test {

// What is done while a program stands still at a point.
enum class Fault { kNone, kCrispd, kShim, kBoth, kReboot, kDisk, kDescriptors };
const char* NameOf(Fault fault);  // as the matrix says it

inline bool EndsCrispd(Fault fault) {
  return fault == Fault::kCrispd || fault == Fault::kBoth || fault == Fault::kReboot;
}
inline bool EndsShims(Fault fault) {
  return fault == Fault::kShim || fault == Fault::kBoth || fault == Fault::kReboot;
}

// A promise that was not kept.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void Promise(bool kept, const std::string& what);

struct Running {
  int pid = 0;
  uint64_t start_ticks = 0;
  bool operator==(const Running&) const = default;
};

class Node {
 public:
  // `native`: crispd does the CNI plugins' work itself; else as all tests have it.
  explicit Node(bool native);
  ~Node();
  Node(const Node&) = delete;

  bool native() const { return native_; }
  Daemon& daemon() { return daemon_; }
  Standstill& standstill() { return standstill_; }
  const Standstill& standstill() const { return standstill_; }
  // Has a container that runs throughout; the containers of scenarios are made in it too.
  Pod& pod() { return *pod_; }

  // Does the fault to the crispd and to all shims but those of the steady pod (a restart of the
  // host ends these too). `point` says whose descriptors are taken. False when it needs a shim and
  // there is none: then nothing is done.
  bool Strike(Fault fault, const std::string& point);
  // What Strike() took; for a call that waits for them.
  void GiveDescriptors();
  // After the call: gives back what was taken, and starts crispd if it was ended. It may have ended
  // by itself only while it was `starting` without descriptors.
  void Recover(Fault fault, bool starting);
  // The pod beside is as it was: listed, running with the same process; execs work, and every line
  // that it was told to write is in its log, once.
  void CheckSteady();
  // Removes everything but the steady pod, and waits until nothing else is left on the host.
  void CleanUp();
  // After a restart of the host: removes everything and starts the steady pod anew.
  void Renew();
  // After a broken promise: ends whatever is left, so that the destructor can remove the rest.
  void GiveUp();

  // Null when it is not listed.
  std::optional<v1::ContainerState> State(const std::string& container);
  std::optional<v1::PodSandboxState> PodState(const std::string& pod);
  Running ProcessOf(const std::string& container);
  // Listed containers of this name, and pods of this uid.
  std::vector<std::string> Containers(const std::string& name);
  std::vector<std::string> Pods(const std::string& uid);

 private:
  void StartSteadyPod();
  void WriteSteadyLine();
  std::set<std::string> ListSettled();
  void RemoveAllBut(const std::string& pod, const std::string& container);
  void AwaitNothingBut(const std::set<std::string>& expected);
  void TakeDescriptors(const std::string& point);

  const bool native_;
  Standstill standstill_;
  Disk root_disk_;
  Disk state_disk_;
  Daemon daemon_;
  Leftovers leftovers_;
  std::unique_ptr<Pod> pod_;
  std::string steady_;  // the container in it
  Running steady_process_;
  std::string steady_log_;       // what it was told to write
  std::set<std::string> empty_;  // what is on the host without any pod
  std::set<std::string> steady_only_;
  bool full_ = false;                            // the disks
  std::vector<std::pair<pid_t, rlimit>> taken_;  // from whom, and what they had
};

}  // namespace crisp::test
