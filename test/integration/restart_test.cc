// crispd killed at any time: containers, logs and exits stay, and the next start finds them all.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/clock.h"
#include "base/file.h"
#include "cni/netns.h"
#include "integration/pod.h"
#include "ipc/channel.h"
#include "linux/process_ref.h"
#include "linux/spawn.h"

using namespace crisp;
using namespace crisp::test;

namespace {

uint64_t StartTicks(int pid) {
  return linux::ProcessRef::Of(pid).value_or(linux::ProcessRef()).start_ticks;
}

struct Acknowledged {
  int pid = 0;
  uint64_t start_ticks = 0;
  int exit_code = -1;  // -1: it runs until it is stopped
};

// Repeats a stop until it is acknowledged, like kubelet. Without a container it stops the pod.
void StopUntilAcknowledged(v1::RuntimeService::Stub& runtime, const std::string& pod,
                           const std::string& container) {
  // In a VM without KVM a pod takes seconds.
  const int64_t give_up = base::MonotonicNanos() + int64_t{300} * 1'000'000'000;
  bool stopped = false;
  while (!stopped && base::MonotonicNanos() < give_up) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    if (container.empty()) {
      v1::StopPodSandboxRequest request;
      v1::StopPodSandboxResponse response;
      request.set_pod_sandbox_id(pod);
      stopped = runtime.StopPodSandbox(&context, request, &response).ok();
    } else {
      v1::StopContainerRequest request;
      v1::StopContainerResponse response;
      request.set_container_id(container);
      stopped = runtime.StopContainer(&context, request, &response).ok();
    }
  }
}

}  // namespace

TEST_CASE(
    "kill -9 and SIGTERM leave containers running; exits meanwhile are reported; logs have no "
    "gap") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string ip = pod.Ip();
  const std::string steady = pod.Run({"sleep", "1000"});
  const int pid = pod.HostPid(steady);
  const uint64_t ticks = StartTicks(pid);
  const std::string gate = daemon.dir() + "/gate";
  REQUIRE(base::MakeDirs(gate, 0777).ok());
  const auto gated = [&](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_host_path(gate);
    mount->set_container_path("/gate");
  };
  const std::string counting =
      pod.Run({"sh", "-c",
               "i=0; while [ ! -e /gate/open ]; do echo $i; i=$((i+1)); sleep 0.01; done; exit 33"},
              gated);
  const int gated_pid = pod.HostPid(counting);
  const auto wait_for = [](const std::function<bool()>& done) {
    const int64_t give_up = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
    while (!done() && base::MonotonicNanos() < give_up) usleep(5000);
    REQUIRE(done());
  };
  wait_for([&] { return !pod.LogText(counting).empty(); });
  daemon.Kill9();
  // The gated container ends while crispd is down.
  REQUIRE(base::WriteFileAtomic(gate + "/open", "", 0644).ok());
  wait_for([&] { return StartTicks(gated_pid) == 0; });
  daemon.Start();
  const v1::ContainerStatus status = pod.WaitExited(counting);
  CHECK(status.exit_code() == 33);
  CHECK(status.finished_at() >= status.started_at());
  int expected = 0;
  for (const char c : pod.LogText(counting)) expected += c == '\n';
  const std::string text = "\n" + pod.LogText(counting);
  CHECK(text.find(absl::StrCat("\n", expected - 1, "\n")) != std::string::npos);
  CHECK(pod.HostPid(steady) == pid);
  CHECK(StartTicks(pid) == ticks);
  CHECK(pod.ContainerStatus(steady).state() == v1::CONTAINER_RUNNING);
  CHECK(pod.Ip() == ip);
  CHECK(pod.Exec(steady, {"echo", "still"}).out == "still\n");
  daemon.Terminate();
  CHECK(StartTicks(pid) == ticks);
  daemon.Start();
  CHECK(pod.Exec(steady, {"echo", "again"}).out == "again\n");
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
}

