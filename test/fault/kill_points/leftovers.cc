#include "fault/kill_points/leftovers.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/id.h"
#include "cni/netns.h"
#include "linux/spawn.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

using Names = std::vector<std::string>;

Names ListDir(const std::string& path) { return base::ListDir(path).value_or(Names()); }

std::string Read(const std::string& path) { return base::ReadFile(path).value_or(std::string()); }

struct Process {
  pid_t pid = 0;
  std::string command;  // arguments with spaces between them; empty for a zombie
  pid_t parent = 0;
  char state = '?';
};

// Those that can be read; a process may end at any time.
std::vector<Process> Processes() {
  std::vector<Process> all;
  for (const std::string& name : ListDir("/proc")) {
    Process process;
    if (!absl::SimpleAtoi(name, &process.pid)) continue;
    process.command = absl::StrReplaceAll(Read(absl::StrCat("/proc/", name, "/cmdline")),
                                          {{std::string(1, '\0'), " "}});
    // pid (comm) state ppid ...
    const std::string stat = Read(absl::StrCat("/proc/", name, "/stat"));
    const size_t end = stat.rfind(')');
    if (end == std::string::npos || end + 4 >= stat.size()) continue;
    process.state = stat[end + 2];
    process.parent = atoi(stat.c_str() + end + 4);
    all.push_back(std::move(process));
  }
  return all;
}

// Directories whose content says nothing about what crispd holds: files of images and containers,
// and the pause program.
bool IsOpaque(const std::string& name) { return name == "fs" || name == "work" || name == "pause"; }

void ListTree(const std::string& directory, std::set<std::string>& all) {
  for (const std::string& name : ListDir(directory)) {
    const std::string path = base::JoinPath(directory, name);
    all.insert("file " + path);
    struct stat info;
    if (lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && !IsOpaque(name))
      ListTree(path, all);
  }
}

// Innermost last.
void ListGroupTree(const std::string& directory, Names& all) {
  if (access(directory.c_str(), F_OK) != 0) return;
  all.push_back(directory);
  for (const std::string& name : ListDir(directory)) {
    const std::string path = base::JoinPath(directory, name);
    struct stat info;
    if (lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) ListGroupTree(path, all);
  }
}

}  // namespace

Leftovers::Leftovers(const Daemon& daemon, std::string cgroup_parent)
    : daemon_(daemon),
      cgroup_parent_(std::move(cgroup_parent)),
      layout_(*cgroup::Detect().value()) {
  const std::string conflist = Read(daemon.dir() + "/net.d/10-test.conflist");
  const Names parts = absl::StrSplit(conflist, '"');
  const auto key = std::find(parts.begin(), parts.end(), "name");
  if (parts.end() - key < 3) throw std::runtime_error("the conflist has no name");
  network_ = key[2];
}

void Leftovers::NoteIds() {
  for (const std::string& directory :
       {daemon_.root() + "/sandboxes", daemon_.state() + "/containers"}) {
    for (const std::string& name : ListDir(directory)) {
      if (base::IsId(name)) ids_.insert(name);
    }
  }
}

std::vector<ShimProcess> Leftovers::Shims() const {
  const std::string bundles = absl::StrCat(" ", daemon_.state(), "/containers/");
  std::vector<Process> found;
  std::set<pid_t> pids;
  for (const Process& process : Processes()) {
    if (!absl::StartsWith(process.command, "crisp-shim" + bundles)) continue;
    pids.insert(process.pid);
    found.push_back(process);
  }
  std::vector<ShimProcess> shims;
  const size_t id = std::string("crisp-shim" + bundles).size();
  for (const Process& process : found) {
    shims.push_back({.pid = process.pid,
                     .id = process.command.substr(id, 64),
                     .forked = pids.count(process.parent) > 0});
  }
  return shims;
}

void Leftovers::ListProcesses(std::set<std::string>& all) const {
  for (const Process& process : Processes()) {
    if (process.pid == daemon_.pid() || process.pid == getpid()) continue;
    if (process.state == 'Z' && process.parent == daemon_.pid())
      all.insert(absl::StrCat("zombie ", process.pid));
    if (process.state == 'Z' && process.parent == 1) continue;  // init reaps it in its own time
    if (absl::StrContains(process.command, daemon_.state()))
      all.insert(absl::StrCat("process ", process.pid, " ", process.command));
    if (absl::StrContains(Read(absl::StrCat("/proc/", process.pid, "/cgroup")), cgroup_parent_))
      all.insert(absl::StrCat("process ", process.pid, " in a pod: ", process.command));
  }
}

void Leftovers::ListNetwork(std::set<std::string>& all) const {
  for (const std::string& id : ids_) {
    const std::string path = cni::NetnsPath(id);
    if (access(path.c_str(), F_OK) == 0) all.insert("netns " + path);
  }
  for (const std::string& port : ListDir(absl::StrCat("/sys/class/net/", network_, "/brif")))
    all.insert("bridge port " + port);
  for (const std::string& name : ListDir(absl::StrCat(daemon_.dir(), "/ipam/", network_))) {
    if (absl::ascii_isdigit(name[0])) all.insert("lease " + name);
    if (absl::StartsWith(name, "crisp-")) all.insert("draft of a lease " + name);
  }
  const auto rules = linux::Run({.path = "/usr/sbin/iptables-save",
                                 .args = {"iptables-save", "-t", "nat"},
                                 .env = {"PATH=/usr/sbin:/usr/bin"}},
                                "", {.max_stdout = 16 << 20});
  if (!rules.ok()) throw std::runtime_error(std::string(rules.status().message()));
  // Their comments are: name: \"<network>\" id: ...
  for (const absl::string_view rule : absl::StrSplit(rules->out, '\n')) {
    if (absl::StrContains(rule, absl::StrCat("\"", network_, "\\\""))) {
      all.insert(absl::StrCat("rule ", rule));
    }
  }
  // What crispd itself has for a pod, in the place of rules. Without the table there is none.
  const auto elements = linux::Run({.path = "/usr/sbin/nft",
                                    .args = {"nft", "list", "map", "ip", "crisp", "pods"},
                                    .env = {"PATH=/usr/sbin:/usr/bin"}},
                                   "", {.max_stdout = 16 << 20});
  if (!elements.ok()) throw std::runtime_error(std::string(elements.status().message()));
  for (const std::string& id : ids_) {
    if (absl::StrContains(elements->out, id)) all.insert("masquerading of " + id);
  }
  for (const std::string& name : ListDir("/var/lib/cni/results")) {
    if (absl::StartsWith(name, network_ + "-")) all.insert("result " + name);
  }
}

