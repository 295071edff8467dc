// crisp play with a real crispd: what a pod sees, how it ends, and what is left of it.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"
#include "linux/spawn.h"

using namespace crisp;
using namespace crisp::test;

namespace {

class Play {
 public:
  explicit Play(Daemon& daemon) : daemon_(daemon) { daemon.Pull(kBusybox); }
  ~Play() { Run({"down", File()}); }

  // crisp play with these arguments. The kernel writes the space and the slashes in other ways.
  linux::RunResult Run(const std::vector<std::string>& arguments, const std::string& socket = "") {
    std::vector<std::string> args = {"crisp",
                                     "--endpoint",
                                     "unix://" + (socket.empty() ? daemon_.socket() : socket),
                                     "play",
                                     "--state",
                                     daemon_.dir() + "//play pods",
                                     "--data",
                                     daemon_.dir() + "/play-data",
                                     "--logs",
                                     daemon_.dir() + "/logs"};
    args.insert(args.end(), arguments.begin(), arguments.end());
    const absl::StatusOr<linux::RunResult> result =
        linux::Run({.path = std::string(getenv("CRISP_TEST_BIN_DIR")) + "/crisp",
                    .args = args,
                    .env = {},
                    .cgroup = -1},
                   "", {.deadline = base::Deadline::In(absl::Seconds(120))});
    REQUIRE(result.ok());
    INFO(result->err);
    CHECK(result->signal == 0);
    return *result;
  }
  std::string File() const { return daemon_.dir() + "/pod.yaml"; }
  // A pod "played" with this spec, indented by two.
  void Write(const std::string& spec, const std::string& more = "") {
    const std::string text =
        absl::StrCat("apiVersion: v1\nkind: Pod\nmetadata: {name: played}\nspec:\n", spec, more);
    REQUIRE(base::WriteFileAtomic(File(), text, 0644).ok());
  }
  std::string Directory() const { return daemon_.dir() + "/play pods/default_played"; }
  // The supervisor has ended when this returns; its pod runs on.
  void KillSupervisor() const {
    const auto lock = base::Open(Directory() + "/lock", O_RDWR);
    REQUIRE(lock.ok());
    struct flock asked = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1, .l_pid = 0};
    REQUIRE(fcntl(lock->get(), F_GETLK, &asked) == 0);
    REQUIRE(asked.l_type == F_WRLCK);
    REQUIRE(kill(asked.l_pid, SIGKILL) == 0);
    asked.l_type = F_WRLCK;
    REQUIRE(fcntl(lock->get(), F_SETLKW, &asked) == 0);
  }
  size_t CountSandboxes(const std::string& name = "played") {
    v1::ListPodSandboxRequest request;
    (*request.mutable_filter()->mutable_label_selector())["io.kubernetes.pod.name"] = name;
    return static_cast<size_t>(
        daemon_.Call(daemon_.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, request)
            .items_size());
  }
  // Ids of its running containers.
  std::vector<std::string> Running() {
    v1::ListContainersRequest request;
    (*request.mutable_filter()->mutable_label_selector())["io.kubernetes.pod.name"] = "played";
    request.mutable_filter()->mutable_state()->set_state(v1::ContainerState::CONTAINER_RUNNING);
    const auto response =
        daemon_.Call(daemon_.runtime(), &v1::RuntimeService::Stub::ListContainers, request);
    std::vector<std::string> ids;
    for (const auto& container : response.containers()) ids.push_back(container.id());
    return ids;
  }

 private:
  Daemon& daemon_;
};

// For what ignores SIGTERM.
const std::string kQuick = "  terminationGracePeriodSeconds: 0\n";

// A container of busybox that runs `script`; `more` are further fields, indented by four.
std::string Busybox(const std::string& name, const std::string& script,
                    const std::string& more = "") {
  return absl::StrCat("  - name: ", name, "\n    image: ", kBusybox,
                      "\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c]\n    args:\n"
                      "    - |\n      ",
                      script, "\n", more);
}

}  // namespace