TEST_CASE("kill -9 of a shim ends its container, reported as ShimDied, also while crispd is down") {
  Daemon daemon;
  Pod pod(daemon);
  for (const bool down : {false, true}) {
    const std::string container = pod.Run({"sleep", "1000"});
    const int pid = pod.HostPid(container);
    const int shim = ShimOf(pid);
    REQUIRE(shim > 1);
    if (down) daemon.Kill9();
    REQUIRE(kill(shim, SIGKILL) == 0);
    if (down) daemon.Start();
    const v1::ContainerStatus status = pod.WaitExited(container);
    CHECK(status.reason() == "ShimDied");
    CHECK(status.exit_code() != 0);
    for (int i = 0; i < 500 && StartTicks(pid) != 0; ++i) usleep(5000);
    CHECK(StartTicks(pid) == 0);
  }
}

TEST_CASE(
    "a damaged record is quarantined, and the resources of its sandbox or container are freed") {
  Daemon daemon;
  Pod healthy(daemon);
  std::string netns, sandbox, container;
  int pause = 0, pid = 0;
  {
    Pod pod(daemon);
    sandbox = pod.id();
    container = pod.Run({"sleep", "1000"});
    pause = pod.HostPid(sandbox);
    pid = pod.HostPid(container);
    netns = cni::NetnsPath(sandbox);
    REQUIRE(access(netns.c_str(), F_OK) == 0);
    daemon.Kill9();
    for (const std::string& record :
         {"/sandboxes/" + sandbox + "/record.json", "/containers/" + container + "/record.json"}) {
      REQUIRE(access((daemon.root() + record).c_str(), F_OK) == 0);
      REQUIRE(base::WriteFileAtomic(daemon.root() + record, "{\"id\": \"", 0600).ok());
    }
    daemon.Start();
    const v1::ListContainersResponse listed = daemon.Call(
        daemon.runtime(), &v1::RuntimeService::Stub::ListContainers, v1::ListContainersRequest());
    CHECK(listed.containers_size() == 0);
  }
  const auto held = [&] {
    return StartTicks(pause) != 0 || StartTicks(pid) != 0 || access(netns.c_str(), F_OK) == 0 ||
           access((daemon.root() + "/sandboxes/" + sandbox).c_str(), F_OK) == 0 ||
           access((daemon.state() + "/containers/" + sandbox).c_str(), F_OK) == 0;
  };
  const int64_t give_up = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
  while (held() && base::MonotonicNanos() < give_up) usleep(5000);
  CHECK_FALSE(held());
  CHECK(base::ListDir(daemon.root() + "/quarantine").value().size() == 2);
  CHECK(daemon.Log().find("damaged sandbox record") != std::string::npos);
  CHECK(healthy.Status().state() == v1::SANDBOX_READY);
}

TEST_CASE("the containers of a sandbox whose record is damaged are stopped and can be removed") {
  Daemon daemon;
  int pid = 0;
  std::string container;
  {
    Pod pod(daemon, [](v1::PodSandboxConfig& config) {
      config.mutable_linux()->set_cgroup_parent(absl::StrCat("/crisp-test-", getpid(), "/pod"));
    });
    container = pod.Run({"sleep", "1000"});
    pid = pod.HostPid(container);
    daemon.Kill9();
    REQUIRE(
        base::WriteFileAtomic(daemon.root() + "/sandboxes/" + pod.id() + "/record.json", "", 0600)
            .ok());
    daemon.Start();
    CHECK(pod.WaitExited(container).exit_code() == 137);
  }
  CHECK(StartTicks(pid) == 0);
  v1::RemoveContainerRequest remove;
  remove.set_container_id(container);
  daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::RemoveContainer, remove);
}

