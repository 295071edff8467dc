// Containers: process, exit, exec, log, limits.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/file.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"
#include "shim_client/session.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;

namespace {

int64_t Millis(int64_t since_nanos) { return (base::MonotonicNanos() - since_nanos) / 1'000'000; }

}  // namespace

TEST_CASE("the status has the exit code, or 128 plus the signal") {
  Pod pod(Daemon::Shared());
  for (const int code : {0, 1, 42, 127, 255}) {
    const v1::ContainerStatus status =
        pod.WaitExited(pod.Run({"sh", "-c", absl::StrCat("exit ", code)}));
    CHECK(status.exit_code() == code);
    CHECK(status.reason() == (code == 0 ? "Completed" : "Error"));
    CHECK(status.created_at() <= status.started_at());
    CHECK(status.started_at() <= status.finished_at());
  }
  CHECK(pod.WaitExited(pod.Run({"sh", "-c", "kill -9 $$; sleep 10"},
                               [](v1::ContainerConfig& config) {
                                 config.mutable_linux()
                                     ->mutable_security_context()
                                     ->mutable_namespace_options()
                                     ->set_pid(v1::POD);
                               }))
            .exit_code() == 137);
}

TEST_CASE(
    "StopContainer sends the signal, then SIGKILL after the grace period, at once if that is 0") {
  Pod pod(Daemon::Shared());
  const std::string polite =
      pod.Run({"sh", "-c", "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done"});
  pod.AwaitLog(polite, "ready");
  pod.StopContainer(polite, 20);
  CHECK(pod.ContainerStatus(polite).exit_code() == 7);
  const std::string deaf =
      pod.Run({"sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"});
  pod.AwaitLog(deaf, "ready");
  int64_t begin = base::MonotonicNanos();
  pod.StopContainer(deaf, 1);
  CHECK(Millis(begin) >= 1000);
  CHECK(Millis(begin) < 10000);
  CHECK(pod.ContainerStatus(deaf).exit_code() == 137);
  const std::string other = pod.Run({"sleep", "1000"});
  begin = base::MonotonicNanos();
  pod.StopContainer(other, 0);
  CHECK(Millis(begin) < 5000);
  pod.StopContainer(other, 0);
}

TEST_CASE("a second stop with a shorter grace period shortens the first one's") {
  Pod pod(Daemon::Shared());
  const std::string deaf =
      pod.Run({"sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"});
  pod.AwaitLog(deaf, "ready");
  const int64_t begin = base::MonotonicNanos();
  std::thread patient([&] { pod.StopContainer(deaf, 40); });
  pod.StopContainer(deaf, 1);
  patient.join();
  CHECK(Millis(begin) < 20000);
}

TEST_CASE("the stop signal of the configuration is sent") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Run({"sh", "-c", "trap 'exit 9' USR1; echo ready; while true; do sleep 0.1; done"},
              [](v1::ContainerConfig& config) { config.set_stop_signal(v1::SIGNAL_SIGUSR1); });
  pod.AwaitLog(container, "ready");
  pod.StopContainer(container, 20);
  CHECK(pod.ContainerStatus(container).exit_code() == 9);
  CHECK(pod.ContainerStatus(container).stop_signal() == v1::SIGNAL_SIGUSR1);
}

TEST_CASE("removing a running container kills it and keeps the log file") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sh", "-c", "echo here; sleep 1000"});
  const std::string log = pod.ContainerStatus(container).log_path();
  const int pid = pod.HostPid(container);
  pod.RemoveContainer(container);
  pod.RemoveContainer(container);
  CHECK(access(absl::StrCat("/proc/", pid).c_str(), F_OK) != 0);
  CHECK(access(log.c_str(), F_OK) == 0);
}

