// What the cases about pods, containers and races share: containers that run the program attacker
// (attacker.cc), and cases that try many inputs. Throws Broken as case.h says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "integration/pod.h"
#include "test/fault/hostile/case.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {

using Runtime = v1::RuntimeService::Stub;
inline constexpr size_t kMebibyte = 1 << 20;
inline constexpr char kCorePattern[] = "/proc/sys/kernel/core_pattern";

inline Outcome Harmless(std::string detail) { return {Outcome::kHarmless, std::move(detail)}; }

using SandboxChange = std::function<void(v1::PodSandboxConfig&)>;
using ContainerChange = std::function<void(v1::ContainerConfig&)>;

// The configuration of a container that runs the attacker with `words`.
v1::ContainerConfig Attack(Target& target, const std::vector<std::string>& words,
                           const ContainerChange& change = nullptr);
// The attacker in its containers. It has the name of the suite's probe, so that host_state.h sees
// one that is left.
inline constexpr char kAttacker[] = "/attack/probe";
// Puts `program`, which is built beside this one, into the container as kAttacker.
void AddProgram(Target& target, v1::ContainerConfig& config, const std::string& program);
// Runs it in ThePod() to its end and returns what it printed; throws Broken unless it could run and
// returned 0.
std::string Output(Target& target, const std::vector<std::string>& words,
                   const ContainerChange& change = nullptr);
// Starts it in `pod` and waits for its line "ready".
std::string StartAttack(Target& target, test::Pod& pod, const std::vector<std::string>& words,
                        const ContainerChange& change = nullptr);
// Ends it with SIGTERM, removes it, and returns what it printed.
std::string EndAttack(test::Pod& pod, const std::string& container);

// A bind mount of `host` at `path`, read and write.
ContainerChange Volume(const std::string& host, const std::string& path);
ContainerChange Both(ContainerChange first, ContainerChange second);

// The text after `name` on the line of `output` that begins with it; throws Broken without one.
std::string Line(const std::string& output, const std::string& name);
void Write(const std::string& path, const std::string& text, int mode = 0644);
std::string Read(const std::string& path);
void MakeLink(const std::string& target, const std::string& path);

// One of the inputs of a case. `harmless` is called when the runtime took it, with what the
// container printed or the id of the sandbox, and throws Broken for harm; without it the runtime
// has to refuse.
struct SandboxInput {
  std::string label;
  SandboxChange change;
  std::function<void(Target&, const std::string& id)> harmless = nullptr;
};
struct ContainerInput {
  std::string label;
  ContainerChange change;
  std::function<void(Target&, const std::string& output)> harmless = nullptr;
};

// RunPodSandbox and RemovePodSandbox with each of the inputs.
Outcome TrySandboxes(Target& target, const std::vector<SandboxInput>& inputs);
// A container that runs the attacker with `words`, for each of the inputs.
Outcome TryContainers(Target& target, const std::vector<std::string>& words,
                      const std::vector<ContainerInput>& inputs);
// Calls `act` and puts `label` before what it throws.
Outcome Labelled(const std::string& label, const std::function<Outcome()>& act);

// The process that listens on the runtime's socket, and the parent of a container's process.
int RuntimePid(Target& target);
int ParentPid(int pid);
// The host's pid of a container's first process, found by its cgroup, without the runtime's help.
int InitPid(const std::string& container);
// SHA-256 of a process's program.
std::string ProgramDigest(int pid);
size_t CountEntries(const std::string& directory);
// Of the runtime's process: threads, descriptors and resident memory.
struct Usage {
  size_t threads = 0;
  size_t descriptors = 0;
  size_t resident = 0;  // bytes
};
Usage RuntimeUsage(Target& target);
// Asks until `holds`, for at most ten seconds; for counts that go down after an answer was given.
bool Settles(const std::function<bool()>& holds);

std::vector<Case> MountCases();
std::vector<Case> NameCases();
std::vector<Case> RightsCases();
std::vector<Case> LimitCases();
std::vector<Case> IsolationCases();
std::vector<Case> LoadCases();

}  // namespace crisp::hostile
