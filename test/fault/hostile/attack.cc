#include "test/fault/hostile/attack.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "digest/hasher.h"
#include "test/fault/hostile/watch.h"
#include "test/unit/eventually.h"

namespace crisp::hostile {

void AddProgram(Target& target, v1::ContainerConfig& config, const std::string& program) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const absl::StatusOr<std::string> bytes = base::ReadFile(self.parent_path() / program, 64 << 20);
  if (!bytes.ok()) throw std::runtime_error(std::string(bytes.status().message()));
  const std::string directory = target.Scratch();
  Write(directory + "/probe", *bytes, 0755);
  v1::Mount* mount = config.add_mounts();
  mount->set_host_path(directory);
  mount->set_container_path("/attack");
  mount->set_readonly(true);
}

v1::ContainerConfig Attack(Target& target, const std::vector<std::string>& words,
                           const ContainerChange& change) {
  v1::ContainerConfig config = target.ContainerConfig(target.ProbeImage(), words);
  config.clear_command();
  config.clear_args();
  AddProgram(target, config, "hostile_attacker");
  config.add_command(kAttacker);
  for (const std::string& word : words) config.add_command(word);
  if (change) change(config);
  return config;
}

std::string Output(Target& target, const std::vector<std::string>& words,
                   const ContainerChange& change) {
  Ended ended;
  const grpc::Status status = target.Run(Attack(target, words, change), &ended);
  Demand(status.ok(), absl::StrCat("a harmless container was refused: ", Words(status)));
  Demand(ended.exit_code == 0,
         absl::StrCat(words[0], " ended with ", ended.exit_code, ": ", ended.output));
  return ended.output;
}

std::string StartAttack(Target& target, test::Pod& pod, const std::vector<std::string>& words,
                        const ContainerChange& change) {
  const std::string container = pod.Create(Attack(target, words, change));
  pod.Start(container);
  pod.AwaitLog(container, "ready");
  return container;
}

std::string EndAttack(test::Pod& pod, const std::string& container) {
  pod.StopContainer(container, 10);
  const std::string output = pod.LogText(container);
  pod.RemoveContainer(container);
  return output;
}

ContainerChange Volume(const std::string& host, const std::string& path) {
  return [host, path](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_host_path(host);
    mount->set_container_path(path);
  };
}

ContainerChange Both(ContainerChange first, ContainerChange second) {
  return [first = std::move(first), second = std::move(second)](v1::ContainerConfig& config) {
    first(config);
    second(config);
  };
}

std::string Line(const std::string& output, const std::string& name) {
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    if (absl::StartsWith(line, name)) return std::string(line.substr(name.size()));
  }
  throw Broken(absl::StrCat("no line \"", name, "\" in: ", output));
}

void Write(const std::string& path, const std::string& text, int mode) {
  const absl::Status written = base::WriteFileAtomic(path, text, static_cast<mode_t>(mode));
  if (!written.ok()) throw std::runtime_error(std::string(written.message()));
}

std::string Read(const std::string& path) {
  const absl::StatusOr<std::string> text = base::ReadFile(path);
  if (!text.ok()) throw std::runtime_error(std::string(text.status().message()));
  return *text;
}

void MakeLink(const std::string& target, const std::string& path) {
  if (symlink(target.c_str(), path.c_str()) != 0) {
    throw std::runtime_error(absl::StrCat("link ", path, ": ", strerror(errno)));
  }
}

Outcome Labelled(const std::string& label, const std::function<Outcome()>& act) {
  try {
    return act();
  } catch (const Broken& error) {
    throw Broken(absl::StrCat(label, ": ", error.what()));
  }
}

// The worst that happened: one input that was taken makes the whole case "harmless".
static Outcome Sum(const std::vector<Outcome>& outcomes) {
  Outcome sum = outcomes.front();
  const auto taken = std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& one) {
    return one.verdict == Outcome::kHarmless;
  });
  if (taken > 0) sum.verdict = Outcome::kHarmless;
  sum.detail = absl::StrCat(outcomes.size() - static_cast<size_t>(taken), " of ", outcomes.size(),
                            " inputs refused; ", sum.detail);
  return sum;
}