TEST_CASE(
    "ExecSync returns output and exit code, has the environment, and a timeout leaves no process") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    v1::KeyValue* env = config.add_envs();
    env->set_key("GREETING");
    env->set_value("two words");
    config.set_working_dir("/tmp/made/for/it");
  });
  const ExecResult both = pod.Exec(container, {"sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(both.out == "out\n");
  CHECK(both.err == "err\n");
  CHECK(both.exit_code == 3);
  CHECK(pod.Exec(container, {"sh", "-c", "echo $GREETING in $PWD"}).out ==
        "two words in /tmp/made/for/it\n");
  v1::ExecSyncRequest slow;
  slow.set_container_id(container);
  for (const char* word : {"sh", "-c", "sleep 4321 & sleep 4321"}) slow.add_cmd(word);
  slow.set_timeout(1);
  v1::ExecSyncResponse response;
  Endpoint& daemon = pod.daemon();
  CHECK(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::ExecSync, slow, &response)
            .error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  const ExecResult left = pod.Exec(container, {"pgrep", "sleep 4321"});
  CHECK(left.out.empty());
  CHECK(left.err.empty());
  // A background child that keeps the pipe open must not delay the answer.
  const int64_t begin = base::MonotonicNanos();
  CHECK(pod.Exec(container, {"sh", "-c", "sleep 30 & echo now"}, 20).out == "now\n");
  CHECK(Millis(begin) < 10000);
}

TEST_CASE("an exec cannot change the host's /dev/null through its stdin") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"});
  struct stat before, after;
  REQUIRE(stat("/dev/null", &before) == 0);
  for (const char* change : {"chmod 0600 /proc/self/fd/0", "chown 1:1 /proc/self/fd/0"}) {
    CHECK(pod.Exec(container, {"sh", "-c", change}).exit_code != 0);
  }
  REQUIRE(stat("/dev/null", &after) == 0);
  REQUIRE(chmod("/dev/null", before.st_mode & 07777) == 0);
  REQUIRE(chown("/dev/null", before.st_uid, before.st_gid) == 0);
  CHECK(after.st_mode == before.st_mode);
  CHECK(after.st_uid == before.st_uid);
  CHECK(pod.Exec(container, {"sh", "-c", "cat; echo into nothing >&0"}).exit_code == 0);
}

TEST_CASE("ExecSync cuts output at what fits into one message") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"});
  const ExecResult result = pod.Exec(container, {"dd", "if=/dev/zero", "bs=1M", "count=40"}, 60);
  CHECK(result.exit_code == 0);
  CHECK(result.out.size() <= 16u << 20);
  CHECK(result.out.size() > 15u << 20);
}

TEST_CASE("limits are in the kernel's files") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    v1::LinuxContainerResources* limits = config.mutable_linux()->mutable_resources();
    limits->set_cpu_shares(512);
    limits->set_cpu_period(100000);
    limits->set_cpu_quota(20000);
    limits->set_memory_limit_in_bytes(64 << 20);
    limits->set_memory_swap_limit_in_bytes(64 << 20);
    limits->set_cpuset_cpus("0");
    v1::HugepageLimit* huge = limits->add_hugepage_limits();
    huge->set_page_size("2MB");
    huge->set_limit(0);
  });
  if (OnV1()) {
    CHECK(CgroupFile(pod, container, "cpu", "cpu.shares", "") == "512");
    CHECK(CgroupFile(pod, container, "cpu", "cpu.cfs_quota_us", "") == "20000");
    CHECK(CgroupFile(pod, container, "memory", "memory.memsw.limit_in_bytes", "") == "67108864");
  } else {
    CHECK(CgroupFile(pod, container, "cpu", "", "cpu.max") == "20000 100000");
    CHECK(CgroupFile(pod, container, "memory", "", "memory.swap.max") == "0");
  }
  CHECK(CgroupFile(pod, container, "memory", "memory.limit_in_bytes", "memory.max") == "67108864");
  CHECK(CgroupFile(pod, container, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0");
  CHECK(pod.ContainerStatus(container).resources().linux().cpu_shares() == 512);
}

TEST_CASE("a container over its memory limit ends with 137 and OOMKilled") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run(
      {"sh", "-c", "dd if=/dev/zero of=/dev/null bs=60M count=1"}, [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(15 << 20);
        config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(15 << 20);
      });
  const v1::ContainerStatus status = pod.WaitExited(container);
  CHECK(status.exit_code() == 137);
  CHECK(status.reason() == "OOMKilled");
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
}

TEST_CASE(
    "a container whose worker was killed for lack of memory says OOMKilled, unless it ends well") {
  Pod pod(Daemon::Shared());
  for (const int code : {1, 0}) {
    const std::string script =
        absl::StrCat("dd if=/dev/zero of=/dev/null bs=60M count=1 & wait $!; exit ", code);
    const std::string container = pod.Run({"sh", "-c", script}, [](v1::ContainerConfig& config) {
      config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(15 << 20);
      config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(15 << 20);
    });
    const v1::ContainerStatus status = pod.WaitExited(container);
    CHECK(status.exit_code() == code);
    CHECK(status.reason() == (code == 0 ? "Completed" : "OOMKilled"));
  }
}

