#include "integration/cni_host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/errno.h"
#include "base/file.h"
#include "cni/netns.h"
#include "linux/spawn.h"
#include "unit/cni/namespace_socket.h"

namespace crisp::cni {
namespace {

constexpr char kSystemPath[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

std::string Output(const std::string& command) {
  const auto run = linux::Run({"/bin/sh", {"sh", "-c", command}, {kSystemPath}}, "", {});
  return run.ok() ? run->out : std::string(run.status().message());
}

std::string OutputIn(int netns, const std::string& command) {
  std::string output;
  CHECK(RunInNetns(netns, [&] {
          output = Output(command);
          return absl::OkStatus();
        }).ok());
  return output;
}

size_t CountVeths() {
  std::istringstream links(Output("ip -o link"));
  size_t count = 0;
  for (std::string line; std::getline(links, line);) count += absl::StrContains(line, ": veth");
  return count;
}

Machine::Machine(const std::string& dir, const std::string& name) {
  std::thread([this] {
    if (unshare(CLONE_NEWNET) == 0) netns = *base::Open("/proc/thread-self/ns/net", O_RDONLY);
  }).join();
  request.sandbox_id = std::string(64 - name.size(), '0') + name;
  request.pod_name = name;
  request.pod_namespace = "default";
  request.pod_uid = "uid";
  request.netns_path = *PinNetns(netns.get(), name, base::JoinPath(dir, "netns"));
}

void Machine::Serve() { server = *ServerIn(netns.get(), kPort); }

void Machine::Vanish() {
  server.reset();
  netns.reset();
  REQUIRE(UnpinNetns(request.netns_path).ok());
}

std::string SeenFrom(int netns, const std::string& ip, const Machine& to, uint16_t port) {
  const auto fd = SocketIn(netns);
  if (!fd.ok()) return std::string(fd.status().message());
  const sockaddr_in address = Address(ip, port);
  if (connect(fd->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoText(errno);
  }
  sockaddr_in peer = {};
  socklen_t size = sizeof(peer);
  const base::UniqueFd accepted(accept(to.server.get(), reinterpret_cast<sockaddr*>(&peer), &size));
  if (!accepted.valid()) return base::ErrnoText(errno);
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
}

Host::Host(const std::string& conf) {
  REQUIRE(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
  REQUIRE(mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0);
  REQUIRE(SetLoopbackUp(base::Open("/proc/thread-self/ns/net", O_RDONLY)->get()).ok());
  char name[] = "/tmp/crisp-native-network-XXXXXX";
  dir = mkdtemp(name);
  options.conf_dir = base::JoinPath(dir, "net.d");
  options.plugin_dirs = {base::JoinPath(dir, "bin"), "/usr/lib/cni"};
  options.cache_dir = base::JoinPath(dir, "cache");
  for (const std::string& made : {options.conf_dir, options.plugin_dirs[0]}) {
    REQUIRE(base::MakeDirs(made, 0755).ok());
  }
  for (const char* plugin : {"bridge", "loopback", "portmap"}) {
    const std::string text = absl::StrCat("#!/bin/sh\necho ", plugin, " $CNI_COMMAND >>", dir,
                                          "/executed\nexec /usr/lib/cni/", plugin, "\n");
    REQUIRE(base::WriteFileAtomic(base::JoinPath(options.plugin_dirs[0], plugin), text, 0755).ok());
  }
  REQUIRE(base::WriteFileAtomic(base::JoinPath(options.conf_dir, "1.conflist"),
                                absl::StrReplaceAll(conf, {{"$DIR", dir}}), 0644)
              .ok());
  for (const By by : {By::kPlugins, By::kEngine}) {
    options.native = by == By::kEngine;
    networks[static_cast<int>(by)] = NewNetwork(options);
  }
}

void Host::Stop() {
  for (auto& network : networks) network.reset();
}

Host::~Host() {
  Stop();
  umount2(base::JoinPath(dir, "netns").c_str(), MNT_DETACH);
  (void)base::RemoveTree(dir);
}

absl::StatusOr<PodNetwork> Host::Add(By by, const Machine& pod) const {
  auto added = networks[static_cast<int>(by)]->Attach(pod.request, Soon());
  INFO(added.status().message());
  CHECK(added.ok());
  return added;
}

absl::Status Host::Del(By by, const Machine& pod) const {
  return networks[static_cast<int>(by)]->Detach(pod.request, Soon());
}

std::string Host::Executed() const {
  const std::string path = base::JoinPath(dir, "executed");
  const std::string text = base::ReadFile(path).value_or("");
  (void)base::RemoveTree(path);
  return absl::StrReplaceAll(text, {{"\n", ";"}});
}

std::vector<std::string> Host::Leases() const {
  std::vector<std::string> leases;
  const auto names = base::ListDir(base::JoinPath(dir, "leases/crt"));
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const bool address = name.find_first_of(".:") != std::string::npos && name[0] != 'l';
    if (address) leases.push_back(name);
  }
  return leases;
}

}  // namespace crisp::cni