TEST_CASE("a container record with the id of a sandbox is quarantined and its sandbox left alone") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  Pod dead(daemon);
  const std::string records = daemon.root() + "/containers/";
  const std::string text = base::ReadFile(records + container + "/record.json").value();
  const int pause = dead.HostPid(dead.id());
  daemon.Kill9();
  for (const std::string& id : {pod.id(), dead.id()}) {
    REQUIRE(base::MakeDirs(records + id, 0700).ok());
    REQUIRE(base::WriteFileAtomic(records + id + "/record.json",
                                  absl::StrReplaceAll(text, {{container, id}}), 0600)
                .ok());
  }
  REQUIRE(kill(pause, SIGKILL) == 0);
  daemon.Start();
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  CHECK(dead.Status().state() == v1::SANDBOX_NOTREADY);
  CHECK(base::ListDir(daemon.root() + "/quarantine").value().size() == 2);
}

TEST_CASE("processes without a record are killed at start") {
  Daemon daemon;
  std::vector<int> pids;
  std::string netns;
  {
    Pod pod(daemon);
    pids = {pod.HostPid(pod.Run({"sleep", "1000"})), pod.HostPid(pod.id())};
    netns = cni::NetnsPath(pod.id());
    daemon.Kill9();
    for (const char* directory : {"/sandboxes", "/containers"}) {
      REQUIRE(base::RemoveTree(daemon.root() + directory).ok());
    }
    daemon.Start();
  }
  const auto left = [&] {
    return StartTicks(pids[0]) != 0 || StartTicks(pids[1]) != 0 || access(netns.c_str(), F_OK) == 0;
  };
  const int64_t give_up = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
  while (left() && base::MonotonicNanos() < give_up) usleep(5000);
  CHECK_FALSE(left());
}

TEST_CASE("after a restart of the host containers are EXITED and sandboxes NOTREADY") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string ran = pod.Run({"sleep", "1000"});
  const std::string created = pod.Create(pod.ContainerConfig({"true"}));
  const std::vector<int> pids = {ShimOf(pod.HostPid(ran)), pod.HostPid(ran), pod.HostPid(pod.id())};
  daemon.Kill9();
  for (const int pid : pids) REQUIRE(kill(pid, SIGKILL) == 0);
  REQUIRE(base::RemoveTree(daemon.state() + "/containers").ok());  // as if /run were empty
  daemon.Start();
  for (const std::string& container : {ran, created}) {
    const v1::ContainerStatus status = pod.ContainerStatus(container);
    CHECK(status.state() == v1::CONTAINER_EXITED);
    CHECK(status.exit_code() == 255);
    CHECK(status.reason() == "Unknown");
    CHECK(status.finished_at() > 0);
  }
  CHECK(pod.Status().state() == v1::SANDBOX_NOTREADY);
}

TEST_CASE("a container whose init.json is damaged is killed, and its status says why") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  const int pid = pod.HostPid(container);
  const std::string bundle = daemon.state() + "/containers/" + container;
  for (const char* file : {"/config.json", "/exec.json"})
    REQUIRE(base::WriteFileAtomic(bundle + file, "<", 0600).ok());
  v1::ExecSyncRequest exec;
  exec.set_container_id(container);
  exec.add_cmd("true");
  v1::ExecSyncResponse response;
  CHECK(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::ExecSync, exec, &response)
            .error_code() == grpc::StatusCode::INTERNAL);
  const std::string created = pod.Create(pod.ContainerConfig({"true"}));
  REQUIRE(
      base::WriteFileAtomic(daemon.state() + "/containers/" + created + "/config.json", "<", 0600)
          .ok());
  CHECK(pod.TryStart(created).error_code() == grpc::StatusCode::INTERNAL);
  daemon.Kill9();
  REQUIRE(base::WriteFileAtomic(bundle + "/init.json", "<", 0600).ok());
  daemon.Start();
  const v1::ContainerStatus status = pod.ContainerStatus(container);
  CHECK(status.state() == v1::CONTAINER_EXITED);
  CHECK(status.message().find("init.json") != std::string::npos);
  CHECK(daemon.Log().find("a container is lost") != std::string::npos);
  v1::ContainerStatusRequest verbose;
  verbose.set_container_id(container);
  verbose.set_verbose(true);
  const std::string info =
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ContainerStatus, verbose)
          .info()
          .at("info");
  CHECK(info.find("\"runtimeSpec\":null") != std::string::npos);
  for (int i = 0; i < 2000 && StartTicks(pid) != 0; ++i) usleep(5000);
  CHECK(StartTicks(pid) == 0);
}

