// Two crispds on one host, each with a configuration of its own and one directory of leases: as
// processes, because the lock and the files are all that they share.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cni/native/host_local.h"
#include "native_fixture.h"

using namespace crisp;
using namespace crisp::cni::native;

namespace {

constexpr int kRounds = 150;
constexpr int kHeld = 2;  // pods of one crispd at a time

HostLocalConf Conf(const std::string& directory) {
  base::Json json = BridgeJson();
  // Six addresses for at most four pods, so that each is soon used again.
  json["ipam"]["ranges"] = base::Json::parse(R"([[{"subnet": "10.1.0.0/29"}]])");
  HostLocalConf conf = DecodeBridge(json.dump())->ipam;
  conf.directory = directory;
  return conf;
}

// The file is there while a pod has the address: nobody else may make it.
bool Occupy(const std::string& path) {
  return base::Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600).ok();
}

// Adds and deletes pods; 0, or what went wrong.
int Run(const HostLocalConf& conf, const std::string& used, const std::string& name) {
  for (int round = 0; round < kRounds; ++round) {
    std::vector<LeaseOwner> pods;
    std::vector<std::string> files;
    for (int i = 0; i < kHeld; ++i) {
      pods.push_back({absl::StrCat(name, round, "-", i), "eth0"});
      const auto leases = Reserve(conf, pods.back(), Soon());
      if (!leases.ok() || leases->size() != 1) return 1;
      files.push_back(base::JoinPath(used, ToString(leases->front().address.address)));
      if (!Occupy(files.back())) return 2;
    }
    for (int i = 0; i < kHeld; ++i) {
      const auto owned = FindLeases(conf, pods[i], Soon());
      if (!owned.ok() || owned->size() != 1) return 3;
      if (unlink(files[i].c_str()) != 0) return 4;
      if (!Release(conf, pods[i], Soon()).ok()) return 5;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("two crispds that share a directory of leases never give one address twice") {
  LeaseDir dir;
  const std::string used = base::JoinPath(dir.path, "used");
  REQUIRE(base::MakeDirs(used, 0700).ok());
  const HostLocalConf conf = Conf(base::JoinPath(dir.path, "leases"));
  std::vector<pid_t> children;
  for (const char* name : {"a", "b"}) {
    children.push_back(fork());
    if (children.back() == 0) _exit(Run(conf, used, name));
  }
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(*base::ListDir(conf.directory) == std::vector<std::string>{"last_reserved_ip.0", "lock"});
  CHECK(base::ListDir(used)->empty());
}