TEST_CASE("a start whose limits the kernel refuses leaves no shim") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Create(pod.ContainerConfig({"sleep", "1000"}, [](v1::ContainerConfig& of) {
        of.mutable_linux()->mutable_resources()->set_cpuset_cpus("4095");
      }));
  CHECK_FALSE(pod.TryStart(container).ok());
  CHECK(Eventually([&] { return CountProcesses(container) == 0; }));
}

// Four pages are not enough for the mounts, whatever the kernel counts. With 16 it may come as far
// as the program.
TEST_CASE("a container that runs out of memory while it is started says OOMKilled") {
  Pod pod(Daemon::Shared());
  const v1::ContainerConfig config =
      pod.ContainerConfig({"sleep", "1000"}, [](v1::ContainerConfig& of) {
        of.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(16 << 10);
        of.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(16 << 10);
      });
  const std::string container = pod.Create(config);
  const grpc::Status started = pod.TryStart(container);
  CHECK(started.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK_THAT(started.error_message(), Catch::Contains("is the memory limit too low?"));
  const v1::ContainerStatus status = pod.WaitExited(container);
  CHECK(status.exit_code() == 137);
  CHECK(status.reason() == "OOMKilled");
}

TEST_CASE(
    "logs have CRI lines, partial lines of 16 KiB and both streams, and are reopened after a "
    "rename") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sh", "-c",
                                         "echo one; echo; echo two >&2; dd if=/dev/zero bs=40000 "
                                         "count=1 2>/dev/null | tr '\\0' x; echo"});
  pod.WaitExited(container);
  const std::string log = pod.Log(container);
  CHECK(log.find(" stdout F one\n") != std::string::npos);
  CHECK(log.find(" stdout F \n") != std::string::npos);
  CHECK(log.find(" stderr F two\n") != std::string::npos);
  CHECK(log.find(absl::StrCat(" stdout P ", std::string(16384, 'x'), "\n")) != std::string::npos);
  CHECK(pod.LogText(container).find(absl::StrCat(std::string(40000, 'x'), "\n")) !=
        std::string::npos);

  const std::string rotated = pod.Run({"sh", "-c", "while true; do echo line; sleep 0.02; done"});
  const std::string path = pod.ContainerStatus(rotated).log_path();
  REQUIRE(rename(path.c_str(), (path + ".1").c_str()) == 0);
  v1::ReopenContainerLogRequest reopen;
  reopen.set_container_id(rotated);
  Endpoint& daemon = pod.daemon();
  daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ReopenContainerLog, reopen);
  struct stat info, old;
  REQUIRE(stat(path.c_str(), &info) == 0);
  REQUIRE(stat((path + ".1").c_str(), &old) == 0);
  for (int i = 0; i < 2000 && info.st_size == 0; ++i) {
    usleep(10'000);
    stat(path.c_str(), &info);
  }
  CHECK(info.st_size > 0);
  struct stat later;
  REQUIRE(stat((path + ".1").c_str(), &later) == 0);
  CHECK(later.st_size == old.st_size);
}

TEST_CASE("users, groups, capabilities, no_new_privs and seccomp are as configured") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    auto* context = config.mutable_linux()->mutable_security_context();
    context->mutable_run_as_user()->set_value(1001);
    context->mutable_run_as_group()->set_value(1002);
    context->add_supplemental_groups(1234);
    context->set_no_new_privs(true);
    context->mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
    context->mutable_capabilities()->add_drop_capabilities("ALL");
  });
  CHECK(pod.Exec(container, {"sh", "-c", "echo $(id -u):$(id -g) $(id -G)"}).out ==
        "1001:1002 1002 1234\n");
  const std::string status = pod.Exec(container, {"cat", "/proc/self/status"}).out;
  CHECK(status.find("CapBnd:\t0000000000000000") != std::string::npos);
  CHECK(status.find("CapInh:\t0000000000000000") != std::string::npos);
  CHECK(status.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(status.find("Seccomp:\t2") != std::string::npos);
  const std::string plain = pod.Run({"sleep", "1000"});
  CHECK(pod.Exec(plain, {"cat", "/proc/self/status"}).out.find("Seccomp:\t0") != std::string::npos);
}

