// Containers that use up what they share with others: memory, output, processes, trees that are
// hard to remove. The neighbour's execs and the runtime's memory are watched throughout (watch.h).
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

// Calls `act` from `count` threads at once; throws the first Broken.
void AtOnce(int count, const std::function<void(int)>& act) {
  std::vector<std::thread> threads;
  std::vector<std::string> wrong(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        act(i);
      } catch (const std::exception& error) {
        wrong[static_cast<size_t>(i)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& what : wrong) Demand(what.empty(), what);
}

// The kernel ends what takes too much, and nothing that belongs to the runtime.
Outcome OutOfMemory(Target& target, int containers) {
  test::Pod& pod = target.ThePod();
  const std::string bystander = StartAttack(target, pod, {"wait"});
  const auto small = [](v1::ContainerConfig& config) {
    v1::LinuxContainerResources& limits = *config.mutable_linux()->mutable_resources();
    limits.set_memory_limit_in_bytes(16 << 20);
    limits.set_memory_swap_limit_in_bytes(16 << 20);
    limits.set_oom_score_adj(-998);
  };
  for (int i = 0; i < containers; ++i) {
    const std::string container = pod.Create(Attack(target, {"grow"}, small));
    pod.Start(container);
    const v1::ContainerStatus status = pod.WaitExited(container);
    Demand(status.exit_code() == 137 && status.reason() == "OOMKilled",
           absl::StrCat("container ", i, " ended with ", status.exit_code(), " ", status.reason()));
    pod.RemoveContainer(container);
  }
  // The same by an exec: its container goes on or is reported as killed, but is never lost.
  const std::string host = StartAttack(target, pod, {"wait"}, small);
  v1::ExecSyncRequest request;
  request.set_container_id(host);
  for (const char* word : {kAttacker, "grow"}) request.add_cmd(word);
  request.set_timeout(20);
  v1::ExecSyncResponse response;
  test::Endpoint& endpoint = target.endpoint();
  (void)endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response);
  const v1::ContainerStatus status = pod.ContainerStatus(host);
  Demand(status.state() == v1::CONTAINER_RUNNING || status.reason() == "OOMKilled",
         absl::StrCat("after an exec was killed the container is ", status.reason()));
  Demand(pod.Exec(bystander, {kAttacker, "echo", "still"}).out == "still\n",
         "another container of the pod was harmed");
  return Harmless(absl::StrCat(containers, " containers killed"));
}

// More than any answer can hold, from many at once.
Outcome EndlessExecOutput(Target& target) {
  constexpr int kExecs = 50;
  constexpr size_t kMostAnswered = 16 * kMebibyte;
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  std::atomic<int> answered = 0;
  AtOnce(kExecs, [&](int) {
    v1::ExecSyncRequest request;
    request.set_container_id(container);
    for (const char* word : {kAttacker, "out", "0"}) request.add_cmd(word);
    request.set_timeout(3);
    v1::ExecSyncResponse response;
    test::Endpoint& endpoint = target.endpoint();
    const grpc::Status status =
        endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response, 60);
    Demand(response.stdout().size() <= kMostAnswered, "an answer of more than 16 MiB");
    if (status.ok()) ++answered;
  });
  EndAttack(pod, container);
  return Harmless(
      absl::StrCat(kExecs, " execs with endless output, ", answered.load(), " answered"));
}

Outcome EndlessLog(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = pod.Create(Attack(target, {"out", "0"}));
  pod.Start(container);
  const std::string log = pod.ContainerStatus(container).log_path();
  // Lines without an end, until there are 64 MiB of them; the log is kubelet's to rotate.
  const bool grew = Settles([&] {
    const auto size = std::filesystem::file_size(log);
    return size > 64 * kMebibyte;
  });
  pod.StopContainer(container, 0);
  pod.RemoveContainer(container);
  Demand(grew, "the container did not write, so nothing was tried");
  return Harmless("64 MiB of one line");
}

// Execs that fail to start, with a terminal, and clients that leave at once.
Outcome FailedExecs(Target& target, int execs) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  const int parent = ParentPid(InitPid(container));
  const auto parents = [parent] { return CountEntries(absl::StrCat("/proc/", parent, "/fd")); };
  test::Endpoint& endpoint = target.endpoint();
  const auto round = [&](int i) {
    v1::ExecSyncRequest request;
    request.set_container_id(container);
    request.add_cmd("/no/such/program");
    request.set_timeout(5);
    v1::ExecSyncResponse response;
    const grpc::Status status =
        endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response);
    Demand(!status.ok() || response.exit_code() != 0, "a program that does not exist ran");
    if (i % 4 != 0 || i >= 400) return;  // they count for a minute, and others need some too
    v1::ExecRequest url;                 // never used
    url.set_container_id(container);
    url.add_cmd("/no/such/program");
    url.set_tty(true);
    url.set_stdout(true);
    v1::ExecResponse ignored;
    (void)endpoint.Try(endpoint.runtime(), &Runtime::Exec, url, &ignored);
  };
  for (int i = 0; i < 20; ++i) round(i);
  const Usage before = RuntimeUsage(target);
  const size_t descriptors = parents();
  for (int i = 0; i < execs; ++i) round(i);
  Usage after;
  Demand(Settles([&] {
           after = RuntimeUsage(target);
           return after.threads <= before.threads + 8 &&
                  after.descriptors <= before.descriptors + 8 &&
                  after.resident <= before.resident + 32 * kMebibyte &&
                  parents() <= descriptors + 4;
         }),
         absl::StrCat("after ", execs, " execs that failed: ", after.threads, " threads, were ",
                      before.threads, "; ", after.descriptors, " descriptors, were ",
                      before.descriptors, "; the container's parent has ", parents(), ", had ",
                      descriptors));
  EndAttack(pod, container);
  return Harmless(absl::StrCat(execs, " execs that failed left nothing"));
}

