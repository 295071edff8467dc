// A thousand execs of each kind that ends badly, and endless output: neither crispd nor the shim
// may leak anything.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "fault/amount.h"
#include "integration/pod.h"
#include "test_client.h"
#include "unit/eventually.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;
using Runtime = v1::RuntimeService::Stub;

namespace {

constexpr int kMiB = 1 << 20;

// A field like "VmRSS" of a process, in bytes.
int64_t StatusBytes(pid_t pid, const std::string& name) {
  const std::string status = base::ReadFile(absl::StrCat("/proc/", pid, "/status")).value();
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::StartsWith(line, name + ":")) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t kib = 0;
    REQUIRE(absl::SimpleAtoi(words[words.size() - 2], &kib));
    return kib << 10;
  }
  FAIL("no " << name << " in " << status);
  return 0;
}

struct Process {
  pid_t parent = 0;
  char state = '?';
};

Process ProcessOf(pid_t pid) {
  const absl::StatusOr<std::string> stat = base::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  Process process;
  if (!stat.ok()) return process;  // it exited meanwhile
  const std::vector<std::string> fields = absl::StrSplit(stat->substr(stat->rfind(')') + 2), ' ');
  process.state = fields[0][0];
  REQUIRE(absl::SimpleAtoi(fields[1], &process.parent));
  return process;
}

// The resources that a leak would use up.
struct Holdings {
  size_t daemon_fds = 0, daemon_threads = 0, daemon_children = 0;
  size_t shim_fds = 0, shim_children = 0, zombies = 0;
  size_t cgroups = 0;  // below the container's own

  // gRPC keeps one or two threads waiting for calls.
  static constexpr size_t kSpareThreads = 2;

  bool Within(const Holdings& limit) const {
    return daemon_fds <= limit.daemon_fds &&
           daemon_threads <= limit.daemon_threads + kSpareThreads &&
           daemon_children <= limit.daemon_children && shim_fds <= limit.shim_fds &&
           shim_children <= limit.shim_children && zombies <= limit.zombies &&
           cgroups <= limit.cgroups;
  }
  std::string Text() const {
    return absl::StrCat("crispd: ", daemon_fds, " fds, ", daemon_threads, " threads, ",
                        daemon_children, " children; shim: ", shim_fds, " fds, ", shim_children,
                        " children; ", zombies, " zombies; ", cgroups, " exec cgroups");
  }
};

class Bench {
 public:
  Bench() : pod_(daemon_), container_(pod_.Run({"sleep", "100000"})) {
    shim_ = ProcessOf(pod_.HostPid(container_)).parent;
    REQUIRE(
        absl::StrContains(*base::ReadFile(absl::StrCat("/proc/", shim_, "/cmdline")), container_));
  }

  Holdings Held() {
    const auto entries = [](pid_t pid, const char* name) {
      return base::ListDir(absl::StrCat("/proc/", pid, "/", name))->size();
    };
    Holdings held;
    held.daemon_fds = entries(daemon_.pid(), "fd");
    held.daemon_threads = entries(daemon_.pid(), "task");
    held.shim_fds = entries(shim_, "fd");
    const std::vector<std::string> names = *base::ListDir("/proc");
    for (const std::string& name : names) {
      pid_t pid = 0;
      if (!absl::SimpleAtoi(name, &pid)) continue;
      const Process process = ProcessOf(pid);
      if (process.parent != daemon_.pid() && process.parent != shim_) continue;
      ++(process.parent == shim_ ? held.shim_children : held.daemon_children);
      if (process.state == 'Z') ++held.zombies;
    }
    const std::vector<std::string> files = *base::ListDir(pod_.CgroupDirectory(container_, "none"));
    for (const std::string& file : files) held.cgroups += absl::StartsWith(file, "exec");
    return held;
  }

  // Waits, at most 30 s, until no more is held than `before`: streams end some time after their
  // client.
  void MustComeBackTo(const Holdings& before) {
    Holdings now;
    const auto back = [&] {
      now = Held();
      return now.Within(before);
    };
    const bool is_back = Eventually(back, 30, absl::Milliseconds(10));
    INFO("before: " << before.Text());
    INFO("after:  " << now.Text());
    CHECK(is_back);
    printf("after:  %s\n", now.Text().c_str());
  }

