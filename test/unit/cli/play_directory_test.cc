#include "cli/play_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/file.h"
#include "base/id.h"
#include "cli/play.h"
#include "cli/reporter.h"
#include "fake_runtime.h"
#include "linux/pipe.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

struct Directories {
  ~Directories() { CHECK(base::RemoveTree(root).ok()); }
  PodDirectory Of(const Pod& pod) const {
    return PodDirectory(paths, pod.metadata.namespace_, pod.metadata.name);
  }
  const std::string root = absl::StrCat("/tmp/crisp-play-", base::NewId());
  const PlayPaths paths = {
      .state = root + "/state", .data = root + "/data", .logs = root + "/logs"};
};

// Locks are those of processes: whether `work` answers true in another one.
bool InChild(const std::function<bool()>& work) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(work() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status == 0;
}

}  // namespace

TEST_CASE("a pod's directory has its documents and a uid, and nobody else may read them") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  CHECK_FALSE(directory.Exists());
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  CHECK(directory.Exists());
  CHECK(directory.path() == directories.paths.state + "/default_p");
  CHECK(directory.ReadDocuments().value() == "text");
  const auto record = directory.ReadRecord();
  REQUIRE(record.ok());
  CHECK(record->namespace_ == "default");
  CHECK(record->name == "p");
  CHECK(record->uid.size() == 36);
  CHECK(record->uid[14] == '4');
  CHECK_FALSE(record->users.has_value());
  struct stat found;
  REQUIRE(stat(directory.path().c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0700);
}

TEST_CASE("of two commands that make the same pod at once the second leaves it alone") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  REQUIRE(directory.Make(pod, "first") == absl::OkStatus());
  const std::string uid = directory.ReadRecord()->uid;
  CHECK(absl::IsAlreadyExists(directory.Make(pod, "second")));
  CHECK(directory.ReadRecord()->uid == uid);
  CHECK(directory.ReadDocuments().value() == "first");
}

TEST_CASE("a new pod does not get the volumes of one that a reboot has ended") {
  const Directories directories;
  const Pod pod = PodOf("");
  const std::string old = directories.paths.data + "/default_p/volume";
  REQUIRE(base::MakeDirs(old, 0755).ok());
  REQUIRE(directories.Of(pod).Make(pod, "text") == absl::OkStatus());
  struct stat found;
  CHECK(stat(old.c_str(), &found) != 0);
}

TEST_CASE("each pod with users of its own gets ids that no other pod has") {
  const Directories directories;
  Pod pod = PodOf("  hostUsers: false\n");
  REQUIRE(directories.Of(pod).Make(pod, "text") == absl::OkStatus());
  const auto first = directories.Of(pod).ReadRecord()->users;
  pod.metadata.name = "q";
  REQUIRE(directories.Of(pod).Make(pod, "text") == absl::OkStatus());
  CHECK(first == 131072);
  CHECK(directories.Of(pod).ReadRecord()->users == 196608);
  CHECK(FreeUsers({196608, 131072, 327680}) == 262144);
}

TEST_CASE("one process at a time has the lock") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  for (const Holder holder : {Holder::kSupervisor, Holder::kCommand}) {
    {
      const auto lock = directory.TryLock(holder);
      REQUIRE(lock.ok());
      CHECK(lock->has_value());
      CHECK(InChild([&] {
        return directory.IsLocked().value() &&
               !directory.TryLock(Holder::kSupervisor)->has_value() &&
               !directory.TryLock(Holder::kCommand)->has_value();
      }));
    }
    CHECK(InChild(
        [&] { return !directory.IsLocked().value() && directory.TryLock(holder)->has_value(); }));
  }
}

TEST_CASE("the supervisor that has the lock is ended, and nobody else") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  CHECK(directory.EndSupervisor() == absl::OkStatus());  // there is none
  for (const Holder holder : {Holder::kSupervisor, Holder::kCommand}) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      signal(SIGTERM, SIG_DFL);  // instead of Catch2's report
      const auto lock = directory.TryLock(holder);
      if (!lock.ok() || !lock->has_value() || write(ready[1], "", 1) != 1) _exit(1);
      while (true) pause();
    }
    char byte;
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    CHECK(directory.EndSupervisor() == absl::OkStatus());
    int status = 0;
    const pid_t ended = waitpid(pid, &status, WNOHANG);
    CHECK(ended == (holder == Holder::kSupervisor ? pid : 0));
    if (ended == pid) {
      CHECK(WTERMSIG(status) == SIGTERM);
      continue;
    }
    CHECK(directory.IsLocked().value());
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
  }
}