// A container that stops whatever joins it: others must not wait for that.
Outcome StoppedExecs(Target& target) {
  constexpr int kExecs = 40;
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"stop-others"});
  AtOnce(kExecs, [&](int) {
    v1::ExecSyncRequest request;
    request.set_container_id(container);
    for (const char* word : {kAttacker, "wait"}) request.add_cmd(word);
    request.set_timeout(3);
    v1::ExecSyncResponse response;
    test::Endpoint& endpoint = target.endpoint();
    const grpc::Status status =
        endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response, 60);
    Demand(!status.ok() || response.exit_code() != 0, "an exec without end returned 0");
  });
  EndAttack(pod, container);
  return Harmless(absl::StrCat(kExecs, " execs stopped by their container"));
}

Outcome HardToRemove(Target& target, const std::vector<std::string>& words, double seconds) {
  test::Pod& pod = target.ThePod();
  // The kernel's memory for so many directories counts as the container's.
  const auto unlimited = [](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_resources()->clear_memory_limit_in_bytes();
  };
  const std::string container = pod.Create(Attack(target, words, unlimited));
  pod.Start(container);
  pod.WaitExited(container);
  const std::string log = pod.LogText(container);
  Demand(absl::StrContains(log, "ready"), "the tree could not be made: " + log);
  const int64_t begin = base::MonotonicNanos();
  pod.RemoveContainer(container);
  const double took = static_cast<double>(base::MonotonicNanos() - begin) / 1e9;
  Demand(took < seconds, absl::StrCat("RemoveContainer took ", took, " s"));
  return Harmless(absl::StrCat("removed in ", took, " s"));
}

// Processes that leave their session and ignore every signal they can end with their container.
Outcome LeftProcesses(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"leave", "50"});
  const int init = InitPid(container);
  std::set<int> processes;
  const std::vector<std::string> names = base::ListDir("/proc").value();
  for (const std::string& name : names) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    const absl::StatusOr<std::string> groups = base::ReadFile("/proc/" + name + "/cgroup");
    if (groups.ok() && absl::StrContains(*groups, container)) processes.insert(pid);
  }
  Demand(processes.size() > 50, "the processes are not there, so nothing was tried");
  pod.StopContainer(container, 0);
  for (const int pid : processes) {
    Demand(Settles([pid] { return access(absl::StrCat("/proc/", pid).c_str(), F_OK) != 0; }),
           absl::StrCat("process ", pid, " of container with init ", init, " is left"));
  }
  pod.RemoveContainer(container);
  return Harmless("50 processes that leave their session");
}

}  // namespace

std::vector<Case> LoadCases() {
  constexpr auto kHarmless = Allowed::kHarmless;
  const auto memory = [](int containers) {
    return [containers](Target& target) { return OutOfMemory(target, containers); };
  };
  const auto failed = [](int execs) {
    return [execs](Target& target) { return FailedExecs(target, execs); };
  };
  const auto remove = [](const std::vector<std::string>& words, double seconds) {
    return [=](Target& target) { return HardToRemove(target, words, seconds); };
  };
  return {
      {"load: out of memory ends only the container, 10 times (CVE-2019-14891)", kHarmless,
       memory(10), "shim/process.cc, src/cgroup/join.cc"},
      {"load: out of memory ends only the container, 100 times (CVE-2019-14891)", kHarmless,
       memory(100), "shim/process.cc, src/cgroup/join.cc", true},
      {"load: 50 execs with endless output (CVE-2022-1708, CVE-2022-31030)", kHarmless,
       EndlessExecOutput, "src/runtime/output_budget.cc"},
      {"load: a log of one endless line", kHarmless, EndlessLog, "shim/container_log.cc"},
      {"load: 200 execs that do not start (CVE-2022-23471, CVE-2025-64329)", kHarmless, failed(200),
       "shim/exec_session.cc"},
      {"load: 10,000 execs that do not start (CVE-2022-23471, CVE-2025-64329)", kHarmless,
       failed(10'000), "shim/exec_session.cc", true},
      {"load: a container that stops its own execs", kHarmless, StoppedExecs,
       "src/runtime/pending_starts.cc"},
      {"load: a tree of 20,000 directories below each other is removed (RHBZ#1982526)", kHarmless,
       remove({"deep", "/", "20000"}, 60), "src/base/file.cc RemoveTree"},
      {"load: a tree of 200,000 directories below each other is removed (RHBZ#1982526)", kHarmless,
       remove({"deep", "/", "200000"}, 300), "src/base/file.cc RemoveTree", true},
      {"load: 20,000 files are removed", kHarmless, remove({"many", "/", "20000"}, 30),
       "src/snapshot/snapshot_store.cc"},
      {"load: processes that leave their session end with the container", kHarmless, LeftProcesses,
       "src/cgroup/layout.cc kill"},
  };
}

}  // namespace crisp::hostile