  grpc::Status Exec(const std::vector<std::string>& command, int timeout_seconds,
                    v1::ExecSyncResponse* response) {
    v1::ExecSyncRequest request;
    request.set_container_id(container_);
    for (const std::string& word : command) request.add_cmd(word);
    request.set_timeout(timeout_seconds);
    return daemon_.Try(daemon_.runtime(), &Runtime::ExecSync, request, response);
  }

  std::string Url(const std::vector<std::string>& command, bool tty) {
    v1::ExecRequest request;
    request.set_container_id(container_);
    for (const std::string& word : command) request.add_cmd(word);
    request.set_tty(tty);
    request.set_stdin(true);
    request.set_stdout(true);
    request.set_stderr(!tty);
    return daemon_.Call(daemon_.runtime(), &Runtime::Exec, request).url();
  }

  Daemon& daemon() { return daemon_; }
  Pod& pod() { return pod_; }

 private:
  Daemon daemon_;
  Pod pod_;
  std::string container_;
  pid_t shim_ = 0;
};

// Runs `call` `times` times on several threads and returns how often it returned false.
int Failures(int times, int threads, const std::function<bool()>& call) {
  std::atomic<int> left = times, failures = 0;
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      while (left-- > 0) failures += call() ? 0 : 1;
    });
  }
  for (std::thread& worker : workers) worker.join();
  return failures;
}

void BadCommands(Bench& bench, int times) {
  CHECK(Failures(times / 2, 4, [&] {
          v1::ExecSyncResponse response;
          return bench.Exec({"/no/such/command"}, 10, &response).error_code() ==
                 Code::INVALID_ARGUMENT;
        }) == 0);
  for (int i = 0; i < times / 2; ++i) {
    streaming::WebSocketClient client(bench.Url({"/no/such/command"}, false));
    client.Upgrade("v5.channel.k8s.io");
    client.ReadToEnd();
    REQUIRE(absl::StrContains(client.channels['\3'], "/no/such/command"));
  }
}

void Terminals(Bench& bench, int times) {
  for (int i = 0; i < times; ++i) {
    streaming::WebSocketClient client(bench.Url({"sh", "-c", "tty; exit 3"}, true));
    client.Upgrade("v5.channel.k8s.io");
    client.ReadToEnd();
    REQUIRE(absl::StartsWith(client.channels['\1'], "/dev/pts/"));
    REQUIRE(absl::StrContains(client.channels['\3'], "\"3\""));
  }
}

