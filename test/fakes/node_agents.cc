#include "fakes/node_agents.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace crisp::test {
namespace {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;

constexpr size_t kDigits = 64;

Lines LinesOf(const std::string& text) { return absl::StrSplit(text, '\n', absl::SkipEmpty()); }

// The group's path of a line of /proc/<pid>/cgroup.
std::string GroupOf(const std::string& line) {
  const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
  return fields.size() == 3 ? fields[2] : "";
}

std::string Base(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool IsHex(absl::string_view text) {
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
}

// The group of the first pattern's match, or empty.
std::string Search(const std::string& text, const char* pattern, size_t group = 1) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[group].str() : "";
}

// cilium/cilium@169602439fe9 pkg/cgroups/manager/provider.go: makes the path from the pod's uid and
// class and the container's id, and takes events of processes in just that group for the pod's.
std::string Cilium(const Shown& shown) {
  const std::string own = UnifiedGroup(shown.host_cgroup);
  if (own ==
      absl::StrCat(shown.above_kubepods, "/kubepods/burstable/pod", shown.uid, "/", shown.id))
    return shown.id;
  const std::string slice =
      absl::StrCat("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod",
                   absl::StrReplaceAll(shown.uid, {{"-", "_"}}), ".slice/");
  for (const char* prefix : {"cri-containerd-", "crio-", "docker-"}) {
    if (own == absl::StrCat(slice, prefix, shown.id, ".scope")) return shown.id;
  }
  return "";
}

// falcosecurity/plugins@7a7b5e5a6e40 plugins/container/src/matchers/{cri,runc}.cpp, since Falco
// 0.41: of each group's path what is between a prefix and a suffix, if it is 64 digits.
std::string Falco(const Shown& shown) {
  constexpr std::pair<const char*, const char*> kLayouts[] = {{"/", ""},
                                                              {"/crio-", ""},
                                                              {"/cri-containerd-", ".scope"},
                                                              {"/crio-", ".scope"},
                                                              {":cri-containerd:", ""},
                                                              {"/docker-", ".scope"}};
  for (const std::string& line : LinesOf(shown.host_cgroup)) {
    const std::string group = GroupOf(line);
    for (const auto& [prefix, suffix] : kLayouts) {
      const size_t start = group.rfind(prefix), end = group.rfind(suffix);
      if (start == std::string::npos || end == std::string::npos) continue;
      const size_t id = start + std::string(prefix).size();
      if (end > id && IsHex(group.substr(id, end - id))) return group.substr(id, 12);
    }
  }
  return "";
}

// cilium/tetragon@110663766f6f pkg/cri/container.go: the group whose path is in the verbose
// ContainerStatus; with a "/" in it, the path is taken as it is.
std::string Tetragon(const Shown& shown) {
  const std::string path = Json::parse(shown.info).at("runtimeSpec").at("linux").at("cgroupsPath");
  const bool is_own = absl::StrContains(path, '/') && path == UnifiedGroup(shown.host_cgroup);
  return is_own ? shown.id : "";
}

// cilium/tetragon@dcafa4cae908 pkg/sensors/exec/procevents/proc.go: the last part of the group's
// name as BPF reports it, behind the last "-", and of that 31 digits.
std::string TetragonEvents(const Shown& shown) {
  const std::string name = Base(UnifiedGroup(shown.host_cgroup));
  const std::string id = name.substr(name.rfind('-') + 1);
  return id.size() >= 31 ? id.substr(0, 12) : "";
}

// DataDog/datadog-agent@0402e84854cd pkg/util/cgroups/reader.go: every group whose name has an id
// in it is that container's; the last one counts.
std::string DatadogAgent(const Shown& shown) {
  constexpr char kId[] = R"(([0-9a-f]{64})|([0-9a-f]{32}-\d+)|([0-9a-f]{8}(-[0-9a-f]{4}){4}$))";
  std::string found;
  for (const std::string& group : shown.groups) {
    const std::string name = Base(group);
    if (Search(name, kId, 0) != shown.id || absl::EndsWith(name, ".mount")) continue;
    found = group;
  }
  return found == UnifiedGroup(shown.host_cgroup) ? shown.id : "";
}

// DataDog/dd-trace-go@ecdcd2cf48e9 internal/container_linux.go, and the same in the tracers of
// other languages and in dogstatsd's clients, read in the container: /proc/self/cgroup, then the
// first line of mountinfo whose directory is not "sandboxes".
std::string DatadogTracers(const Shown& shown) {
  constexpr char kId[] =
      "([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{64}|"
      R"([0-9a-f]{32}-\d+)(?:\.scope)?$)";
  for (const std::string& line : LinesOf(shown.own_cgroup)) {
    const std::string id = Search(GroupOf(line), kId);
    if (!id.empty()) return id;
  }
  constexpr char kMount[] = R"(.*/([^\s/]+)/([0-9a-f]{64}|[0-9a-f]{32}-\d+)/[\S]*hostname)";
  for (const std::string& line : LinesOf(shown.own_mountinfo)) {
    const std::string directory = Search(line, kMount);
    if (!directory.empty() && directory != "sandboxes") return Search(line, kMount, 2);
  }
  return "";
}

// Agents that take 64 digits before ".scope", wherever they stand, or the last part of the path.
std::string DatadogScopes(const Shown& shown) {
  const std::string group = UnifiedGroup(shown.host_cgroup);
  const std::string scope = Search(group, R"(([a-f0-9]{64})\.scope)");
  return scope.empty() ? Search(group, "/([a-f0-9]{64})$") : scope;
}

// aquasecurity/tracee@00b3aafafcae pkg/containers/containers.go: the first part of the path, from
// the root, that is an id once a runtime's prefix and ".scope" are taken off.
std::string Tracee(const Shown& shown) {
  const std::string group = UnifiedGroup(shown.host_cgroup);
  for (absl::string_view part : absl::StrSplit(group, '/')) {
    if (part.size() < kDigits) continue;
    absl::ConsumeSuffix(&part, ".scope");
    for (const char* prefix : {"docker-", "crio-", "cri-containerd-", "libpod-"}) {
      if (absl::ConsumePrefix(&part, prefix)) break;
    }
    if (IsHex(part)) return std::string(part);
  }
  return "";
}

// kubearmor/KubeArmor@0307e1f4a5cf KubeArmor/core/crioHandler.go, which speaks CRI: the namespaces
// of the verbose ContainerStatus' pid. Go's decoder refuses members of another type.
std::string KubeArmor(const Shown& shown) {
  const Json info = Json::parse(shown.info);
  const Json& profile = info.at("runtimeSpec").at("process").value("apparmorProfile", Json(""));
  const bool decodes = info.at("sandboxID").is_string() && info.at("privileged").is_boolean() &&
                       info.at("pid").is_number_integer() && profile.is_string();
  return decodes && info.at("pid") == shown.pid ? shown.id : "";
}

// open-telemetry/opentelemetry-go@156c47c82030 sdk/resource/container.go.
std::string OtelGo(const Shown& shown) {
  for (const std::string& line : LinesOf(shown.own_cgroup)) {
    const std::string id = Search(line, R"(^.*/(?:.*[-:])?([0-9a-f]+)(?:\.|\s*$))");
    if (!id.empty()) return id;
  }
  std::string generic, hostname;
  for (const std::string& line : LinesOf(shown.own_mountinfo)) {
    const std::string named = Search(line, "(?:/crio-|cri-containerd:)([0-9a-f]{64})");
    if (!named.empty()) return named;
    std::string last;
    for (const absl::string_view part : absl::StrSplit(line, '/')) {
      if (IsHex(part)) last = std::string(part);
    }
    if (!last.empty() && absl::StrContains(line, "/containers/")) generic = last;
    if (hostname.empty() && absl::StrContains(line, "hostname")) hostname = last;
  }
  return generic.empty() ? hostname : generic;
}

// The last part of a line's path without a runtime's prefix and what follows a ".", if it is hex.
std::string OtelLastPart(const std::string& line) {
  std::string part = Base(line);
  part = part.substr(part.rfind(':') + 1);
  return Search(part, R"(^(?:crio-|docker-|cri-containerd-)?([0-9a-f]+)(?:\..*)?$)");
}

// open-telemetry/opentelemetry-java-instrumentation@0e035cee3029
// instrumentation/resources/library: Cgroup{V1,V2}ContainerIdExtractor.java.
std::string OtelJava(const Shown& shown) {
  for (const std::string& line : LinesOf(shown.own_cgroup)) {
    const std::string id = OtelLastPart(line);
    if (!id.empty()) return id;
  }
  std::string last;
  for (const std::string& line : LinesOf(shown.own_mountinfo)) {
    const std::string id =
        Search(line, R"(^\d+ \d+ \d+:\d+ [^ ]*/containers/[^ ]*?([0-9a-f]{64}))");
    if (!id.empty()) last = id;
  }
  return last;
}

// open-telemetry/opentelemetry-js-contrib@83eda76a5171
// packages/resource-detector-container/src/detectors: of mountinfo only the first line that has
// "hostname" in it.
std::string OtelJs(const Shown& shown) {
  for (const std::string& line : LinesOf(shown.own_cgroup)) {
    const std::string id = OtelLastPart(line);
    if (!id.empty()) return id;
  }
  for (const std::string& line : LinesOf(shown.own_mountinfo)) {
    if (absl::StrContains(line, "hostname"))
      return Search(line, "/(?:overlay-)?containers/([^/]{64})/");
  }
  return "";
}

// open-telemetry/opentelemetry-ebpf-profiler@0708a7f9517c process/process.go, read on the host.
std::string OtelProfiler(const Shown& shown) {
  for (const std::string& line : LinesOf(shown.host_cgroup)) {
    const std::string id = Search(line, R"(^0:.*?:.*?([0-9a-fA-F]{64})(?:\.scope)?(?:/[a-z]+)?$)");
    if (!id.empty()) return id;
  }
  return "";
}

// google/cadvisor@024d6e8a3cfa container/containerd/factory.go: every group whose name has 64 of
// a-z and 0-9 in it is a container; two of one container would count it twice.
std::string CAdvisor(const Shown& shown) {
  int groups = 0;
  for (const std::string& group : shown.groups)
    groups += Search(Base(group), "([a-z0-9]{64})") == shown.id;
  return groups == 1 ? Search(Base(UnifiedGroup(shown.host_cgroup)), "([a-z0-9]{64})") : "";
}

// kubernetes/kubernetes@ed131a99ad84 pkg/kubelet/stats/cri_stats_provider.go: the group's name, of
// a scope what follows the last "-".
std::string KubeletStats(const Shown& shown) {
  std::string name = Base(UnifiedGroup(shown.host_cgroup));
  if (!absl::EndsWith(name, ".scope")) return name;
  return std::string(absl::StripSuffix(name.substr(name.rfind('-') + 1), ".scope"));
}

// fluent/fluent-bit@1099243c5f83 plugins/filter_kubernetes/kube_regex.h: the tag is made from the
// log's path.
std::string FluentBit(const Shown& shown) {
  return Search("var.log.containers." + shown.log,
                R"(var\.log\.containers\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)"
                R"((?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)_([^_]+)_(.+)-([a-z0-9]{64})\.log$)",
                4);
}

}  // namespace

