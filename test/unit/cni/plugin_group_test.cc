// Plugins that outlive who has started them; needs root and cgroups.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cgroup/join.h"
#include "cni_fixture.h"

namespace crisp::cni {
namespace {

PodNetworkRequest RequestWithGroup() {
  const absl::StatusOr<const cgroup::Layout*> layout = cgroup::Detect();
  REQUIRE(layout.ok());
  const absl::StatusOr<std::string> own = cgroup::OwnDirectory(**layout);
  REQUIRE(own.ok());
  PodNetworkRequest request = PodRequest();
  request.plugin_group = absl::StrCat(*own, "/crisp-test-cni-", getpid());
  return request;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// A process that attaches and is killed while the plugin hangs, as crispd may be.
void AttachAndDie(const EvilNetwork& evil, const PodNetworkRequest& request) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    (void)NewNetwork(evil.options)->Attach(request, In(absl::Minutes(1)));
    _exit(1);
  }
  for (int i = 0; i < 2000 && evil.Calls().empty(); ++i) usleep(5000);
  REQUIRE(evil.CallNames() == "ADD:");
  REQUIRE(kill(pid, SIGKILL) == 0);
  REQUIRE(waitpid(pid, nullptr, 0) == pid);
}

}  // namespace

TEST_CASE("an ADD that outlived crispd, and all it has started, is ended before the DEL") {
  const PodNetworkRequest request = RequestWithGroup();
  EvilNetwork evil;
  evil.Configure({{{"ADD", "hang"}}});
  AttachAndDie(evil, request);
  const pid_t group = evil.Calls().front()["group"];
  REQUIRE(kill(-group, 0) == 0);
  const absl::Status detached = NewNetwork(evil.options)->Detach(request, In(absl::Seconds(10)));
  INFO(detached);
  CHECK(detached.ok());
  CHECK(evil.CallNames() == "ADD: DEL:");
  CHECK(GroupIsGone(group));
  CHECK_FALSE(Exists(request.plugin_group));
}

TEST_CASE("an ADD that outlived crispd is ended also when the network is gone") {
  const PodNetworkRequest request = RequestWithGroup();
  EvilNetwork evil;
  evil.Configure({{{"ADD", "hang"}}});
  AttachAndDie(evil, request);
  REQUIRE(base::RemoveTree(evil.options.cache_dir).ok());
  Options none = evil.options;
  none.conf_dir = "/nonexistent";
  CHECK(NewNetwork(none)->Detach(request, In(absl::Seconds(10))).ok());
  CHECK(GroupIsGone(evil.Calls().front()["group"]));
  CHECK_FALSE(Exists(request.plugin_group));
}

TEST_CASE("an ADD that outlived crispd gets the time to finish before the DEL") {
  const PodNetworkRequest request = RequestWithGroup();
  EvilNetwork evil;
  evil.Configure({{{"ADD", "slow"}}});
  AttachAndDie(evil, request);
  CHECK(NewNetwork(evil.options)->Detach(request, In(absl::Seconds(10))).ok());
  CHECK(evil.CallNames() == "ADD: finished: DEL:");
}

TEST_CASE("what a plugin leaves in a session of its own ends with it") {
  const PodNetworkRequest request = RequestWithGroup();
  EvilNetwork evil;
  evil.Configure({{{"ADD", "session"}}});
  REQUIRE(NewNetwork(evil.options)->Attach(request, In(absl::Seconds(10))).ok());
  const pid_t left = evil.Calls().back()["left"];
  CHECK(GroupIsGone(left));
  CHECK_FALSE(Exists(request.plugin_group));
  CHECK(NewNetwork(evil.options)->Detach(request, In(absl::Seconds(10))).ok());
}

TEST_CASE("what STATUS and GC leave in a session of its own ends with them") {
  EvilNetwork evil;
  evil.options.groups = RequestWithGroup().plugin_group + "-";
  evil.Configure({{{"STATUS", "session"}, {"GC", "session"}}}, "1.1.0");
  const auto network = NewNetwork(evil.options);
  CHECK(Judged(*network).ok());
  CHECK(network->CollectGarbage({}, In(absl::Seconds(10))).ok());
  CHECK(evil.CallNames() == "STATUS: left: GC: left:");
  for (const base::Json& call : evil.Calls()) {
    if (call.contains("left")) CHECK(GroupIsGone(call["left"]));
  }
  CHECK_FALSE(Exists(evil.options.groups + "status"));
  CHECK_FALSE(Exists(evil.options.groups + "gc"));
}

}  // namespace crisp::cni