// Half of the clients close the connection, half reset it; some during output, some while it is
// quiet.
void KilledClients(Bench& bench, int times) {
  for (int i = 0; i < times; ++i) {
    const bool tty = i % 2 == 0;
    const bool noisy = i % 4 < 2;
    const std::vector<std::string> command = {
        "sh", "-c", noisy ? "head -c 1000000000 /dev/zero" : "echo begun; sleep 1000 & sleep 1000"};
    streaming::WebSocketClient client(bench.Url(command, tty));
    client.Upgrade("v5.channel.k8s.io");
    REQUIRE(client.Read().has_value());
    if (i % 8 < 4) {
      const linger reset = {.l_onoff = 1, .l_linger = 0};
      setsockopt(client.connection.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    client.connection.Close();
  }
}

void Timeouts(Bench& bench, int times) {
  CHECK(Failures(times, std::min(times, 50), [&] {
          v1::ExecSyncResponse response;
          return bench.Exec({"sh", "-c", "sleep 1000 & sleep 1000"}, 1, &response).error_code() ==
                 Code::DEADLINE_EXCEEDED;
        }) == 0);
}

void AThousand(const std::function<void(Bench&, int)>& kind) {
  Bench bench;
  Terminals(bench, 1);  // makes what is made at the first use
  const Holdings before = bench.Held();
  printf("before: %s\n", before.Text().c_str());
  kind(bench, Amount(100, 1000));
  bench.MustComeBackTo(before);
  v1::ExecSyncResponse response;
  REQUIRE(bench.Exec({"echo", "still here"}, 10, &response).ok());
  CHECK(response.stdout() == "still here\n");
}

}  // namespace

TEST_CASE("1000 commands that do not exist leave nothing") { AThousand(BadCommands); }
TEST_CASE("1000 execs with a terminal leave nothing") { AThousand(Terminals); }
TEST_CASE("1000 clients killed in mid-stream leave nothing") { AThousand(KilledClients); }
TEST_CASE("1000 execs that time out leave nothing") { AThousand(Timeouts); }

TEST_CASE("100 connects to a server that does not answer do not delay execs") {
  Bench bench;
  // For the stopped server the kernel accepts a few connections and drops further attempts.
  bench.pod().Run({"sh", "-c",
                   "nc -l -p 81 & until grep -q :0051 /proc/net/tcp*; do :; done; kill -STOP $!; "
                   "exec nc -ll -p 80 -e echo hello"});
  v1::ExecSyncResponse listening;
  REQUIRE(bench.Exec({"sh", "-c", "until grep -q :0050 /proc/net/tcp*; do :; done"}, 10, &listening)
              .ok());
  v1::PortForwardRequest request;
  request.set_pod_sandbox_id(bench.pod().id());
  streaming::SpdyClient client(
      bench.daemon().Call(bench.daemon().runtime(), &Runtime::PortForward, request).url());
  client.Upgrade({"portforward.k8s.io"});
  const auto forward = [&](int port, int id) {
    streaming::HeaderList headers = {
        {"streamtype", "error"}, {"port", absl::StrCat(port)}, {"requestid", absl::StrCat(id)}};
    client.Open(headers);
    headers[0].second = "data";
    return client.Open(headers);
  };
  const uint32_t good = forward(80, 0);
  while (client.streams[good].data != "hello\n") REQUIRE(client.ReadFrame());
  for (int i = 1; i <= 100; ++i) forward(81, i);
  client.connection.Write(streaming::ControlFrame(6, 0, streaming::Big32(1)));
  while (client.pings.empty()) REQUIRE(client.ReadFrame());
  Terminals(bench, 10);
}

TEST_CASE("crispd stays small during 20 endless outputs, and each gets an answer") {
  Bench bench;
  const pid_t pid = bench.daemon().pid();
  v1::ExecSyncResponse warm;
  REQUIRE(bench.Exec({"true"}, 10, &warm).ok());
  REQUIRE(base::WriteExisting(absl::StrCat("/proc/", pid, "/clear_refs"), "5").ok());
  std::vector<v1::ExecSyncResponse> answers(20);
  std::vector<grpc::Status> statuses(answers.size());
  std::vector<std::thread> clients;
  for (size_t i = 0; i < answers.size(); ++i) {
    clients.emplace_back([&, i] {
      statuses[i] = bench.Exec({"sh", "-c", "timeout 5 cat /dev/zero"}, 50, &answers[i]);
    });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < answers.size(); ++i) {
    INFO(i << ": " << statuses[i].error_message());
    REQUIRE(statuses[i].ok());
    CHECK(answers[i].stdout().size() >= 64 << 10);
    CHECK(answers[i].ByteSizeLong() <= 16 * kMiB);
    CHECK(answers[i].stdout().find_first_not_of('\0') == std::string::npos);
  }
  const int64_t peak = StatusBytes(pid, "VmHWM");
  printf("peak of crispd: %.1f MiB, now %.1f MiB\n", static_cast<double>(peak) / kMiB,
         static_cast<double>(StatusBytes(pid, "VmRSS")) / kMiB);
  CHECK(peak < 128 * kMiB);

  // A single command gets all that fits into one message, and a timeout still ends it in time.
  v1::ExecSyncResponse alone;
  REQUIRE(bench.Exec({"sh", "-c", "timeout 2 cat /dev/zero"}, 50, &alone).ok());
  CHECK(alone.stdout().size() > 15 * kMiB);
  CHECK(alone.ByteSizeLong() <= 16 * kMiB);
  const int64_t begin = base::MonotonicNanos();
  v1::ExecSyncResponse none;
  CHECK(bench.Exec({"timeout", "20", "cat", "/dev/zero"}, 1, &none).error_code() ==
        Code::DEADLINE_EXCEEDED);
  CHECK(base::MonotonicNanos() - begin < int64_t{10} * 1'000'000'000);
}
