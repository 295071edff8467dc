// Images made as the most pulled public ones are (test/images/popular.go): each is run with nothing
// but what a manifest usually says of it, is used, and ends when it is asked to.
#include <catch2/catch.hpp>

#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Catch::Contains;

namespace {

std::function<void(v1::ContainerConfig&)> Of(const std::string& image) {
  return [image](v1::ContainerConfig& config) {
    config.mutable_image()->set_image("docker.io/crisp/" + image);
  };
}

// The output of a command in the container, which succeeds.
std::string Sh(Pod& pod, const std::string& container, const std::string& script) {
  const ExecResult result = pod.Exec(container, {"sh", "-c", script});
  INFO(script);
  INFO(result.err);
  CHECK(result.exit_code == 0);
  return result.out;
}

// The exit code after the stop signal alone: crispd would report 137 if it had to kill.
int CodeAfterStop(Pod& pod, const std::string& container) {
  pod.StopContainer(container, 30);
  return pod.ContainerStatus(container).exit_code();
}

}  // namespace

TEST_CASE("redis gives its volume to its user and becomes that user, also on a read-only root") {
  Pod pod(Daemon::Shared());
  for (const bool readonly : {false, true}) {
    CAPTURE(readonly);
    const std::string container = pod.Run({}, [&](v1::ContainerConfig& config) {
      Of("redis:7")(config);
      config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(readonly);
    });
    pod.AwaitLog(container, "Ready to accept connections");
    CHECK(Sh(pod, container, "redis-cli set key value; redis-cli save") == "OK\nOK\n");
    CHECK(Sh(pod, container, "stat -c %U /data/dump.rdb") == "redis\n");
    CHECK(Sh(pod, container, "stat -f -c %t /data") != Sh(pod, container, "stat -f -c %t /"));
    CHECK_THAT(Sh(pod, container, "grep Uid /proc/1/status"), Contains("999\t999\t999\t999"));
    CHECK(CodeAfterStop(pod, container) == 0);
    CHECK_THAT(pod.LogText(container), Contains("bye bye"));
  }
}

TEST_CASE("postgres makes its cluster in the volume, answers, and shuts down at its stop signal") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({}, Of("postgres:15"));
  pod.AwaitLog(container, "database system is ready to accept connections");
  CHECK(Sh(pod, container,
           "psql -qtAU postgres -c 'create table t (n int)' -c 'insert into t values (6), (7)' -c "
           "'select exp(sum(ln(n)))::int from t'") == "42\n");
  CHECK(Sh(pod, container, "stat -c '%U %a' $PGDATA") == "postgres 700\n");
  CHECK(CodeAfterStop(pod, container) == 0);
  CHECK_THAT(pod.LogText(container), Contains("database system is shut down"));
}

TEST_CASE("nginx without privileges writes its logs through links to /dev/stdout and /dev/stderr") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({}, Of("nginx-unprivileged:1"));
  pod.AwaitLog(container, "start worker process");
  CHECK_THAT(Sh(pod, container, "id -u; wget -qO- http://127.0.0.1:8080/"),
             Contains("101\n<html><body><h1>Welcome to nginx!"));
  pod.AwaitLog(container, "GET / HTTP/");
  CHECK(CodeAfterStop(pod, container) == 0);
}

TEST_CASE(
    "a static Go program in an image without a system serves, with the image's numeric user") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) { config.set_hostname("greets"); });
  const std::string container = pod.Run({}, Of("hello:1"));
  pod.AwaitLog(container, "listens");
  pod.daemon().Pull(kBusybox);
  const std::string client = pod.Run({"sleep", "1000"});
  CHECK_THAT(Sh(pod, client, "wget -qO- http://127.0.0.1:8080/"),
             Contains("65532 65532 greets [") && Contains("127.0.0.1") && Contains("<nil>"));
}

TEST_CASE("python runs in a working directory that its image names and does not have") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run(
      {"python3", "-c",
       "import hashlib, os, ssl, threading; print(os.getcwd(), os.getuid(), ssl.OPENSSL_VERSION);"
       "thread = threading.Thread(target=print, args=('threads',)); thread.start();"
       "thread.join()"},
      Of("python:3-slim"));
  CHECK(pod.WaitExited(container).exit_code() == 0);
  CHECK_THAT(pod.LogText(container),
             Contains("/usr/src/app 65534 OpenSSL 3") && Contains("threads\n"));
}

TEST_CASE("a JVM sees the limits of its container") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Run({"java", "-XshowSettings:system", "-version"}, [](v1::ContainerConfig& config) {
        Of("java:17-jre")(config);
        v1::LinuxContainerResources& limits = *config.mutable_linux()->mutable_resources();
        limits.set_memory_limit_in_bytes(256 << 20);
        limits.set_cpu_period(100'000);
        limits.set_cpu_quota(100'000);
      });
  CHECK(pod.WaitExited(container).exit_code() == 0);
  CHECK_THAT(pod.LogText(container),
             Contains("Memory Limit: 256.00M") && Contains("CPU Quota: 100000us") &&
                 Contains("Effective CPU Count: 1\n") && Contains("OpenJDK 64-Bit Server VM"));
}