TEST_CASE("what a reboot has left of a pod is removed: sandboxes, logs, volumes") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  FakeRuntime runtime;
  CHECK(absl::IsNotFound(directory.RemoveRemains(runtime)));
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  const std::string logs =
      absl::StrCat(directories.paths.logs, "/default_p_", directory.ReadRecord()->uid);
  REQUIRE(base::MakeDirs(logs + "/c", 0755).ok());
  REQUIRE(base::MakeDirs(directory.data() + "/volume", 0755).ok());
  runtime.sandboxes.push_back({.id = "s0", .attempt = 0, .is_ready = false});
  CHECK(absl::IsNotFound(directory.RemoveRemains(runtime)));  // it exists
  CHECK(runtime.Calls().empty());
  REQUIRE(base::RemoveTree(directories.paths.state).ok());  // as a reboot does
  CHECK(directory.RemoveRemains(runtime) == absl::OkStatus());
  CHECK(runtime.Calls() == Texts{"stop s0", "remove s0"});
  CHECK(access(logs.c_str(), F_OK) != 0);
  CHECK(access(directory.data().c_str(), F_OK) != 0);
  CHECK(absl::IsNotFound(directory.RemoveRemains(runtime)));
}

TEST_CASE("what a command that was killed has made of a pod is removed, and its secrets with it") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  FakeRuntime runtime;
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  REQUIRE(directory.Disown() == absl::OkStatus());  // pod.json is written last
  CHECK_FALSE(directory.Exists());
  CHECK(directory.RemoveRemains(runtime) == absl::OkStatus());
  CHECK(access(directory.path().c_str(), F_OK) != 0);
  CHECK(access(directory.data().c_str(), F_OK) != 0);
}

TEST_CASE("a removal that was cut short is finished when the next pod is made") {
  const Directories directories;
  const Pod pod = PodOf("");
  const std::string gone = directories.paths.state + "/.gone-1234";
  REQUIRE(base::MakeDirs(gone + "/volumes/secret", 0755).ok());
  REQUIRE(directories.Of(pod).Make(pod, "text") == absl::OkStatus());
  CHECK(access(gone.c_str(), F_OK) != 0);
}

TEST_CASE("the supervisor tells of every change, although the command does not read") {
  const Directories directories;
  REQUIRE(base::MakeDirs(directories.root, 0755).ok());
  const std::string path = directories.root + "/status.json";
  auto pipe = linux::MakePipe();
  REQUIRE(pipe.ok());
  const int size = fcntl(pipe->write.get(), F_SETPIPE_SZ, 4096);
  REQUIRE(size >= 4096);
  Reporter reporter(path, pipe->write.get());
  PodReport report;
  for (int i = 0; i <= size; ++i) {
    report.message = absl::StrCat(i);
    reporter.Tell(report);
  }
  CHECK(DecodePodReport(base::ReadFile(path).value())->message == absl::StrCat(size));
  std::string bytes(static_cast<size_t>(size), 'x');
  CHECK(read(pipe->read.get(), bytes.data(), bytes.size()) > 0);
  // Nothing is told twice.
  REQUIRE(unlink(path.c_str()) == 0);
  reporter.Tell(report);
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("how a pod is survives being written and read") {
  PodReport report;
  report.phase = Phase::kFailed;
  report.is_over = true;
  report.message = "why \"so\"\n";
  report.containers.push_back({.name = "c",
                               .state = "Exited",
                               .attempt = 3,
                               .exit_code = 137,
                               .message = "OOMKilled",
                               .is_ready = true});
  const std::string text = EncodePodReport(report);
  const auto read = DecodePodReport(text);
  REQUIRE(read.ok());
  CHECK(read->phase == Phase::kFailed);
  CHECK(read->is_over);
  CHECK(read->message == report.message);
  REQUIRE(read->containers.size() == 1);
  CHECK_FALSE(read->is_ready);
  CHECK(read->containers[0].is_ready);
  CHECK(read->containers[0].attempt == 3);
  CHECK(read->containers[0].exit_code == 137);
  CHECK(read->containers[0].message == "OOMKilled");
}

TEST_CASE("files that are too much together for the supervisor are refused before a pod is made") {
  const Directories directories;
  PlayOptions options;
  options.paths = directories.paths;
  REQUIRE(base::MakeDirs(directories.root, 0755).ok());
  const auto add = [&](const std::string& text) {
    options.files.push_back(absl::StrCat(directories.root, "/", options.files.size(), ".yaml"));
    REQUIRE(base::WriteFileAtomic(options.files.back(), text, 0644).ok());
  };
  add(PodText(""));
  for (const char* name : {"m", "n"}) {
    std::string text =
        absl::StrCat("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ", name, "}\ndata:\n");
    for (int i = 0; i < 60'000; ++i) absl::StrAppend(&text, "  k", i, ": v\n");
    add(text);
  }
  CHECK(Play(options) == kExitUsage);
  CHECK(access(directories.paths.state.c_str(), F_OK) != 0);
}

TEST_CASE("endpoints are sockets, and directories absolute") {
  PlayOptions options;
  CHECK(SocketPath(options).value() == "/run/crisp/crisp.sock");
  options.endpoint = "/run/crisp.sock";
  CHECK(SocketPath(options).value() == "/run/crisp.sock");
  options.endpoint = "tcp://localhost:1";
  CHECK(SocketPath(options).status() ==
        absl::InvalidArgumentError(
            "endpoint \"tcp://localhost:1\" must be unix:// and an absolute path"));
  options.paths.data = "data";
  CHECK(SocketPath(options).status() ==
        absl::InvalidArgumentError("--data \"data\" must be an absolute path"));
}

}  // namespace crisp::cli