TEST_CASE("a pod is played to its end: init container, volumes, environment, logs") {
  Play play(Daemon::Shared());
  const std::string mount = "    volumeMounts:\n    - {name: shared, mountPath: /shared}\n";
  play.Write(
      absl::StrCat("  restartPolicy: Never\n"
                   "  hostAliases: [{ip: 10.1.2.3, hostnames: [alias.example]}]\n"
                   "  volumes:\n  - {name: shared, emptyDir: {}}\n"
                   "  - {name: words, configMap: {name: words}}\n",
                   "  initContainers:\n", Busybox("first", "echo from init >/shared/file", mount),
                   "  containers:\n",
                   Busybox("main",
                           "cat /shared/file /words/a /etc/b; echo $WORD; grep -c alias.example "
                           "/etc/hosts; echo end",
                           absl::StrCat(mount,
                                        "    - {name: words, mountPath: /words}\n"
                                        "    - {name: words, mountPath: /etc/b, subPath: b}\n"
                                        "    env:\n    - name: WORD\n      valueFrom:\n"
                                        "        configMapKeyRef: {name: words, key: c}\n"))),
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\n"
      "data: {a: \"of a\\n\", b: \"of b\\n\", c: of c}\n");
  const linux::RunResult result = play.Run({"--follow", play.File()});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out ==
        "main  | from init\nmain  | of a\nmain  | of b\nmain  | of c\nmain  | 1\nmain  | end\n");
  CHECK_THAT(result.err, Catch::Contains("pod default/played: Succeeded"));
  CHECK(play.Run({"down", "played"}).exit_code == 0);
  CHECK(play.CountSandboxes() == 0);
  CHECK(access(play.Directory().c_str(), F_OK) != 0);
}

TEST_CASE("a subPath does not lead out of its volume, and a volume in memory goes with the pod") {
  Play play(Daemon::Shared());
  play.Write(absl::StrCat(
      "  restartPolicy: Never\n  volumes:\n  - {name: shared, emptyDir: {}}\n"
      "  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n  initContainers:\n",
      Busybox("first", "ln -s /etc /shared/out; ln -s ../../../../etc /shared/up",
              "    volumeMounts: [{name: shared, mountPath: /shared}]\n"),
      "  containers:\n",
      Busybox("main", "ls -A /out /up; grep -c '^tmpfs /memory tmpfs.*size=1024k' /proc/mounts",
              "    volumeMounts:\n"
              "    - {name: shared, mountPath: /out, subPath: out}\n"
              "    - {name: shared, mountPath: /up, subPath: up}\n"
              "    - {name: memory, mountPath: /memory}\n")));
  const linux::RunResult result = play.Run({"--follow", play.File()});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == "main  | /out:\nmain  | \nmain  | /up:\nmain  | 1\n");
  CHECK(play.Run({"down", "played"}).exit_code == 0);
  const std::string mounts = base::ReadFile("/proc/self/mountinfo").value();
  CHECK(mounts.find("default_played") == std::string::npos);
}

TEST_CASE("a container that starts again finds its subPath as it has left it") {
  Daemon& daemon = Daemon::Shared();
  Play play(daemon);
  const std::string host = daemon.dir() + "/kept";
  REQUIRE(base::MakeDirs(host + "/sub", 0755).ok());
  REQUIRE(base::WriteFileAtomic(host + "/sub/file", "of the host\n", 0644).ok());
  play.Write(absl::StrCat(
      "  restartPolicy: OnFailure\n  volumes: [{name: host, hostPath: {path: ", host,
      "}}]\n  containers:\n",
      Busybox("main", "cat /sub/*; test -e /sub/second && exit 0; touch /sub/second; exit 1",
              "    volumeMounts: [{name: host, mountPath: /sub, subPath: sub}]\n")));
  const linux::RunResult result = play.Run({"--follow", play.File()});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == "of the host\nof the host\n");
  CHECK(play.Run({"down", "played"}).exit_code == 0);
  CHECK(base::ReadFile(host + "/sub/file").value() == "of the host\n");
  CHECK(base::RemoveTree(host).ok());
}

TEST_CASE("a subPath that is made has the mode of its volume, and hands the fsGroup on") {
  Play play(Daemon::Shared());
  play.Write(absl::StrCat(
      "  restartPolicy: Never\n  securityContext: {fsGroup: 4321}\n"
      "  volumes: [{name: shared, emptyDir: {}}]\n  containers:\n",
      Busybox("main", "touch /sub/file; stat -c '%a %g' /sub; stat -c %g /sub/file",
              "    volumeMounts: [{name: shared, mountPath: /sub, subPath: made}]\n")));
  const linux::RunResult result = play.Run({"--follow", play.File()});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == "2777 4321\n4321\n");
}