TEST_CASE("a stop that crispd's death interrupted is finished by the next crispd") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  daemon.Kill9();
  const std::string path = daemon.root() + "/sandboxes/" + pod.id() + "/record.json";
  const std::string record = absl::StrReplaceAll(base::ReadFile(path).value(),
                                                 {{"\"stopped\":false", "\"stopped\":true"}});
  REQUIRE(record.find("\"stopped\":true") != std::string::npos);
  REQUIRE(base::WriteFileAtomic(path, record, 0600).ok());
  daemon.Start();
  CHECK(pod.WaitExited(container).exit_code() == 137);
}

TEST_CASE("a second crispd with the same directories exits before it changes them") {
  Daemon daemon;
  const absl::StatusOr<linux::RunResult> second = linux::Run(
      {.path = std::string(getenv("CRISP_TEST_BIN_DIR")) + "/crispd",
       .args = {"crispd", "--config=/dev/null", "--address=" + daemon.dir() + "/other.sock",
                "--root=" + daemon.root(), "--state=" + daemon.dir() + "/other"},
       .env = {}},
      "", {});
  REQUIRE(second.ok());
  CHECK(second->exit_code != 0);
  CHECK((second->out + second->err).find("another crispd uses " + daemon.root()) !=
        std::string::npos);
}

TEST_CASE("a shim that hangs prevents neither the start of crispd nor the end of its container") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  const int pid = pod.HostPid(container);
  const int shim = ShimOf(pid);
  daemon.Kill9();
  REQUIRE(kill(shim, SIGSTOP) == 0);
  daemon.Start();
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  pod.StopContainer(container, 0);
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_EXITED);
  // PID 1 reaps both at some time: crispd is not the parent of processes that another crispd
  // started.
  for (int i = 0; i < 2000 && StartTicks(pid) + StartTicks(shim) != 0; ++i) usleep(5000);
  CHECK(StartTicks(pid) == 0);
  CHECK(StartTicks(shim) == 0);
}

TEST_CASE("a shim that accepts no connections when crispd starts is watched as soon as it does") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  const int pid = pod.HostPid(container);
  const int shim = ShimOf(pid);
  daemon.Kill9();
  REQUIRE(kill(shim, SIGSTOP) == 0);
  rlimit files;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit all = {files.rlim_max, files.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &all) == 0);
  const std::string socket = daemon.state() + "/containers/" + container + "/shim.sock";
  {
    std::vector<ipc::Channel> waiting;
    absl::Status refused;
    while (refused.ok()) {
      auto channel = ipc::Connect(socket);
      refused = channel.status();
      if (channel.ok()) waiting.push_back(*std::move(channel));
    }
    CHECK(absl::IsResourceExhausted(refused));
    daemon.Start();
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  }
  REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
  REQUIRE(kill(shim, SIGCONT) == 0);
  // The shim first has to accept the connections that are waiting, all of them closed by now.
  for (int i = 0; i < 2000 && !ipc::Connect(socket).ok(); ++i) usleep(5000);
  CHECK(pod.Exec(container, {"echo", "alive"}).out == "alive\n");
  // Only a crispd that watches the shim notices this.
  REQUIRE(kill(pid, SIGKILL) == 0);
  CHECK(pod.WaitExited(container).exit_code() == 137);
  CHECK(pod.ContainerStatus(container).reason() == "Error");
}

