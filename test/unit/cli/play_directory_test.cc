#include "cli/play_directory.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/id.h"
#include "cli/play.h"
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

TEST_CASE("one supervisor at a time has the lock") {
  const Directories directories;
  const Pod pod = PodOf("");
  const PodDirectory directory = directories.Of(pod);
  REQUIRE(directory.Make(pod, "text") == absl::OkStatus());
  {
    const auto lock = directory.TryLock();
    REQUIRE(lock.ok());
    CHECK(lock->has_value());
    const auto second = directory.TryLock();
    REQUIRE(second.ok());
    CHECK_FALSE(second->has_value());
  }
  CHECK(directory.TryLock()->has_value());
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
  CHECK(text.find('\n') == text.size() - 1);  // a line
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

TEST_CASE("endpoints are sockets") {
  CHECK(SocketPath("unix:///run/crisp/crisp.sock").value() == "/run/crisp/crisp.sock");
  CHECK(SocketPath("/run/crisp.sock").value() == "/run/crisp.sock");
  CHECK(SocketPath("tcp://localhost:1").status() ==
        absl::InvalidArgumentError(
            "endpoint \"tcp://localhost:1\" must be unix:// and an absolute path"));
}

}  // namespace crisp::cli
