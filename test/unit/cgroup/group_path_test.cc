#include "cgroup/group_path.h"

#include <catch2/catch.hpp>

using namespace crisp::cgroup;

namespace {

const std::string kPod(64, 'a');
const std::string kContainer(64, 'c');
const std::string kScope = "/a.slice/a-b.slice/crisp-pod-" + std::string(32, 'a') + ".scope";
const std::string kOldScope = "/a.slice/a-b.slice/crisp-" + kPod + ".scope";

}  // namespace

TEST_CASE("with the cgroupfs driver pause and containers are below the pod's group") {
  for (const char* parent : {"pods/x", "/pods/x", "/pods/x/"}) {
    CHECK(GroupPath(parent, kPod) == "/pods/x/" + kPod);
    CHECK(GroupPath(parent, kContainer) == "/pods/x/" + kContainer);
  }
  CHECK(GroupPath("/", kContainer) == "/" + kContainer);
  CHECK(GroupAbove("/pods/x/" + kPod) == "/pods/x");
  CHECK(GroupAbove("/" + kPod).empty());
}

TEST_CASE("with the systemd driver pause is in the pod's scope, a container beside it") {
  CHECK(PodScopePath("a-b.slice", kPod) == kScope);
  CHECK(GroupPath(kScope, kPod) == kScope + "/" + kPod);
  CHECK(GroupPath(kScope, kContainer) ==
        "/a.slice/a-b.slice/cri-containerd-" + kContainer + ".scope");
  CHECK(GroupAbove(GroupPath(kScope, kPod)) == "/a.slice/a-b.slice");
  const std::string top = PodScopePath("-.slice", kPod);
  CHECK(GroupPath(top, kContainer) == "/cri-containerd-" + kContainer + ".scope");
  CHECK(GroupAbove(GroupPath(top, kPod)).empty());
}

TEST_CASE("pods of crisp 0.1 have all of their groups in the scope") {
  CHECK(GroupPath(kOldScope, kPod) == kOldScope + "/" + kPod);
  CHECK(GroupPath(kOldScope, kContainer) == kOldScope + "/" + kContainer);
  CHECK(GroupAbove(kOldScope + "/" + kPod) == kOldScope);
}

TEST_CASE("a scope is the pod's that it is named after") {
  const std::string other(64, 'b');
  for (const std::string& scope : {kScope, kOldScope}) {
    CHECK(IsPodScope(scope, kPod));
    CHECK_FALSE(IsPodScope(scope, other));
    CHECK_FALSE(IsPodScope(scope + "/x", kPod));
  }
  CHECK_FALSE(IsPodScope("/a.slice", kPod));
}

TEST_CASE("a group is known by its name again") {
  for (const std::string& parent : {kScope, kOldScope, std::string("/pods")}) {
    for (const std::string& id : {kPod, kContainer}) {
      const std::string path = GroupPath(parent, id);
      CHECK(IdOfGroup(path.substr(path.rfind('/') + 1)) == id);
    }
  }
  CHECK(IdOfGroup("init.scope") == "init.scope");
}
