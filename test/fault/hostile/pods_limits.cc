// Limits that are absurd, arguments that are too long, calls at the wrong time and on the objects
// of other pods.
#include <unistd.h>

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

using Resources = v1::LinuxContainerResources;

ContainerChange Limit(std::function<void(Resources&)> change) {
  return [change = std::move(change)](v1::ContainerConfig& config) {
    change(*config.mutable_linux()->mutable_resources());
  };
}

Outcome AbsurdLimits(Target& target) {
  const auto harmless = [](Target&, const std::string&) {};
  struct Number {
    const char* name;
    void (Resources::*set)(int64_t);
    std::vector<int64_t> values;
  };
  const std::vector<Number> numbers = {
      {"cpu_period", &Resources::set_cpu_period, {-1, 1, INT64_MAX, INT64_MIN}},
      {"cpu_quota", &Resources::set_cpu_quota, {-2, 1, INT64_MAX, INT64_MIN}},
      {"cpu_shares", &Resources::set_cpu_shares, {-1, 1, INT64_MAX, INT64_MIN}},
      {"memory_limit", &Resources::set_memory_limit_in_bytes, {-2, 1, INT64_MAX, INT64_MIN}},
      {"oom_score_adj", &Resources::set_oom_score_adj, {-1001, 1001, INT64_MAX, INT64_MIN}},
      {"swap", &Resources::set_memory_swap_limit_in_bytes, {-2, 1, INT64_MIN}}};
  std::vector<ContainerInput> inputs;
  for (const Number& number : numbers) {
    for (const int64_t value : number.values) {
      inputs.push_back({absl::StrCat(number.name, " ", value),
                        Limit([number, value](Resources& limits) { (limits.*number.set)(value); }),
                        harmless});
    }
  }
  for (const std::string& cpus :
       {std::string("0-99999999999999999999"), std::string("0\n1"), std::string("../x"),
        std::string("-1"), std::string("0,,,"), std::string(64 << 10, '0')}) {
    inputs.push_back({"cpuset " + cpus.substr(0, 30),
                      Limit([cpus](Resources& limits) { limits.set_cpuset_cpus(cpus); }),
                      harmless});
  }
  for (const char* size : {"../../x", "2MB/../x", "2MB\n", "", "1ZB"}) {
    inputs.push_back({absl::StrCat("huge page ", size), Limit([size](Resources& limits) {
                        v1::HugepageLimit& limit = *limits.add_hugepage_limits();
                        limit.set_page_size(size);
                        limit.set_limit(1);
                      }),
                      harmless});
  }
  return TryContainers(target, {"echo", "ran"}, inputs);
}

// `unified` names files of the container's own cgroup and nothing else.
Outcome UnifiedKeys(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const std::string& key :
       {std::string("../memory.max"), std::string("../../cgroup.procs"),
        std::string("cgroup.procs"), std::string("cgroup.kill"), std::string("cgroup.freeze"),
        std::string("cgroup.subtree_control"), std::string("/etc/passwd"), target.Canary() + "/x.y",
        std::string("memory.max\npids.max"), std::string("a") + '\0' + ".b", std::string("."),
        std::string("..")}) {
    inputs.push_back({key,
                      Limit([key](Resources& limits) { (*limits.mutable_unified())[key] = "1"; }),
                      // Where there is no cgroup v2, a runtime may leave them all out.
                      [](Target&, const std::string& output) {
                        Demand(absl::StrContains(output, "ran"), "the container was killed");
                      }});
  }
  return TryContainers(target, {"echo", "ran"}, inputs);
}

grpc::Status Update(Target& target, const std::string& container, int64_t memory) {
  v1::UpdateContainerResourcesRequest request;
  request.set_container_id(container);
  request.mutable_linux()->set_memory_limit_in_bytes(memory);
  v1::UpdateContainerResourcesResponse response;
  test::Endpoint& endpoint = target.endpoint();
  return endpoint.Try(endpoint.runtime(), &Runtime::UpdateContainerResources, request, &response);
}

Outcome UpdateAtWrongTime(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = pod.Create(Attack(target, {"echo", "ran"}));
  const auto state = [&] { return pod.ContainerStatus(container).state(); };
  std::vector<grpc::Status> answers = {Update(target, container, 64 << 20)};
  Demand(state() == v1::CONTAINER_CREATED, "an update changed the state of a created container");
  pod.Start(container);
  pod.WaitExited(container);
  answers.push_back(Update(target, container, 64 << 20));
  Demand(state() == v1::CONTAINER_EXITED, "an update changed the state of an exited container");
  pod.RemoveContainer(container);
  for (const std::string& id :
       {container, std::string(""), std::string("../../x"), std::string(64 << 10, 'x'), pod.id()}) {
    answers.push_back(Update(target, id, 64 << 20));
    Demand(!answers.back().ok(), absl::StrCat("an update of \"", id.substr(0, 40), "\" worked"));
  }
  const std::string running = StartAttack(target, pod, {"wait"});
  for (const int64_t memory : {int64_t{-5}, int64_t{1}, INT64_MIN}) {
    answers.push_back(Update(target, running, memory));
    Demand(!answers.back().ok(), absl::StrCat("a memory limit of ", memory, " was set"));
  }
  Demand(absl::StrContains(EndAttack(pod, running), "ready"), "the container did not survive");
  for (const grpc::Status& answer : answers) {
    if (!answer.ok()) target.Refused(answer);
  }
  return {Outcome::kRefused, Words(answers.back())};
}

