#include "cli/node_facts.h"

#include <arpa/inet.h>
#include <glob.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::cli {
namespace {

constexpr char kHugePages[] = "/sys/kernel/mm/hugepages";

std::vector<std::string> Matching(const char* pattern) {
  glob_t found = {};
  std::vector<std::string> paths;
  if (glob(pattern, 0, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

bool IsThere(const char* pattern) { return !Matching(pattern).empty(); }

// "hugepages-2048kB" -> "2MB"
std::vector<std::string> HugePageSizes() {
  std::vector<std::string> sizes;
  const auto names = base::ListDir(kHugePages);
  if (!names.ok()) return sizes;
  for (const std::string& name : *names) {
    absl::string_view number = name;
    uint64_t kilobytes = 0;
    if (!absl::ConsumePrefix(&number, "hugepages-") || !absl::ConsumeSuffix(&number, "kB") ||
        !absl::SimpleAtoi(number, &kilobytes))
      continue;
    const char* units[] = {"KB", "MB", "GB"};
    size_t unit = 0;
    for (; unit < 2 && kilobytes % 1024 == 0; ++unit) kilobytes /= 1024;
    sizes.push_back(absl::StrCat(kilobytes, units[unit]));
  }
  return sizes;
}

// The address from which packets to the world leave. Connecting a datagram socket sends none.
std::string OwnAddress() {
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in world = {}, own = {};
  world.sin_family = AF_INET;
  world.sin_port = htons(9);
  inet_pton(AF_INET, "198.51.100.1", &world.sin_addr);  // of documentation: never one of ours
  socklen_t size = sizeof(own);
  char text[INET_ADDRSTRLEN];
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&world), sizeof(world)) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0)
    return "127.0.0.1";
  return inet_ntop(AF_INET, &own.sin_addr, text, sizeof(text));
}

std::string TextOf(const char* path) {
  const absl::StatusOr<std::string> text = base::ReadFile(path);
  return text.ok() ? *text : "";
}

// systemd-resolved listens on the machine's loopback only, which pods cannot reach; what it asks
// itself is in a file of its own.
std::string ResolvConf() {
  const std::string text = TextOf("/etc/resolv.conf");
  if (text.find("nameserver 127.0.0.53") == text.npos) return text;
  const std::string upstream = TextOf("/run/systemd/resolve/resolv.conf");
  return upstream.empty() ? text : upstream;
}

bool HasSwapAccounting(bool has_cgroup2) {
  // The root group has no such file on v2, each other group has it.
  return IsThere(has_cgroup2 ? "/sys/fs/cgroup/*/memory.swap.max"
                             : "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
}

}  // namespace

absl::StatusOr<Node> ReadNode(const RuntimeFacts& runtime) {
  Node node;
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return base::Errno("gethostname", "");
  struct sysinfo memory = {};
  if (sysinfo(&memory) != 0) return base::Errno("sysinfo", "");
  node.name = absl::AsciiStrToLower(name);
  node.ips = {OwnAddress()};
  node.has_cgroup2 =
      TextOf("/sys/fs/cgroup/cgroup.controllers").find("memory") != std::string::npos;
  node.has_swap_accounting = HasSwapAccounting(node.has_cgroup2);
  node.has_systemd_cgroups = runtime.has_systemd_cgroups;
  node.has_recursive_read_only = runtime.has_recursive_read_only;
  node.cpus = std::max<int64_t>(sysconf(_SC_NPROCESSORS_ONLN), 1);
  node.memory_bytes = static_cast<int64_t>(memory.totalram) * memory.mem_unit;
  struct statvfs disk = {};
  if (statvfs("/var/lib", &disk) == 0)
    node.storage_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
  node.huge_page_sizes = HugePageSizes();
  node.thermal_throttle = Matching("/sys/devices/system/cpu/cpu*/thermal_throttle");
  node.resolv_conf = ResolvConf();
  node.hosts = TextOf("/etc/hosts");
  return node;
}

}  // namespace crisp::cli