TEST_CASE("a pod that fails makes the command fail") {
  Play play(Daemon::Shared());
  play.Write("  restartPolicy: Never\n  containers:\n" + Busybox("main", "exit 3"));
  CHECK(play.Run({"--follow", play.File()}).exit_code == 1);
  const linux::RunResult again = play.Run({play.File()});
  CHECK(again.exit_code == 1);
  CHECK_THAT(again.err, Catch::Contains("has ended: use --replace, or crisp play down"));
}

TEST_CASE("when its supervisor was killed the pod runs on, and another one goes on with it") {
  Play play(Daemon::Shared());
  play.Write(kQuick + "  containers:\n" + Busybox("main", "exec sleep 1000"));
  REQUIRE(play.Run({"--wait", play.File()}).exit_code == 0);
  const std::vector<std::string> running = play.Running();
  CHECK(running.size() == 1);
  CHECK(play.Run({play.File()}).exit_code == 1);  // it runs already
  play.KillSupervisor();
  const linux::RunResult again = play.Run({"--wait", play.File()});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(play.Running() == running);
  CHECK(play.Run({"down", play.File()}).exit_code == 0);
  CHECK(play.CountSandboxes() == 0);
}

TEST_CASE("a pod whose manifest this version of crisp does not take can be taken down") {
  Play play(Daemon::Shared());
  play.Write(absl::StrCat(kQuick, "  volumes: [{name: memory, emptyDir: {medium: Memory}}]\n",
                          "  containers:\n", Busybox("main", "exec sleep 1000")));
  REQUIRE(play.Run({"--wait", play.File()}).exit_code == 0);
  play.KillSupervisor();
  const std::string manifest = play.Directory() + "/manifest.yaml";
  REQUIRE(base::WriteFileAtomic(manifest, "kind: Pod\nfuture: true\n", 0600).ok());
  const linux::RunResult down = play.Run({"down", "played"});
  INFO(down.err);
  CHECK(down.exit_code == 0);
  CHECK(play.CountSandboxes() == 0);
  CHECK(access(play.Directory().c_str(), F_OK) != 0);
  const std::string mounts = base::ReadFile("/proc/self/mountinfo").value();
  CHECK(mounts.find("default_played") == std::string::npos);
}

TEST_CASE("what a reboot leaves of a pod is found by its name, and removed") {
  Play play(Daemon::Shared());
  play.Write(kQuick + "  containers:\n" + Busybox("main", "exec sleep 1000"));
  for (const bool is_played_again : {false, true}) {
    CAPTURE(is_played_again);
    REQUIRE(play.Run({"--wait", play.File()}).exit_code == 0);
    // A reboot ends the supervisor and the pod, and takes away what is in memory.
    play.KillSupervisor();
    REQUIRE(base::RemoveTree(play.Directory()).ok());
    CHECK(play.CountSandboxes() == 1);
    if (is_played_again) {
      CHECK(play.Run({"--wait", play.File()}).exit_code == 0);
      CHECK(play.CountSandboxes() == 1);
      CHECK(play.Running().size() == 1);
    }
    CHECK(play.Run({"down", "played"}).exit_code == 0);
    CHECK(play.CountSandboxes() == 0);
  }
}

TEST_CASE("of several pods those that can be started are, and the others are told") {
  Play play(Daemon::Shared());
  const std::string spec = kQuick + "  containers:\n" + Busybox("main", "exec sleep 1000");
  play.Write(spec);
  REQUIRE(play.Run({"--wait", play.File()}).exit_code == 0);
  play.Write(spec, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: other}\nspec:\n" + spec);
  const linux::RunResult both = play.Run({"--wait", play.File()});
  CHECK(both.exit_code == 1);
  CHECK_THAT(both.err, Catch::Contains("pod default/played: runs already"));
  CHECK_THAT(both.err, Catch::Contains("pod default/other: Running"));
  CHECK(play.CountSandboxes("other") == 1);
  CHECK(play.Run({"down", play.File()}).exit_code == 0);
  CHECK(play.CountSandboxes("other") == 0);
}