std::vector<std::string> Leftovers::Groups() const {
  const cgroup::Directories directories = layout_.At(cgroup_parent_);
  Names groups;
  ListGroupTree(directories.v2, groups);
  for (const std::string& directory : directories.v1) ListGroupTree(directory, groups);
  return groups;
}

void Leftovers::ListGroups(std::set<std::string>& all) const {
  for (const std::string& group : Groups()) all.insert("cgroup " + group);
  // Those of plugins are below crispd's own, which is this program's.
  const std::string own = cgroup::OwnDirectory(layout_).value();
  for (const std::string& id : ids_) {
    const std::string group = absl::StrCat(own, "/cni-", id);
    if (access(group.c_str(), F_OK) == 0) all.insert("cgroup " + group);
  }
}

std::set<std::string> Leftovers::List() {
  NoteIds();
  std::set<std::string> all;
  ListProcesses(all);
  ListNetwork(all);
  ListGroups(all);
  for (absl::string_view line : absl::StrSplit(Read("/proc/self/mountinfo"), '\n')) {
    const Names fields = absl::StrSplit(line, ' ');
    if (fields.size() < 5) continue;
    const bool ours = absl::StartsWith(fields[4], daemon_.dir()) ||
                      absl::StartsWith(fields[4], daemon_.root()) ||
                      absl::StartsWith(fields[4], daemon_.state());
    if (ours) all.insert("mount " + fields[4]);
  }
  ListTree(daemon_.root(), all);
  ListTree(daemon_.state(), all);
  return all;
}

// The kernel's rules do not outlive a restart, and without the network namespace no plugin finds
// the pod's own.
void Leftovers::RemoveRules() const {
  // By name, as a plugin makes a chain before it has rules.
  constexpr char kScript[] = R"sh(
    network="$1"
    shift
    rules="$(iptables-save -t nat)"
    grep -F "\"$network\\\"" <<<"$rules" | grep "^-A POSTROUTING" | while read -r _ rule; do
      eval "iptables -w -t nat -D $rule"
    done
    for id; do
      chain="CNI-$(printf %s%s "$network" "$id" | sha512sum | cut -c1-24)"
      grep -q "^:$chain " <<<"$rules" || continue
      iptables -w -t nat -F "$chain" && iptables -w -t nat -X "$chain"
    done)sh";
  constexpr char kElements[] = R"sh(
    map="$(nft list map ip crisp pods 2>/dev/null)"
    for id; do
      address="$(grep -oE "[0-9.]+ comment \"$id\"" <<<"$map" | cut -d" " -f1)"
      if [[ -n "$address" ]]; then nft delete element ip crisp pods "{ $address }"; fi
    done)sh";
  std::vector<std::string> rules = {"bash", "-c", kScript, "bash", network_};
  std::vector<std::string> elements = {"bash", "-c", kElements, "bash"};
  for (std::vector<std::string>* args : {&rules, &elements})
    args->insert(args->end(), ids_.begin(), ids_.end());
  for (const std::vector<std::string>& args : {rules, elements}) {
    const auto done = linux::Run(
        {.path = "/bin/bash", .args = args, .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}, "", {});
    if (!done.ok()) throw std::runtime_error(std::string(done.status().message()));
  }
}

void Leftovers::Reboot() {
  NoteIds();
  // The shims first: they would report how their containers end.
  const std::string bundles = absl::StrCat(daemon_.state(), "/containers/");
  const auto still_run = [&] {
    bool any = false;
    for (const Process& process : Processes()) {
      const bool shim = absl::StrContains(process.command, "crisp-shim " + bundles);
      const std::string groups = Read(absl::StrCat("/proc/", process.pid, "/cgroup"));
      const bool of_plugin = std::any_of(ids_.begin(), ids_.end(), [&](const std::string& id) {
        return absl::StrContains(groups, absl::StrCat("/cni-", id));
      });
      if (!shim && !of_plugin && !absl::StrContains(groups, cgroup_parent_)) continue;
      if (process.state == 'Z') continue;
      kill(process.pid, SIGKILL);
      any = true;
    }
    return any;
  };
  if (!Eventually([&] { return !still_run(); }))
    throw std::runtime_error("a process outlives SIGKILL");
  RemoveRules();
  for (const std::string& id : ids_) (void)cni::UnpinNetns(cni::NetnsPath(id));
  const bool removed = Eventually([&] {
    Names groups = Groups();
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) rmdir(group->c_str());
    return Groups().empty();
  });
  if (!removed) throw std::runtime_error("the pods' cgroups cannot be removed");
  const std::string bundles_directory = daemon_.state() + "/containers";
  for (const std::string& name : ListDir(bundles_directory)) {
    if (!base::RemoveTree(base::JoinPath(bundles_directory, name)).ok())
      throw std::runtime_error("the state directory cannot be emptied");
  }
}

}  // namespace crisp::test