TEST_CASE("40 pods, crispd killed 20 times at random while pods start and stop") {
  Daemon daemon;
  daemon.Pull(kBusybox);
  std::mutex mutex;  // guards the variables below
  std::map<std::string, Acknowledged> containers;
  std::vector<std::string> pods;
  std::atomic<bool> done{false};
  std::atomic<int> made{0};

  const auto worker = [&](int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto channel = daemon.NewChannel();
    while (!done && made < 40) {
      auto runtime = v1::RuntimeService::NewStub(channel);
      grpc::ClientContext run_context, create_context, start_context;
      for (grpc::ClientContext* context : {&run_context, &create_context, &start_context}) {
        context->set_wait_for_ready(true);  // while crispd is down
      }
      v1::RunPodSandboxRequest run;
      *run.mutable_config() =
          PodConfig(daemon, [](v1::PodSandboxConfig& config) { config.clear_log_directory(); });
      v1::RunPodSandboxResponse ran;
      if (!runtime->RunPodSandbox(&run_context, run, &ran).ok()) continue;
      const int code = static_cast<int>(random() % 3 == 0 ? random() % 100 : 0);
      v1::CreateContainerRequest create;
      create.set_pod_sandbox_id(ran.pod_sandbox_id());
      create.mutable_config()->mutable_metadata()->set_name("c");
      create.mutable_config()->mutable_image()->set_image(kBusybox);
      const std::string script = code > 0 ? absl::StrCat("sleep 0.", random() % 9, "; exit ", code)
                                          : std::string("sleep 10000");
      for (const std::string& word : {std::string("sh"), std::string("-c"), script}) {
        create.mutable_config()->add_command(word);
      }
      v1::CreateContainerResponse created;
      if (!runtime->CreateContainer(&create_context, create, &created).ok()) continue;
      v1::StartContainerRequest start;
      start.set_container_id(created.container_id());
      v1::StartContainerResponse started;
      if (!runtime->StartContainer(&start_context, start, &started).ok()) continue;
      // The start was acknowledged, so the container must not be lost from now on.
      const std::string init =
          base::ReadFile(daemon.state() + "/containers/" + created.container_id() + "/init.json")
              .value();
      Acknowledged facts;
      sscanf(init.c_str() + init.find("\"pid\"") + 6, "%d", &facts.pid);
      facts.start_ticks = strtoull(init.c_str() + init.find("\"start_ticks\"") + 14, nullptr, 10);
      facts.exit_code = code > 0 ? code : -1;
      if (code == 0 && random() % 3 == 0) {
        StopUntilAcknowledged(*runtime, ran.pod_sandbox_id(),
                              random() % 2 == 0 ? created.container_id() : "");
        facts.exit_code = 137;
      }
      std::lock_guard<std::mutex> lock(mutex);
      containers[created.container_id()] = facts;
      pods.push_back(ran.pod_sandbox_id());
      ++made;
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(worker, i + 1);
  std::mt19937 random(7);
  int kills = 0;
  for (; kills < 20; ++kills) {
    usleep(static_cast<useconds_t>(30'000 +
                                   random() % 300'000));  // crispd is killed at a random moment
    daemon.Kill9();
    daemon.Start();
  }
  // In a VM without KVM a pod takes seconds.
  const int64_t give_up = base::MonotonicNanos() + int64_t{300} * 1'000'000'000;
  while (made < 40 && base::MonotonicNanos() < give_up) usleep(10'000);
  done = true;
  for (std::thread& thread : workers) thread.join();
  CHECK(kills == 20);
  CHECK(made >= 40);

  for (const auto& [id, facts] : containers) {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    v1::ContainerStatus status;
    const int64_t limit = base::MonotonicNanos() + int64_t{20} * 1'000'000'000;
    do {
      status = daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ContainerStatus, request)
                   .status();
    } while (facts.exit_code >= 0 && status.state() != v1::CONTAINER_EXITED &&
             base::MonotonicNanos() < limit && usleep(5000) == 0);
    if (facts.exit_code >= 0) {
      CHECK(status.state() == v1::CONTAINER_EXITED);
      CHECK(status.exit_code() == facts.exit_code);
    } else {
      CHECK(status.state() == v1::CONTAINER_RUNNING);
      CHECK(StartTicks(facts.pid) == facts.start_ticks);
    }
  }
  // What was not acknowledged either does not exist or can be removed: the fixture removes all
  // pods, and test/hostdiff checks that nothing else is left.
}
