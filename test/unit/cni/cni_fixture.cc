#include "cni_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"

namespace crisp::cni {
namespace {

// Before main and before any thread: the tests change loopback and mounts in namespaces of their
// own, and need no root.
[[maybe_unused]] const bool own_namespaces = [] {
  const uid_t uid = getuid();
  const int user = uid == 0 ? 0 : CLONE_NEWUSER;
  if (unshare(user | CLONE_NEWNS | CLONE_NEWNET) != 0) {
    perror("unshare");
    abort();
  }
  if (user != 0) {
    (void)base::WriteExisting("/proc/self/uid_map", absl::StrCat("0 ", uid, " 1"));
  }
  return mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0;
}();

// A zombie does not count: PID 1 reaps it in its own time. /proc/<pid>/stat: pid (name) state ppid
// pgrp.
bool HasLivingMember(pid_t group) {
  const std::vector<std::string> pids = *base::ListDir("/proc");
  for (const std::string& pid : pids) {
    const std::string stat = base::ReadFile(base::JoinPath("/proc", pid, "stat")).value_or("");
    char state = 'X';
    int parent = 0, member_of = 0;
    const size_t name_end = stat.rfind(')');
    if (pid.find_first_not_of("0123456789") != std::string::npos || name_end == std::string::npos) {
      continue;
    }
    sscanf(stat.c_str() + name_end + 1, " %c %d %d", &state, &parent, &member_of);
    if (member_of == group && state != 'Z' && state != 'X') return true;
  }
  return false;
}

}  // namespace

TempDir::TempDir() {
  char name[] = "/tmp/crisp-cni-test-XXXXXX";
  path = mkdtemp(name);
}
TempDir::~TempDir() { (void)base::RemoveTree(path); }

std::string TempDir::Write(const std::string& name, const std::string& text) const {
  const std::string file = base::JoinPath(path, name);
  REQUIRE(base::WriteFileAtomic(file, text, 0644).ok());
  return file;
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }
bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
size_t OpenDescriptors() { return base::ListDir("/proc/self/fd")->size(); }

absl::StatusOr<std::vector<InterfaceStats>> InterfacesIn(int netns_fd) {
  absl::StatusOr<std::vector<InterfaceStats>> interfaces = absl::UnknownError("not read");
  const absl::Status ran = RunInNetns(netns_fd, [&] {
    const auto self = base::Open("/proc/thread-self", O_PATH | O_DIRECTORY);
    REQUIRE(self.ok());
    interfaces = ReadInterfaceStats(self->get());
    return absl::OkStatus();
  });
  return ran.ok() ? interfaces : ran;
}

bool GroupIsGone(pid_t group) {
  for (int i = 0; i < 200; ++i) {
    if (!HasLivingMember(group)) return true;
    absl::SleepFor(absl::Milliseconds(10));  // no event tells the end of processes of others
  }
  return false;
}

absl::Status Judged(Network& network) {
  const base::Deadline give_up = In(absl::Seconds(10));
  absl::Status ready = network.State().ready;
  while (Contains(Text(ready), "is not known yet") && !give_up.Passed()) {
    absl::SleepFor(absl::Milliseconds(5));
    ready = network.State().ready;
  }
  return ready;
}

EvilNetwork::EvilNetwork() {
  options.conf_dir = base::JoinPath(dir.path, "net.d");
  options.plugin_dirs = {base::JoinPath(dir.path, "bin")};
  options.cache_dir = base::JoinPath(dir.path, "cache");
  REQUIRE(base::MakeDirs(options.conf_dir, 0755).ok());
  REQUIRE(base::MakeDirs(options.plugin_dirs[0], 0755).ok());
  REQUIRE(symlink(CNI_EVIL, base::JoinPath(options.plugin_dirs[0], "cni_evil").c_str()) == 0);
}

void EvilNetwork::Configure(const base::Json& plugins, const std::string& version,
                            const std::string& name) const {
  base::Json list = {{"cniVersion", version}, {"name", name}, {"plugins", plugins}};
  for (base::Json& plugin : list["plugins"]) {
    plugin["type"] = "cni_evil";
    plugin["log"] = base::JoinPath(dir.path, "log");
  }
  (void)dir.Write("net.d/10-evil.conflist", list.dump());
}

std::vector<base::Json> EvilNetwork::Calls() const {
  std::vector<base::Json> calls;
  std::istringstream log(base::ReadFile(base::JoinPath(dir.path, "log")).value_or(""));
  for (std::string line; std::getline(log, line);) calls.push_back(base::Json::parse(line));
  return calls;
}

std::string EvilNetwork::CallNames() const {
  return absl::StrJoin(Calls(), " ", [](std::string* out, const base::Json& call) {
    absl::StrAppend(out, call["verb"].get<std::string>(), ":", call["tag"].get<std::string>());
  });
}

std::vector<std::string> EvilNetwork::CacheFiles() const {
  return base::ListDir(base::JoinPath(options.cache_dir, "results"))
      .value_or(std::vector<std::string>());
}

PodNetworkRequest PodRequest() {
  PodNetworkRequest request;
  request.sandbox_id = std::string(64, 'a');
  request.pod_name = "web-0";
  request.pod_namespace = "shop";
  request.pod_uid = "6f1c";
  request.netns_path = "/proc/self/ns/net";
  return request;
}

}  // namespace crisp::cni