TEST_CASE("a pod that fails says what its termination message or the end of its log says") {
  Play play(Daemon::Shared());
  play.Write("  restartPolicy: Never\n  containers:\n" +
             Busybox("first", "echo the disk is full >/dev/termination-log; exit 1") +
             Busybox("second", "echo the net is down; exit 1",
                     "    terminationMessagePolicy: FallbackToLogsOnError\n"));
  const linux::RunResult result = play.Run({"--follow", play.File()});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, Catch::Contains("the disk is full"));
  CHECK_THAT(result.err, Catch::Contains("the net is down"));
}

TEST_CASE("--replace runs the new manifest instead of the old one") {
  Play play(Daemon::Shared());
  play.Write(kQuick + "  containers:\n" + Busybox("old", "exec sleep 1000"));
  REQUIRE(play.Run({"--wait", play.File()}).exit_code == 0);
  const std::vector<std::string> before = play.Running();
  play.Write(kQuick + "  containers:\n" + Busybox("new", "exec sleep 1000"));
  CHECK(play.Run({play.File()}).exit_code == 1);
  CHECK(play.Run({"--wait", "--replace", play.File()}).exit_code == 0);
  CHECK(play.CountSandboxes() == 1);
  CHECK(play.Running().size() == 1);
  CHECK(play.Running() != before);
}

TEST_CASE("--wait returns when the readiness probe succeeds, and hooks run at start and end") {
  Daemon& daemon = Daemon::Shared();
  Play play(daemon);
  const std::string out = daemon.dir() + "/hooks";
  play.Write(absl::StrCat(
      "  terminationGracePeriodSeconds: 10\n  volumes:\n  - name: out\n    hostPath: {path: ", out,
      ", type: DirectoryOrCreate}\n  containers:\n",
      Busybox("main", "trap 'exit 0' TERM; sleep 1000 & wait",
              "    volumeMounts: [{name: out, mountPath: /out}]\n"
              "    readinessProbe:\n      periodSeconds: 1\n"
              "      exec: {command: [test, -e, /out/hello]}\n"
              "    lifecycle:\n"
              "      postStart: {exec: {command: [touch, /out/hello]}}\n"
              "      preStop: {exec: {command: [touch, /out/bye]}}\n")));
  CHECK(play.Run({"--wait", play.File()}).exit_code == 0);
  CHECK(access((out + "/hello").c_str(), F_OK) == 0);
  CHECK(access((out + "/bye").c_str(), F_OK) != 0);
  CHECK(play.Run({"down", "default/played"}).exit_code == 0);
  CHECK(access((out + "/bye").c_str(), F_OK) == 0);
}

TEST_CASE("down takes what is a directory for the name of a pod") {
  Play play(Daemon::Shared());
  const linux::RunResult result = play.Run({"down", "proc"});  // in the working directory, /
  CHECK(result.exit_code == 1);
  CHECK(result.err == "crisp: pod proc: does not run\n");
}

TEST_CASE("a manifest with a field that is not known starts nothing") {
  Play play(Daemon::Shared());
  play.Write("  nodeSelector: {a: b}\n  containers:\n" + Busybox("main", "exit 0"));
  const linux::RunResult result = play.Run({play.File()});
  CHECK(result.exit_code == 2);
  CHECK(result.err ==
        absl::StrCat("crisp: ", play.File(),
                     ":5: spec.nodeSelector: is not a field that crisp play knows\n"));
  CHECK(play.CountSandboxes() == 0);
}

TEST_CASE("without a crispd the command says so, and keeps nothing of the pod") {
  Daemon& daemon = Daemon::Shared();
  Play play(daemon);
  play.Write("  containers:\n" + Busybox("main", "exit 0"));
  const std::string nowhere = daemon.dir() + "/nowhere.sock";
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{play.File()}, {"down", "played"}}) {
    const linux::RunResult result = play.Run(words, nowhere);
    CHECK(result.exit_code == 1);
    CHECK(result.err == absl::StrCat("crisp: nobody answers on ", nowhere, ": does crispd run?\n"));
  }
  CHECK(access(play.Directory().c_str(), F_OK) != 0);
}
