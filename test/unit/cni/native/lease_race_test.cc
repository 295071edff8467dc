// Two crispds on one host, each with a configuration of its own and one directory of leases: as
// processes, because the lock and the files are all that they share.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
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

constexpr int kRounds = 200;

// As many addresses as pods: each ADD comes to one that is taken, or that is just being taken.
HostLocalConf ConfOfThree(const std::string& directory) {
  base::Json json = BridgeJson();
  json["ipam"]["ranges"] = base::Json::parse(
      R"([[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.2", "rangeEnd": "10.1.0.4"}]])");
  HostLocalConf conf = DecodeBridge(json.dump())->ipam;
  conf.directory = directory;
  return conf;
}

// Where two processes wait for each other.
struct Meeting {
  pthread_barrier_t* barrier = static_cast<pthread_barrier_t*>(
      mmap(nullptr, sizeof(pthread_barrier_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
           -1, 0));
  Meeting() {
    pthread_barrierattr_t attributes;
    REQUIRE(pthread_barrierattr_init(&attributes) == 0);
    REQUIRE(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    REQUIRE(pthread_barrier_init(barrier, &attributes, 2) == 0);
  }
  ~Meeting() { munmap(barrier, sizeof(*barrier)); }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  void Wait() const { pthread_barrier_wait(barrier); }
};

// The file is there while a pod has the address.
bool Occupy(const std::string& used, const Address& address) {
  return base::Open(base::JoinPath(used, ToString(address)), O_WRONLY | O_CREAT | O_EXCL, 0600)
      .ok();
}

// Adds and deletes pods at the same time as the other one; 0, or what went wrong first.
int Live(const HostLocalConf& conf, const std::string& used, const std::string& name,
         const Meeting& meeting) {
  int wrong = 0;
  const auto check = [&wrong](bool right, int code) {
    if (!right && wrong == 0) wrong = code;
  };
  for (int round = 0; round < kRounds; ++round) {
    const LeaseOwner pod = {absl::StrCat(name, round), "eth0"};
    meeting.Wait();
    const auto leases = Reserve(conf, pod, Soon());
    const bool added = leases.ok() && leases->size() == 1;
    check(added, 1);
    check(added && Occupy(used, leases->front().address.address), 2);
    meeting.Wait();
    const auto owned = FindLeases(conf, pod, Soon());
    check(owned.ok() && owned->size() == 1, 3);
    if (added && wrong == 0) {
      check(unlink(base::JoinPath(used, ToString(owned->front())).c_str()) == 0, 4);
    }
    check(Release(conf, pod, Soon()).ok(), 5);
  }
  return wrong;
}

}  // namespace

TEST_CASE("two crispds that share a directory of leases never give one address twice") {
  LeaseDir dir;
  const std::string used = base::JoinPath(dir.path, "used");
  REQUIRE(base::MakeDirs(used, 0700).ok());
  const HostLocalConf conf = ConfOfThree(base::JoinPath(dir.path, "leases"));
  const LeaseOwner stays = {"stays", "eth0"};
  const auto lease = Reserve(conf, stays, Soon());
  REQUIRE(lease.ok());
  REQUIRE(Occupy(used, lease->front().address.address));
  const Meeting meeting;
  std::vector<pid_t> children;
  for (const char* name : {"a", "b"}) {
    children.push_back(fork());
    if (children.back() == 0) _exit(Live(conf, used, name, meeting));
  }
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(*base::ListDir(used) == std::vector<std::string>{"10.1.0.2"});
  CHECK(*FindLeases(conf, stays, Soon()) == std::vector<Address>{*ParseAddress("10.1.0.2")});
  CHECK(*base::ListDir(conf.directory) ==
        std::vector<std::string>{"10.1.0.2", "last_reserved_ip.0", "lock"});
}
