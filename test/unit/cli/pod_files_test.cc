// The files of a pod that need no mount. Those that do: test/integration/play_test.cc.
#include "cli/pod_files.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "cli/play_directory.h"
#include "cli/pod_messages.h"
#include "manifest_fixture.h"
#include "test/unit/killed_process.h"

namespace crisp::cli {
namespace {

struct Files {
  explicit Files(const std::string& spec) : pod(PodOf(spec)), instance(TestInstance(pod)) {
    instance.directory = paths.state + "/default_p";
    instance.disk_directory = paths.data + "/default_p";
    instance.logs = paths.logs;
  }
  ~Files() { CHECK(base::RemoveTree(root).ok()); }
  const Container& container() const { return pod.spec.containers[0]; }
  std::string Log() const { return LogDirectory(pod, instance) + "/c/0.log"; }
  void Write(const std::string& path, const std::string& text) const {
    REQUIRE(base::MakeDirs(path.substr(0, path.rfind('/')), 0755).ok());
    REQUIRE(base::WriteFileAtomic(path, text, 0644).ok());
  }
  size_t CountLogs() const { return base::ListDir(LogDirectory(pod, instance) + "/c")->size(); }

  const std::string root = absl::StrCat("/tmp/crisp-pod-files-", base::NewId());
  const PlayPaths paths = {
      .state = root + "/state", .data = root + "/data", .logs = root + "/logs"};
  const Pod pod;
  const Manifest objects;
  const Node node = TestNode();
  PodInstance instance;
  HostPodFiles files{pod, objects, instance, node};
};

constexpr char kLine[] = "2026-11-29T00:17:09.669794202Z stderr F the disk is full\n";

}  // namespace

TEST_CASE("files that a container can write without end are on disk, not in the host's memory") {
  const Files fixture("");
  for (const std::string& path :
       {HostsPath(fixture.instance), TerminationLog(fixture.container(), 0, fixture.instance)})
    CHECK_THAT(path, Catch::StartsWith(fixture.paths.data + "/default_p/."));
}

TEST_CASE("a container says of its end what is in its termination message, at most 4096 bytes") {
  Files fixture("");
  const std::string path = TerminationLog(fixture.container(), 0, fixture.instance);
  CHECK(fixture.files.EndMessage(fixture.container(), 0, true) == "");
  fixture.Write(path, "done");
  CHECK(fixture.files.EndMessage(fixture.container(), 0, false) == "done");
  fixture.Write(path, std::string(5000, 'a') + "b");
  CHECK(fixture.files.EndMessage(fixture.container(), 0, false) == std::string(4095, 'a') + "b");
}

TEST_CASE("the end of the log takes its place where the policy says so and it has failed") {
  Files log("    terminationMessagePolicy: FallbackToLogsOnError\n");
  log.Write(log.Log(), kLine);
  CHECK(log.files.EndMessage(log.container(), 0, true) == "the disk is full");
  CHECK(log.files.EndMessage(log.container(), 0, false) == "");
  log.Write(TerminationLog(log.container(), 0, log.instance), "own words");
  CHECK(log.files.EndMessage(log.container(), 0, true) == "own words");
  Files none("");
  none.Write(none.Log(), kLine);
  CHECK(none.files.EndMessage(none.container(), 0, true) == "");
}

TEST_CASE("a log is rotated once it has 10 MiB, and five files are kept") {
  Files fixture("");
  int reopened = 0;
  const auto reopen = [&] {
    ++reopened;
    fixture.Write(fixture.Log(), "new");
    return absl::OkStatus();
  };
  const auto rotate = [&](off_t size) {
    fixture.Write(fixture.Log(), "old");
    REQUIRE(truncate(fixture.Log().c_str(), size) == 0);
    return fixture.files.RotateLog(fixture.container(), 0, reopen);
  };
  CHECK(rotate((10 << 20) - 1) == absl::OkStatus());
  CHECK(reopened == 0);
  for (int i = 0; i < 6; ++i) {
    CHECK(rotate(10 << 20) == absl::OkStatus());
    CHECK(base::ReadFile(fixture.Log()).value() == "new");
  }
  CHECK(reopened == 6);
  CHECK(fixture.CountLogs() == 5);
  fixture.files.Forget(fixture.container(), 0);
  CHECK(fixture.CountLogs() == 0);
}

TEST_CASE("a log that the runtime cannot reopen keeps its name") {
  Files fixture("");
  fixture.Write(fixture.Log(), "old");
  REQUIRE(truncate(fixture.Log().c_str(), 10 << 20) == 0);
  const absl::Status refused = absl::UnavailableError("no shim");
  CHECK(fixture.files.RotateLog(fixture.container(), 0, [&] { return refused; }) == refused);
  CHECK(access(fixture.Log().c_str(), F_OK) == 0);
  CHECK(fixture.CountLogs() == 1);
}

TEST_CASE("a rotation that was cut short is finished, and a new log is not lost with the answer") {
  Files fixture("");
  fixture.Write(fixture.Log() + ".20261129-001709.000000", "old");
  const auto reopen = [&] {
    fixture.Write(fixture.Log(), "new");
    return absl::OkStatus();
  };
  CHECK(fixture.files.RotateLog(fixture.container(), 0, reopen) == absl::OkStatus());
  CHECK(base::ReadFile(fixture.Log()).value() == "new");
  REQUIRE(truncate(fixture.Log().c_str(), 10 << 20) == 0);
  const auto lost = [&] {
    fixture.Write(fixture.Log(), "newer");
    return absl::UnavailableError("socket closed");
  };
  CHECK(absl::IsUnavailable(fixture.files.RotateLog(fixture.container(), 0, lost)));
  CHECK(base::ReadFile(fixture.Log()).value() == "newer");
  CHECK(fixture.CountLogs() == 3);
}

TEST_CASE("a removal that is killed at any moment leaves a whole pod or none") {
  Files fixture("");
  const PodDirectory directory(fixture.paths, "default", "p");
  const int changes = test::KillBeforeEachChange(
      [&] {
        if (!directory.Exists()) REQUIRE(directory.Make(fixture.pod, "text").ok());
        fixture.Write(fixture.Log(), kLine);
        fixture.Write(fixture.instance.disk_directory + "/volume/file", "data");
        fixture.Write(HostsPath(fixture.instance), "hosts");
      },
      [&] { return fixture.files.Remove().ok(); },
      [&](bool killed) {
        if (directory.Exists()) {
          CHECK(killed);
          CHECK(directory.ReadRecord().ok());
          CHECK(directory.ReadDocuments().value() == "text");
          CHECK(fixture.files.Remove() == absl::OkStatus());
        }
        CHECK_FALSE(directory.Exists());
        const std::vector<std::string> left = base::ListDir(fixture.paths.state).value();
        for (const std::string& name : left) CHECK_THAT(name, Catch::StartsWith(".gone-"));
      });
  CHECK(changes > 8);
}

}  // namespace crisp::cli