TEST_CASE("masked and read-only paths, a read-only root file system and mounts are as configured") {
  Pod pod(Daemon::Shared());
  const std::string host = pod.daemon().dir() + "/mounted";
  REQUIRE(base::MakeDirs(host, 0755).ok());
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    auto* context = config.mutable_linux()->mutable_security_context();
    context->add_masked_paths("/bin/ls");
    context->add_masked_paths("/no/such/path");
    context->add_readonly_paths("/tmp");
    v1::Mount* mount = config.add_mounts();
    mount->set_host_path(host);
    mount->set_container_path("/data");
    v1::Mount* readonly = config.add_mounts();
    readonly->set_host_path(host);
    readonly->set_container_path("/data-ro");
    readonly->set_readonly(true);
  });
  CHECK(pod.Exec(container, {"sh", "-c", "ls"}).err == "sh: ls: Permission denied\n");
  CHECK(pod.Exec(container, {"touch", "/tmp/x"}).err == "touch: /tmp/x: Read-only file system\n");
  CHECK(pod.Exec(container, {"touch", "/data/x"}).exit_code == 0);
  CHECK(access((host + "/x").c_str(), F_OK) == 0);
  CHECK(pod.Exec(container, {"touch", "/data-ro/y"}).exit_code != 0);
  const std::string frozen = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  });
  CHECK(pod.Exec(frozen, {"touch", "test.go"}).err == "touch: test.go: Read-only file system\n");
}

TEST_CASE("stats have cpu, memory and the writable layer") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Run({"sh", "-c", "dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null; sleep 1000"});
  for (int i = 0;
       i < 200 &&
       pod.Exec(container, {"sh", "-c", "test $(stat -c %s /big) = 4194304"}).exit_code != 0;
       ++i) {
  }
  Endpoint& daemon = pod.daemon();
  const auto read = [&] {
    v1::ContainerStatsRequest request;
    request.set_container_id(container);
    return daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ContainerStats, request)
        .stats();
  };
  v1::ContainerStats stats = read();
  CHECK(stats.cpu().usage_core_nano_seconds().value() > 0);
  CHECK(stats.memory().working_set_bytes().value() > 0);
  CHECK(stats.writable_layer().inodes_used().value() > 0);
  // Measured every 10 s.
  for (int i = 0; i < 600 && stats.writable_layer().used_bytes().value() < 4u << 20; ++i) {
    usleep(50'000);
    stats = read();
  }
  CHECK(stats.writable_layer().used_bytes().value() >= 4u << 20);
  v1::ListContainerStatsRequest list;
  list.mutable_filter()->set_pod_sandbox_id(pod.id());
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListContainerStats, list)
            .stats_size() == 1);
}

TEST_CASE(
    "a container that is killed while an attach does not read has all its output in the log") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  // More than the attach's pipe and the shim's buffer can take; the rest waits in the container's
  // pipe.
  const std::string container =
      pod.Run({"sh", "-c",
               "while ! test -e /go; do sleep 0.01; done; yes last-words | head -n 10000; "
               "echo ready >&2; exec sleep 1000"});
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  const base::UniqueFd unread(fds[0]);
  const base::UniqueFd output(fds[1]);
  shim::v1::Attach request;
  request.set_stdout(true);
  auto asked =
      shim_client::AskAttach(daemon.state() + "/containers/" + container, request, {output.get()});
  REQUIRE(asked.ok());
  const auto attached =
      shim_client::Attached(*std::move(asked), base::Deadline::In(absl::Seconds(5)));
  INFO(attached.status());
  REQUIRE(attached.ok());
  CHECK(pod.Exec(container, {"touch", "/go"}).exit_code == 0);
  pod.AwaitLog(container, "ready");
  pod.StopContainer(container, 0);
  const v1::ContainerStatus status = pod.ContainerStatus(container);
  CHECK(status.exit_code() == 137);
  CHECK(status.reason() == "Error");
  CHECK(pod.LogText(container).size() == 10'000 * strlen("last-words\n") + strlen("ready\n"));
}

TEST_CASE("a stop during a start takes effect after the start") {
  Daemon& daemon = Daemon::Shared();
  for (const bool whole_pod : {false, true, false, true, false, true}) {
    Pod pod(daemon);
    const std::string container = pod.Create(pod.ContainerConfig({"sleep", "1000"}));
    grpc::Status started;
    std::thread start([&] { started = pod.TryStart(container); });
    // The socket exists in the middle of a start.
    const std::string socket = daemon.state() + "/containers/" + container + "/shim.sock";
    while (access(socket.c_str(), F_OK) != 0) std::this_thread::yield();
    whole_pod ? pod.Stop() : pod.StopContainer(container, 0);
    start.join();
    INFO(started.error_message());
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_EXITED);
  }
}
