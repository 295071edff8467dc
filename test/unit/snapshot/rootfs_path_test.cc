// linux::OpenInRoot, OpenBeneath and MakeDirsInRoot against links and "..".
#include "linux/rootfs_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"

namespace crisp::linux {
namespace {

struct Tree {
  Tree() {
    char name[] = "/tmp/crisp-rootfs-path-XXXXXX";
    top = mkdtemp(name);
    REQUIRE(mkdir((top + "/root").c_str(), 0755) == 0);
    REQUIRE(mkdir((top + "/outside").c_str(), 0755) == 0);
    fd = std::move(base::Open(top + "/root", O_PATH | O_DIRECTORY)).value();
  }
  ~Tree() { REQUIRE(base::RemoveTree(top).ok()); }
  void Link(const std::string& target, const std::string& name) {
    REQUIRE(symlink(target.c_str(), (top + "/root/" + name).c_str()) == 0);
  }
  bool Exists(const std::string& path) { return access((top + "/" + path).c_str(), F_OK) == 0; }
  std::string top;
  base::UniqueFd fd;
};

TEST_CASE("links and \"..\" do not lead out of the root") {
  Tree tree;
  tree.Link("/outside", "absolute");
  tree.Link("../outside", "up");
  tree.Link("loop", "loop");
  constexpr int kDir = O_PATH | O_DIRECTORY;
  for (const char* path : {"../outside", "/../outside", "absolute", "up", "a/../../outside"}) {
    REQUIRE(absl::IsNotFound(OpenInRoot(tree.fd.get(), path, kDir).status()));
    REQUIRE_FALSE(OpenBeneath(tree.fd.get(), path, kDir).ok());
  }
  REQUIRE_FALSE(OpenInRoot(tree.fd.get(), "loop/x", kDir).ok());
  REQUIRE_FALSE(MakeDirsInRoot(tree.fd.get(), "loop/x", 0755).ok());
  REQUIRE_FALSE(MakeDirsInRoot(tree.fd.get(), std::string("a\0b", 3), 0755).ok());
  // The directories exist inside, and nothing was made outside.
  for (const char* path : {"../x1", "/../../x2", "absolute/x3", "up/x4", "new/../../x5"}) {
    REQUIRE(MakeDirsInRoot(tree.fd.get(), path, 0755).ok());
  }
  REQUIRE(tree.Exists("root/x1"));
  REQUIRE(tree.Exists("root/x2"));
  REQUIRE(tree.Exists("root/outside/x3"));
  REQUIRE(tree.Exists("root/outside/x4"));
  REQUIRE(tree.Exists("root/x5"));
  REQUIRE(base::ListDir(tree.top + "/outside")->empty());
  REQUIRE(base::ListDir(tree.top)->size() == 2);
}

TEST_CASE("created directories are reported without links; a file in the path is an error") {
  Tree tree;
  tree.Link("real/deep", "alias");
  std::vector<std::string> created;
  REQUIRE(MakeDirsInRoot(tree.fd.get(), "alias/x", 0700, &created).ok());
  REQUIRE(created == std::vector<std::string>{"real", "real/deep", "real/deep/x"});
  REQUIRE(OpenInRoot(tree.fd.get(), "file", O_CREAT | O_WRONLY, 0600).ok());
  REQUIRE_FALSE(MakeDirsInRoot(tree.fd.get(), "file/x", 0755).ok());
}

TEST_CASE("magic links are refused") {
  auto proc = base::Open("/proc", O_PATH | O_DIRECTORY);
  REQUIRE_FALSE(OpenInRoot(proc->get(), "self/root/etc", O_PATH).ok());
  REQUIRE_FALSE(OpenInRoot(proc->get(), "self/cwd", O_PATH | O_DIRECTORY).ok());
}

TEST_CASE("a path is resolved inside the root, and what does not exist stays as it is written") {
  Tree tree;
  REQUIRE(mkdir((tree.top + "/root/run").c_str(), 0755) == 0);
  REQUIRE(mkdir((tree.top + "/root/var").c_str(), 0755) == 0);
  tree.Link("../../run", "var/run");
  tree.Link("/missing/deep", "dangling");
  tree.Link("/", "all");
  tree.Link("loop", "loop");
  REQUIRE(base::WriteFileAtomic(tree.top + "/root/file", "", 0644).ok());
  const auto resolve = [&](const char* path) { return ResolveInRoot(tree.fd.get(), path); };
  CHECK(*resolve("/var/run") == "/run");
  CHECK(*resolve("/var/run/x/y") == "/run/x/y");
  CHECK(*resolve("/dangling/x") == "/missing/deep/x");
  CHECK(*resolve("/missing/../var/run") == "/run");
  CHECK(*resolve("/all") == "/");
  CHECK(*resolve("../../run") == "/run");
  CHECK_FALSE(resolve("/loop").ok());
  CHECK_FALSE(resolve("/file").ok());
  CHECK_FALSE(resolve("/file/x").ok());
  CHECK(base::ListDir(tree.top + "/root")->size() == 6);
}

}  // namespace
}  // namespace crisp::linux