std::string UnifiedGroup(const std::string& cgroup) {
  for (const std::string& line : LinesOf(cgroup)) {
    if (absl::StartsWith(line, "0::")) return GroupOf(line);
  }
  return "";
}

std::set<std::string> WrongIds(const Shown& shown) {
  std::set<std::string> wrong;
  for (const NodeAgent& agent : NodeAgents()) {
    if (agent.find == nullptr) continue;
    const std::string found = agent.find(shown);
    if (found.size() < 12 || !absl::StartsWith(shown.id, found))
      wrong.insert(absl::StrCat(agent.tool, ", ", agent.part, ": ", found));
  }
  return wrong;
}

const std::vector<NodeAgent>& NodeAgents() {
  static const auto* const agents = new std::vector<NodeAgent>{
      {"Cilium", "group of a container", {}, Cilium},
      {"Falco", "container plugin", {"/run/containerd/containerd.sock"}, Falco},
      {"Tetragon", "CRI", {"/run/containerd/containerd.sock"}, Tetragon},
      {"Tetragon", "events", {}, TetragonEvents},
      {"Datadog", "agent, all groups", {}, DatadogAgent},
      {"Datadog", "a process's group", {}, DatadogScopes},
      {"Datadog", "tracers", {}, DatadogTracers},
      {"Tracee", "group of an event", {"/run/containerd/containerd.sock"}, Tracee},
      {"KubeArmor", "CRI", {}, KubeArmor},
      {"OpenTelemetry", "Go", {}, OtelGo},
      {"OpenTelemetry", "Java", {}, OtelJava},
      {"OpenTelemetry", "JavaScript", {}, OtelJs},
      {"OpenTelemetry", "eBPF profiler", {}, OtelProfiler},
      // kubernetes/node-problem-detector@452818cef8be pkg/healthchecker: `crictl pods` must answer.
      {"node-problem-detector",
       "health of the runtime",
       {"/run/containerd/containerd.sock"},
       nullptr},
      {"cAdvisor", "all groups", {"/run/containerd/containerd.sock"}, CAdvisor},
      {"cAdvisor", "in kubelet", {}, KubeletStats},
      {"fluent-bit", "kubernetes filter", {}, FluentBit},
  };
  return *agents;
}

}  // namespace crisp::test