grpc::Status TryExec(Target& target, const std::string& container,
                     const std::vector<std::string>& words, v1::ExecSyncResponse* response) {
  v1::ExecSyncRequest request;
  request.set_container_id(container);
  for (const std::string& word : words) request.add_cmd(word);
  request.set_timeout(10);
  test::Endpoint& endpoint = target.endpoint();
  return endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, response);
}

Outcome ExecArguments(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  const std::string echo = kAttacker;
  const std::vector<std::pair<std::string, std::vector<std::string>>> commands = {
      {"none", {}},
      {"empty", {""}},
      {"NUL in a word", {echo, "echo", std::string("a") + '\0' + "b"}},
      {"a word of 1 MiB", {echo, "echo", std::string(kMebibyte, 'x')}},
      {"100,000 words", std::vector<std::string>(100'000, echo)},
      {"12 MiB", std::vector<std::string>(120, std::string(100 << 10, 'x'))},
      {"a directory", {"/"}},
      {"a path with ..", {"/../../../../../../.." + target.Canary() + "/secret"}},
      {"a file of another process", {"/proc/1/fd/3"}},
      {"an option of the runtime", {"--privileged"}},
      {"a long path", {"/" + std::string(5000, 'x')}}};
  int refused = 0;
  for (const auto& [label, words] : commands) {
    Labelled(label, [&, words = words] {
      v1::ExecSyncResponse response;
      const grpc::Status status = TryExec(target, container, words, &response);
      Demand(!absl::StrContains(response.stdout(), target.Secret()), "it reads the canary");
      if (status.ok()) {
        Demand(response.exit_code() != 0 || words.size() == 3, "the command worked");
        return Harmless("ran");
      }
      ++refused;
      return target.Refused(status);
    });
  }
  v1::ExecSyncResponse response;
  const grpc::Status status = TryExec(target, container, {echo, "echo", "still"}, &response);
  Demand(status.ok() && response.stdout() == "still\n", "an ordinary exec does not work any more");
  EndAttack(pod, container);
  return {Outcome::kRefused, absl::StrCat(refused, " of ", commands.size(), " refused")};
}

// The same for a container's own command.
Outcome CommandArguments(Target& target) {
  std::vector<ContainerInput> inputs;
  const std::vector<std::pair<std::string, std::vector<std::string>>> commands = {
      {"10 MiB of arguments", std::vector<std::string>(100, std::string(100 << 10, 'x'))},
      {"a word of 1 MiB", {std::string(kMebibyte, 'x')}},
      {"NUL", {std::string("echo") + '\0' + "x"}}};
  for (const auto& [label, words] : commands) {
    inputs.push_back({label, [words = words](v1::ContainerConfig& config) {
                        for (const std::string& word : words) config.add_args(word);
                      }});
  }
  return TryContainers(target, {"echo"}, inputs);
}

// The processes of another pod's container are nobody's business.
Outcome TargetOfAnotherPod(Target& target) {
  test::Pod& other = target.NewPod();
  const std::string victim = StartAttack(target, other, {"wait"});
  std::vector<ContainerInput> inputs;
  const std::vector<std::string> ids = {
      victim, other.id(), "", "no-such-container", "../" + victim, victim.substr(0, 12)};
  for (const std::string& id : ids) {
    inputs.push_back(
        {id, [id](v1::ContainerConfig& config) {
           v1::NamespaceOption& options =
               *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
           options.set_pid(v1::TARGET);
           options.set_target_id(id);
         }});
  }
  const Outcome outcome = TryContainers(target, {"list", "/proc"}, inputs);
  EndAttack(other, victim);
  return outcome;
}

// An archive of a container is written by one node and read by another: nothing of it is trusted.
Outcome Checkpoint(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  const std::string archive = target.Canary() + "/checkpoint";
  v1::CheckpointContainerRequest request;
  request.set_container_id(container);
  request.set_location(archive);
  request.set_timeout(10);
  v1::CheckpointContainerResponse response;
  test::Endpoint& endpoint = target.endpoint();
  const grpc::Status status =
      endpoint.Try(endpoint.runtime(), &Runtime::CheckpointContainer, request, &response);
  unlink(archive.c_str());  // root's own order, if the runtime has checkpoints
  EndAttack(pod, container);
  if (status.ok()) throw Skipped("the runtime has checkpoints; what it reads again is not tried");
  return {Outcome::kRefused, Words(status)};
}

}  // namespace

std::vector<Case> LimitCases() {
  constexpr auto kEither = Allowed::kEither;
  constexpr auto kRefused = Allowed::kRefused;
  return {
      {"limit: numbers and lists that no kernel takes", kEither, AbsurdLimits,
       "src/spec/resources.cc Check"},
      {"limit: unified keys that leave the container's cgroup", kEither, UnifiedKeys,
       "src/spec/resources.cc CheckUnified"},
      {"limit: an update at the wrong time or of another object", kRefused, UpdateAtWrongTime,
       "src/runtime/containers.cc Update"},
      {"exec: arguments that are empty, too long or not paths", kRefused, ExecArguments,
       "src/cri/container_exec_sync.cc"},
      {"container: arguments that no program can get", kRefused, CommandArguments,
       "src/spec/container_process.cc ContainerArguments"},
      {"container: the processes of another pod's container are not shared", kRefused,
       TargetOfAnotherPod, "src/runtime/container_start.cc"},
      {"container: no checkpoint is taken that would be trusted later (CVE-2024-8676, "
       "CVE-2026-50195, CVE-2026-53489, CVE-2026-53492)",
       kRefused, Checkpoint, "src/rpc/grpc_service.cc CheckpointContainer"},
  };
}

}  // namespace crisp::hostile
