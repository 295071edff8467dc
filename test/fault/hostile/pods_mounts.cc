// Mounts of containers: destinations that leave the root file system or hide what the runtime
// itself needs, sources that pretend to be something else.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

const char* const kNodes[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

Outcome DestinationLeaves(Target& target) {
  const std::string volume = target.Scratch();
  Write(volume + "/mark", "volume");
  std::vector<ContainerInput> inputs;
  const std::string up = "/../../../../../../..";
  for (const std::string& path :
       {up + target.Canary() + "/sub", "/a/../../../.." + target.Canary(), std::string("/.."),
        std::string("/"), std::string(""), std::string("a/../../b"), std::string("relative"),
        std::string("/nul") + '\0' + "l", "/" + std::string(5000, 'x')}) {
    inputs.push_back(
        {path.substr(0, 80), Volume(volume, path), [](Target&, const std::string&) {}});
  }
  return TryContainers(target, {"id"}, inputs);
}

// The volume's links are dangling in the container and lead into the canary on the host.
Outcome DestinationIsLink(Target& target) {
  const std::string volume = target.Scratch();
  const std::string other = target.Scratch();
  Write(other + "/mark", "volume");
  MakeLink(target.Canary() + "/made", volume + "/absolute");
  MakeLink("../../../../../../../.." + target.Canary() + "/made", volume + "/relative");
  MakeLink(target.Canary(), volume + "/directory");
  Outcome last;
  for (const char* path : {"/volume/absolute", "/volume/absolute/below", "/volume/relative",
                           "/volume/relative/below", "/volume/directory/made"}) {
    last = TryContainers(target, {"cat", absl::StrCat(path, "/mark")},
                         {{path, Both(Volume(volume, "/volume"), Volume(other, path)),
                           [](Target&, const std::string& output) {
                             Demand(output == "volume\n" || output == "volume",
                                    absl::StrCat("the mount is not at its place: ", output));
                           }}});
    Demand(access((target.Canary() + "/made").c_str(), F_OK) != 0,
           absl::StrCat("the runtime made a directory in the canary for ", path));
  }
  return last;
}

// Files that look like those of procfs which a runtime writes when it starts a process.
constexpr const char* kFakeFiles[] = {"/self/attr/exec",
                                      "/self/attr/apparmor/exec",
                                      "/self/attr/current",
                                      "/self/oom_score_adj",
                                      "/self/setgroups",
                                      "/self/uid_map",
                                      "/1/attr/exec",
                                      "/1/oom_score_adj",
                                      "/thread-self/attr/exec",
                                      "/thread-self/attr/apparmor/exec",
                                      "/sys/kernel/core_pattern",
                                      "/sys/kernel/shm_rmid_forced"};

std::string FakeProc(Target& target) {
  std::string fake = target.Scratch();
  for (const char* file : kFakeFiles) {
    const std::string path = fake + file;
    if (!base::MakeDirs(path.substr(0, path.rfind('/')), 0755).ok()) {
      throw std::runtime_error("make " + path);
    }
    Write(path, "untouched");
  }
  return fake;
}

void FakeUntouched(const std::string& fake) {
  for (const char* file : kFakeFiles) {
    Demand(Read(fake + file) == "untouched", absl::StrCat("the runtime wrote the fake ", file));
  }
}

// `id` reads its rights from /proc/self/status; where that is hidden, only the fake is checked.
Outcome DestinationIsProc(Target& target) {
  const std::string fake = FakeProc(target);
  std::vector<ContainerInput> inputs;
  for (const char* path :
       {"/proc", "/proc/self", "/proc/self/attr", "/proc/1", "/proc/sys", "/proc/sys/kernel",
        "/proc/thread-self", "/sys", "/sys/fs/cgroup", "/sys/kernel"}) {
    const auto change = Both(Volume(fake, path), [](v1::ContainerConfig& config) {
      v1::LinuxContainerSecurityContext& context =
          *config.mutable_linux()->mutable_security_context();
      context.set_no_new_privs(true);
      context.mutable_capabilities()->add_drop_capabilities("ALL");
      context.add_masked_paths("/proc/kcore");
      context.add_readonly_paths("/proc/sys");
      config.mutable_linux()->mutable_resources()->set_oom_score_adj(777);
    });
    inputs.push_back({path, change, [fake](Target&, const std::string& output) {
                        FakeUntouched(fake);
                        if (!absl::StrContains(output, "CapEff:")) return;
                        Demand(Line(output, "CapEff:\t") == "0000000000000000",
                               "the process has capabilities");
                        Demand(Line(output, "NoNewPrivs:\t") == "1", "no_new_privs is not set");
                      }});
  }
  const Outcome outcome = TryContainers(target, {"id"}, inputs);
  FakeUntouched(fake);
  return outcome;
}

// A pod's sysctl has to reach the kernel although the container has files in its place.
Outcome SysctlRedirected(Target& target) {
  const std::string fake = FakeProc(target);
  constexpr char kFile[] = "/proc/sys/kernel/shm_rmid_forced";
  const std::string before = Read(kFile);
  test::Pod& pod = target.NewPod([](v1::PodSandboxConfig& config) {
    (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  });
  const std::string container = StartAttack(target, pod, {"wait"});
  Demand(pod.Exec(container, {kAttacker, "cat", kFile}).out == "1\n",
         "the pod's sysctl did not reach the kernel");
  std::string hidden;
  grpc::Status status =
      pod.TryCreate(Attack(target, {"wait"}, Volume(fake + "/sys", "/proc/sys")), &hidden);
  if (status.ok()) status = pod.TryStart(hidden);
  FakeUntouched(fake);
  Demand(Read(kFile) == before, "the host's sysctl changed");
  return status.ok() ? Outcome{Outcome::kHarmless, "started"} : target.Refused(status);
}

// null, console and the like of the volume are links to files that the attacker wants written.
Outcome DevIsVolume(Target& target) {
  constexpr char kPattern[] = "/proc/sys/kernel/core_pattern";
  const std::string before = Read(kPattern);
  std::vector<ContainerInput> inputs;
  for (const std::string& goal :
       {std::string(kPattern), std::string("/proc/sysrq-trigger"), target.Canary() + "/secret"}) {
    const std::string volume = target.Scratch();
    for (const char* node : {"/null", "/console", "/ptmx", "/zero", "/full", "/tty", "/random",
                             "/urandom", "/core", "/fd", "/stdin", "/stdout", "/stderr"}) {
      MakeLink(goal, volume + node);
    }
    MakeLink(target.Canary(), volume + "/shm");
    MakeLink(target.Canary(), volume + "/pts");
    MakeLink(target.Canary(), volume + "/mqueue");
    const auto change = Both(Volume(volume, "/dev"), [](v1::ContainerConfig& config) {
      auto& context = *config.mutable_linux()->mutable_security_context();
      for (const char* path : {"/proc/keys", "/proc/timer_list", "/proc/scsi"}) {
        context.add_masked_paths(path);
      }
      context.add_readonly_paths("/proc/sys");
    });
    const auto harmless = [=](Target&, const std::string& output) {
      Demand(Read(kPattern) == before, "core_pattern changed");
      // What covers a masked file is the null device, or nothing can be opened.
      for (const char* path : {"/proc/keys", "/proc/timer_list"}) {
        if (absl::StrContains(output, absl::StrCat(path, " missing"))) continue;
        Demand(absl::StrContains(output, absl::StrCat(path, " char 1:3")),
               absl::StrCat(path, " is not masked: ", output));
      }
    };
    inputs.push_back({goal, change, harmless});
    inputs.push_back({goal + " with a terminal",
                      Both(change, [](v1::ContainerConfig& config) { config.set_tty(true); }),
                      harmless});
  }
  const Outcome outcome =
      TryContainers(target, {"nodes", "/proc/keys", "/proc/timer_list"}, inputs);
  Demand(Read(kPattern) == before, "core_pattern changed");
  return outcome;
}

// A container with a terminal whose /dev/pts or /dev/console the attacker has made.
Outcome TerminalReplaced(Target& target) {
  std::vector<ContainerInput> inputs;
  const auto terminal = [](v1::ContainerConfig& config) { config.set_tty(true); };
  const auto harmless = [](Target& host, const std::string& output) {
    Demand(!absl::StrContains(output, host.Secret()), "the console shows the canary");
    Demand(absl::StrContains(output, "/dev/console missing") ||
               absl::StrContains(output, "/dev/console char 136:"),
           absl::StrCat("the console is not a terminal of the container: ", output));
  };
  for (const std::string& goal :
       {target.Canary() + "/secret", std::string("/proc/sys/kernel/core_pattern")}) {
    const std::string volume = target.Scratch();
    for (int i = 0; i < 8; ++i) MakeLink(goal, absl::StrCat(volume, "/", i));
    MakeLink(goal, volume + "/ptmx");
    inputs.push_back({"/dev/pts, " + goal, Both(terminal, Volume(volume, "/dev/pts")), harmless});
  }
  return TryContainers(target, {"nodes", "/dev/console"}, inputs);
}

Outcome HiddenPaths(Target& target) {
  std::vector<ContainerInput> inputs;
  const auto add = [&](const std::string& path, bool masked) {
    inputs.push_back({(masked ? "masked " : "read-only ") + path.substr(0, 60),
                      [=](v1::ContainerConfig& config) {
                        auto& context = *config.mutable_linux()->mutable_security_context();
                        (masked ? context.add_masked_paths(path)
                                : context.add_readonly_paths(path));
                      },
                      [](Target&, const std::string&) {}});
  };
  for (const bool masked : {true, false}) {
    add("/../../../../../../.." + target.Canary() + "/secret", masked);
    add("../../../.." + target.Canary(), masked);
    add("/proc/../../../../.." + target.Canary(), masked);
    add("/proc/self/root" + target.Canary() + "/secret", masked);
    add("/proc/1/root/../../.." + target.Canary(), masked);
    add("/proc/self/fd/3", masked);
    add("/", masked);
    add("", masked);
    add("/" + std::string(5000, 'x'), masked);
  }
  return TryContainers(target, {"id"}, inputs);
}

Outcome ImageMountLeaves(Target& target) {
  std::vector<ContainerInput> inputs;
  const std::string image = target.ProbeImage();
  for (const std::string& path :
       {std::string(".."), std::string("../.."), "../../../../../../.." + target.Canary(),
        target.Canary(), std::string("a/../../.."), std::string("proc/self/root"),
        std::string("x\ny"), std::string("no/such/directory")}) {
    inputs.push_back({path,
                      [=](v1::ContainerConfig& config) {
                        v1::Mount* mount = config.add_mounts();
                        mount->mutable_image()->set_image(image);
                        mount->set_image_sub_path(path);
                        mount->set_container_path("/volume");
                        mount->set_readonly(true);
                      },
                      // The runtime may know no image mounts and mount nothing.
                      [](Target& host, const std::string& output) {
                        Demand(!absl::StrContains(output, host.Secret()),
                               "the volume shows the canary");
                      }});
  }
  return TryContainers(target, {"try-cat", "/volume/secret", "/volume/canary/secret"}, inputs);
}

Outcome BadMappings(Target& target) {
  const auto mapping = [](uint32_t host, uint32_t container, uint32_t length) {
    v1::IDMapping map;
    map.set_host_id(host);
    map.set_container_id(container);
    map.set_length(length);
    return map;
  };
  struct Map {
    std::string label;
    std::vector<v1::IDMapping> ranges;
  };
  const std::vector<Map> maps = {
      {"length 0", {mapping(100000, 0, 0)}},
      {"past 2^32", {mapping(4294967295, 0, 10)}},
      {"past 2^32 inside", {mapping(100000, 4294967290, 100)}},
      {"all ids on the host's", {mapping(0, 0, 4294967295), mapping(1, 1, 5)}},
      {"overlapping", {mapping(100000, 0, 100), mapping(100050, 50, 100)}},
      {"without root", {mapping(100000, 1, 100)}},
      {"400 ranges", std::vector<v1::IDMapping>(400, mapping(100000, 0, 1))}};
  std::vector<SandboxInput> inputs;
  for (const Map& map : maps) {
    inputs.push_back({map.label, [map](v1::PodSandboxConfig& config) {
                        v1::UserNamespace& userns = *config.mutable_linux()
                                                         ->mutable_security_context()
                                                         ->mutable_namespace_options()
                                                         ->mutable_userns_options();
                        userns.set_mode(v1::POD);
                        for (const v1::IDMapping& range : map.ranges) {
                          *userns.add_uids() = range;
                          *userns.add_gids() = range;
                        }
                      }});
  }
  const Outcome sandboxes = TrySandboxes(target, inputs);
  const std::string volume = target.Scratch();
  std::vector<ContainerInput> mounts;
  for (const Map& map : maps) {
    if (map.label == "without root") continue;  // right for a mount
    if (map.label == "all ids on the host's") continue;
    mounts.push_back({map.label, [=](v1::ContainerConfig& config) {
                        Volume(volume, "/volume")(config);
                        v1::Mount& mount = *config.mutable_mounts(config.mounts_size() - 1);
                        for (const v1::IDMapping& range : map.ranges) {
                          *mount.add_uidmappings() = range;
                          *mount.add_gidmappings() = range;
                        }
                      }});
  }
  TryContainers(target, {"id"}, mounts);
  return sandboxes;
}

// The files that the runtime makes for a pod must not be a disk without a limit.
Outcome PodFilesGrow(Target& target) {
  constexpr int kMebibytes = 256;
  std::string detail;
  for (const char* file : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) {
    const std::string output = Output(target, {"fill", file, absl::StrCat(kMebibytes)});
    const int filled = std::atoi(Line(output, "filled ").c_str());
    Demand(filled < kMebibytes,
           absl::StrCat("a container wrote ", filled, " MiB into ", file, " of the host's disk"));
    absl::StrAppend(&detail, file, " took ", filled, " MiB; ");
  }
  return {Outcome::kHarmless, detail};
}

Outcome MaskedPowercap(Target& target) {
  constexpr char kPath[] = "/sys/devices/virtual/powercap";
  if (access(kPath, F_OK) != 0) throw Skipped("the host has no powercap");
  const std::string output = Output(target, {"list", kPath}, [&](v1::ContainerConfig& config) {
    config.mutable_linux()->mutable_security_context()->add_masked_paths(kPath);
  });
  Demand(output.empty(), absl::StrCat("the container sees ", output));
  return {Outcome::kHarmless, "empty"};
}

Outcome OnlyOwnDevices(Target& target) {
  const std::string output = Output(target, {"list", "/dev"});
  for (const absl::string_view name : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    static constexpr absl::string_view kExpected[] = {
        "null", "zero", "full",   "random", "urandom", "tty",    "ptmx",   "console",
        "pts",  "shm",  "mqueue", "fd",     "stdin",   "stdout", "stderr", "core"};
    Demand(std::find(std::begin(kExpected), std::end(kExpected), name) != std::end(kExpected),
           absl::StrCat("the container has /dev/", name));
  }
  // The five memory devices are what they say; nodes that the container makes stay shut.
  std::vector<std::string> words = {"nodes"};
  words.insert(words.end(), std::begin(kNodes), std::end(kNodes));
  const std::string nodes = Output(target, words);
  const int minors[] = {3, 5, 7, 8, 9};
  for (int i = 0; i < 5; ++i) {
    Demand(absl::StrContains(nodes, absl::StrCat(kNodes[i], " char 1:", minors[i])),
           absl::StrCat(kNodes[i], " is something else: ", nodes));
  }
  const std::string made = Output(target, {"make-nodes"});
  Demand(absl::StrContains(made, "made"), "no node could be made, so nothing was tried");
  Demand(!absl::StrContains(made, "found:"), made);
  return {Outcome::kHarmless, "five memory devices, nothing of the host"};
}

}  // namespace

std::vector<Case> MountCases() {
  constexpr auto kEither = Allowed::kEither;
  return {
      {"mount: destinations with .. stay in the container", kEither, DestinationLeaves,
       "src/spec/fields.cc CleanInside, shim/child/target.cc"},
      {"mount: destinations through links of a volume make nothing on the host (CVE-2021-30465)",
       kEither, DestinationIsLink, "shim/child/target.cc"},
      {"mount: a volume over /proc or /sys receives nothing the runtime writes "
       "(CVE-2019-16884, CVE-2019-19921, CVE-2023-27561)",
       kEither, DestinationIsProc, "shim/child/mounts.cc"},
      {"mount: a pod's sysctl reaches the kernel whatever is mounted over it (CVE-2025-52881)",
       kEither, SysctlRedirected, "shim/child/mounts.cc"},
      {"mount: a volume at /dev whose null is a link masks nothing with it (CVE-2025-31133)",
       kEither, DevIsVolume, "src/linux/null_device.cc"},
      {"mount: the console is the container's own terminal (CVE-2025-52565)", kEither,
       TerminalReplaced, "shim/child/console.cc"},
      {"mount: masked and read-only paths stay in the container", kEither, HiddenPaths,
       "src/spec/validate_container.cc CheckPaths"},
      {"mount: the sub-path of an image volume stays in the image", kEither, ImageMountLeaves,
       "src/spec/container_mounts.cc ImageMount"},
      {"mount: id mappings that do not fit are refused (CVE-2021-43784)", Allowed::kRefused,
       BadMappings, "src/spec/namespaces.cc IdRange"},
      {"mount: /etc/hosts and the pod's other files have a limit (CVE-2020-8557)",
       Allowed::kHarmless, PodFilesGrow, "src/spec/sandbox_spec.cc AddMounts"},
      {"mount: powercap can be masked (GHSA-7ww5-4wqc-m92c)", Allowed::kHarmless, MaskedPowercap,
       "shim/child/mounts.cc"},
      {"device: an ordinary container has no device of the host and can open none that it makes",
       Allowed::kHarmless, OnlyOwnDevices, "src/spec/devices.cc DefaultRules"},
  };
}

}  // namespace crisp::hostile