static Outcome TrySandbox(Target& target, const SandboxInput& input) {
  test::Endpoint& endpoint = target.endpoint();
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = target.PodConfig(input.change);
  v1::RunPodSandboxResponse ran;
  const grpc::Status status = endpoint.Try(endpoint.runtime(), &Runtime::RunPodSandbox, run, &ran);
  if (!status.ok()) return target.Refused(status);
  v1::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(ran.pod_sandbox_id());
  try {
    Demand(input.harmless != nullptr, "the runtime took it");
    input.harmless(target, ran.pod_sandbox_id());
  } catch (...) {
    endpoint.Call(endpoint.runtime(), &Runtime::RemovePodSandbox, remove);
    throw;
  }
  endpoint.Call(endpoint.runtime(), &Runtime::RemovePodSandbox, remove);
  return {Outcome::kHarmless, "taken"};
}

Outcome TrySandboxes(Target& target, const std::vector<SandboxInput>& inputs) {
  std::vector<Outcome> outcomes;
  for (const SandboxInput& input : inputs) {
    outcomes.push_back(Labelled(input.label, [&] { return TrySandbox(target, input); }));
  }
  return Sum(outcomes);
}

Outcome TryContainers(Target& target, const std::vector<std::string>& words,
                      const std::vector<ContainerInput>& inputs) {
  std::vector<Outcome> outcomes;
  for (const ContainerInput& input : inputs) {
    outcomes.push_back(Labelled(input.label, [&]() -> Outcome {
      Ended ended;
      const grpc::Status status = target.Run(Attack(target, words, input.change), &ended);
      if (!status.ok()) return target.Refused(status);
      Demand(input.harmless != nullptr, "the runtime took it");
      input.harmless(target, ended.output);
      return {Outcome::kHarmless, "taken"};
    }));
  }
  return Sum(outcomes);
}

int RuntimePid(Target& target) {
  const pid_t pid = ListenerOf(target.endpoint().socket());
  if (pid == 0) throw Broken("nobody listens on the runtime's socket");
  return pid;
}

int ParentPid(int pid) {
  const std::string stat = Read(absl::StrCat("/proc/", pid, "/stat"));
  // <pid> (<name>) <state> <parent>; a name can have any bytes.
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(stat.rfind(')') + 2), ' ');
  return std::atoi(fields.at(1).c_str());
}

static std::string MountNamespace(const std::string& pid) {
  char name[64];
  const ssize_t size = readlink(absl::StrCat("/proc/", pid, "/ns/mnt").c_str(), name, sizeof(name));
  return size > 0 ? std::string(name, static_cast<size_t>(size)) : "";
}

int InitPid(const std::string& container) {
  int found = 0;
  const std::vector<std::string> names = base::ListDir("/proc").value();
  for (const std::string& name : names) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid) || (found != 0 && pid > found)) continue;
    const absl::StatusOr<std::string> groups = base::ReadFile("/proc/" + name + "/cgroup");
    if (!groups.ok() || !absl::StrContains(*groups, container)) continue;
    // A monitor of the container may be in a group with its name, but not in its root.
    const std::string mounts = MountNamespace(name);
    if (!mounts.empty() && mounts != MountNamespace("self")) found = pid;
  }
  if (found == 0) throw Skipped("no process of the container found by its cgroup");
  return found;
}

std::string ProgramDigest(int pid) {
  const absl::StatusOr<std::string> bytes =
      base::ReadFile(absl::StrCat("/proc/", pid, "/exe"), 1 << 30);
  if (!bytes.ok()) throw std::runtime_error(std::string(bytes.status().message()));
  return digest::Sha256(*bytes);
}

size_t CountEntries(const std::string& directory) {
  return base::ListDir(directory).value().size();
}

Usage RuntimeUsage(Target& target) {
  const std::string process = absl::StrCat("/proc/", RuntimePid(target));
  Usage usage;
  usage.threads = CountEntries(process + "/task");
  usage.descriptors = CountEntries(process + "/fd");
  const std::string line = Line(Read(process + "/status"), "VmRSS:");
  usage.resident = static_cast<size_t>(std::atoll(line.c_str())) << 10;
  return usage;
}

bool Settles(const std::function<bool()>& holds) {
  return test::Eventually(holds, /*seconds=*/10, absl::Milliseconds(20));
}

}  // namespace crisp::hostile
