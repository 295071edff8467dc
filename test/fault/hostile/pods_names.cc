// Texts of pods and containers that end up as names, paths, lines and settings on the host.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

const std::string kNul = std::string("a") + '\0' + "b";
const std::string kNewline = "a\nb";
const std::string kLong(64 << 10, 'x');

// The inputs of a case about one field.
std::vector<SandboxInput> Sandboxes(
    const std::vector<std::string>& values,
    const std::function<void(v1::PodSandboxConfig&, const std::string&)>& set,
    const std::function<void(Target&, const std::string& id)>& harmless = nullptr) {
  std::vector<SandboxInput> inputs;
  for (const std::string& value : values) {
    inputs.push_back({absl::StrCat("\"", value.substr(0, 60), "\""),
                      [=](v1::PodSandboxConfig& config) { set(config, value); }, harmless});
  }
  return inputs;
}

std::vector<ContainerInput> Containers(
    const std::vector<std::string>& values,
    const std::function<void(v1::ContainerConfig&, const std::string&)>& set,
    const std::function<void(Target&, const std::string& output)>& harmless = nullptr) {
  std::vector<ContainerInput> inputs;
  for (const std::string& value : values) {
    inputs.push_back({absl::StrCat("\"", value.substr(0, 60), "\""),
                      [=](v1::ContainerConfig& config) { set(config, value); }, harmless});
  }
  return inputs;
}

SandboxChange Sysctl(const std::string& key, const std::string& value, bool host_ipc = false) {
  return [=](v1::PodSandboxConfig& config) {
    (*config.mutable_linux()->mutable_sysctls())[key] = value;
    if (!host_ipc) return;
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_ipc(
        v1::NODE);
  };
}

Outcome SysctlInjection(Target& target) {
  const std::string before = Read(kCorePattern);
  const auto harmless = [before](Target&, const std::string&) {
    Demand(Read(kCorePattern) == before, "core_pattern changed");
  };
  const std::string tail = "kernel.core_pattern=|/bin/false";
  const std::pair<std::string, std::string> texts[] = {
      {"kernel.shm_rmid_forced", "1+" + tail},
      {"kernel.shm_rmid_forced", "1\n" + tail},
      {"kernel.shm_rmid_forced", "1 " + tail},
      {"kernel.shm_rmid_forced", std::string("1") + '\0' + tail},
      {"kernel.shm_rmid_forced=1+kernel.core_pattern", "|/bin/false"},
      {"kernel.shm_rmid_forced\nkernel.core_pattern", "|/bin/false"},
      {"kernel.msgmax/../core_pattern", "|/bin/false"},
      {"kernel/shmmax/../core_pattern", "|/bin/false"},
      {"fs.mqueue/../../kernel/core_pattern", "|/bin/false"},
      {"fs/mqueue/../../kernel/core_pattern", "|/bin/false"},
      {"net/../kernel/core_pattern", "|/bin/false"},
      {"", "|/bin/false"},
      {"/", "|/bin/false"}};
  std::vector<SandboxInput> inputs;
  for (const auto& [key, value] : texts) {
    inputs.push_back({absl::StrCat(key, " = ", value), Sysctl(key, value), harmless});
  }
  const Outcome outcome = TrySandboxes(target, inputs);
  Demand(Read(kCorePattern) == before, "core_pattern changed");
  return outcome;
}

// The value the host has, so that a runtime which writes it changes nothing.
SandboxInput HostSysctl(const std::string& key, bool host_ipc) {
  std::string path = absl::StrCat("/proc/sys/", key);
  std::replace(path.begin() + 10, path.end(), '.', '/');
  const absl::StatusOr<std::string> value = base::ReadFile(path);
  std::string text = value.ok() ? *value : "1";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return {key, Sysctl(key, text, host_ipc)};
}

Outcome SysctlOfHost(Target& target) {
  std::vector<SandboxInput> inputs;
  for (const char* key :
       {"kernel.core_pattern", "kernel.panic", "kernel.modprobe", "kernel.pid_max", "vm.swappiness",
        "vm.overcommit_memory", "fs.file-max", "fs.suid_dumpable", "kernel.domainname",
        "kernel.randomize_va_space", "dev.cdrom.info", "user.max_user_namespaces"}) {
    inputs.push_back(HostSysctl(key, false));
  }
  return TrySandboxes(target, inputs);
}

Outcome SysctlOfHostNamespace(Target& target) {
  std::vector<SandboxInput> inputs;
  for (const char* key : {"net.core.somaxconn", "net.ipv4.ip_forward"}) {
    inputs.push_back(HostSysctl(key, false));  // these pods have the host's network
  }
  for (const char* key : {"kernel.shmmax", "kernel.shm_rmid_forced", "kernel.msgmax", "kernel.sem",
                          "fs.mqueue.msg_max"}) {
    inputs.push_back(HostSysctl(key, true));
  }
  return TrySandboxes(target, inputs);
}

Outcome LogPath(Target& target) {
  const auto set = [](v1::ContainerConfig& config, const std::string& path) {
    config.set_log_path(path);
  };
  const std::string canary = target.Canary() + "/log";
  const Outcome outcome = TryContainers(
      target, {"echo", "a line"},
      Containers({"../../../../../../.." + canary, "a/../../../../../../../.." + canary, "..", ".",
                  "x/", kNul, kNewline, "./" + kLong},
                 set, [canary](Target&, const std::string&) {
                   Demand(access(canary.c_str(), F_OK) != 0, "the log is in the canary");
                 }));
  Demand(access(canary.c_str(), F_OK) != 0, "the log is in the canary");
  return outcome;
}

// What lies at the place of the log before the container starts.
Outcome LogIsSomethingElse(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string directory = pod.config().log_directory();
  MakeLink(target.Canary() + "/secret", directory + "/link.log");
  MakeLink("/proc/sysrq-trigger", directory + "/proc.log");
  MakeLink(target.Canary() + "/made", directory + "/dangling.log");
  if (mkfifo((directory + "/fifo.log").c_str(), 0600) != 0 ||
      mkdir((directory + "/directory.log").c_str(), 0755) != 0) {
    throw std::runtime_error("make " + directory);
  }
  Outcome last;
  for (const char* name : {"link.log", "proc.log", "dangling.log", "fifo.log", "directory.log"}) {
    last = Labelled(name, [&]() -> Outcome {
      std::string container;
      const auto set = [name](v1::ContainerConfig& config) { config.set_log_path(name); };
      grpc::Status status = pod.TryCreate(Attack(target, {"echo", "a line"}, set), &container);
      if (status.ok()) status = pod.TryStart(container);
      if (!status.ok()) return target.Refused(status);
      pod.WaitExited(container);
      return {Outcome::kHarmless, "started"};
    });
  }
  Demand(Read(target.Canary() + "/secret") == target.Secret(), "the log was written over a link");
  Demand(access((target.Canary() + "/made").c_str(), F_OK) != 0, "the log is in the canary");
  return last;
}

Outcome LogDirectory(Target& target) {
  const auto set = [](v1::PodSandboxConfig& config, const std::string& path) {
    config.set_log_directory(path);
  };
  return TrySandboxes(target,
                      Sandboxes({"relative/logs", "../logs", target.Canary() + "/../canary/logs",
                                 "/proc/self/../../" + target.Canary(), "/" + kNul, "/" + kNewline},
                                set, [](Target&, const std::string&) {}));
}

Outcome Metadata(Target& target) {
  const std::vector<std::string> values = {"/", ".",      "..", "../../x", "a/b",
                                           "",  kNewline, kNul, kLong,     "a;b"};
  // A runtime may take any text as a name; then the host shows nothing of it, which is checked
  // after the case.
  const auto harmless = [](Target&, const std::string&) {};
  TrySandboxes(target, Sandboxes(
                           values,
                           [](v1::PodSandboxConfig& config, const std::string& value) {
                             config.mutable_metadata()->set_name(value);
                           },
                           harmless));
  TrySandboxes(target, Sandboxes(
                           values,
                           [](v1::PodSandboxConfig& config, const std::string& value) {
                             config.mutable_metadata()->set_namespace_(value);
                           },
                           harmless));
  TrySandboxes(target, Sandboxes(
                           values,
                           [](v1::PodSandboxConfig& config, const std::string& value) {
                             config.mutable_metadata()->set_uid(value);
                           },
                           harmless));
  return TryContainers(target, {"id"},
                       Containers(
                           values,
                           [](v1::ContainerConfig& config, const std::string& value) {
                             config.mutable_metadata()->set_name(value);
                           },
                           harmless));
}

// What a container of the sandbox sees in `file`.
std::string FileOf(Target& target, const std::string& sandbox, const SandboxChange& change,
                   const std::string& file) {
  test::Endpoint& endpoint = target.endpoint();
  v1::CreateContainerRequest create;
  create.set_pod_sandbox_id(sandbox);
  *create.mutable_config() = Attack(target, {"wait"});
  create.mutable_config()->clear_log_path();
  *create.mutable_sandbox_config() = target.PodConfig(change);
  const std::string id =
      endpoint.Call(endpoint.runtime(), &Runtime::CreateContainer, create).container_id();
  v1::StartContainerRequest start;
  start.set_container_id(id);
  endpoint.Call(endpoint.runtime(), &Runtime::StartContainer, start);
  v1::ExecSyncRequest exec;
  exec.set_container_id(id);
  for (const std::string& word : {std::string(kAttacker), std::string("cat"), file}) {
    exec.add_cmd(word);
  }
  exec.set_timeout(10);
  return endpoint.Call(endpoint.runtime(), &Runtime::ExecSync, exec).stdout();
}

// `lines` that a text has put into a file of the pod.
void NoLine(const std::string& text, const std::string& file, absl::string_view begin) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    Demand(!absl::StartsWith(line, begin), absl::StrCat(file, " has the line ", line));
  }
}

Outcome Hostname(Target& target) {
  std::vector<SandboxInput> inputs;
  for (const std::string& value :
       {std::string("a\n6.6.6.6 injected"), std::string("a 6.6.6.6"), kNul, std::string(65, 'a'),
        kLong, std::string("../../etc"), std::string("$(reboot)"), std::string("a;b")}) {
    const SandboxChange change = [value](v1::PodSandboxConfig& config) {
      config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
          v1::POD);
      config.set_hostname(value);
    };
    inputs.push_back({value.substr(0, 40), change, [change](Target& host, const std::string& id) {
                        NoLine(FileOf(host, id, change, "/etc/hosts"), "/etc/hosts", "6.6.6.6");
                      }});
  }
  return TrySandboxes(target, inputs);
}

Outcome Dns(Target& target) {
  std::vector<SandboxInput> inputs;
  for (const std::string& value :
       {std::string("1.1.1.1\nnameserver 6.6.6.6"), std::string("1.1.1.1\rnameserver 6.6.6.6"),
        kNul, std::string("1.1.1.1 6.6.6.6"), std::string(""), kLong}) {
    for (const int field : {0, 1, 2}) {
      const SandboxChange change = [=](v1::PodSandboxConfig& config) {
        v1::DNSConfig& dns = *config.mutable_dns_config();
        (field == 0   ? dns.add_servers()
         : field == 1 ? dns.add_searches()
                      : dns.add_options())
            ->assign(value);
      };
      inputs.push_back({absl::StrCat("field ", field, " ", value.substr(0, 40)), change,
                        [change](Target& host, const std::string& id) {
                          NoLine(FileOf(host, id, change, "/etc/resolv.conf"), "/etc/resolv.conf",
                                 "nameserver 6.6.6.6");
                        }});
    }
  }
  return TrySandboxes(target, inputs);
}

// Annotations that make some runtime or its helpers do things which only an administrator may.
const std::pair<const char*, const char*> kAnnotations[] = {
    {"io.kubernetes.cri-o.Devices", "/dev/kmsg:/dev/kmsg:rwm"},
    {"io.kubernetes.cri-o.ShmSize", "4Gi"},
    {"io.kubernetes.cri-o.UnifiedCgroup.attack", "memory.max=max"},
    {"io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw", "true"},
    {"io.kubernetes.cri-o.seccompNotifierAction", "stop"},
    {"io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel", "true"},
    {"io.kubernetes.cri-o.umask", "0000"},
    {"io.kubernetes.cri-o.userns-mode", "host"},
    {"io.kubernetes.cri-o.LinkLogs", "/"},
    {"io.kubernetes.cri-o.PodLinuxOverhead", "{}"},
    {"io.kubernetes.cri-o.ContainerType", "sandbox"},
    {"io.kubernetes.cri-o.platform-runtime-path", kAttacker},
    {"io.kubernetes.cri-o.stop-signal", "SIGCONT"},
    {"cpu-load-balancing.crio.io", "disable"},
    {"cpu-quota.crio.io", "disable"},
    {"irq-load-balancing.crio.io", "disable"},
    {"seccomp-profile.kubernetes.cri-o.io", "unconfined"},
    {"run.oci.hooks.stdout", "/hooks-out"},
    {"run.oci.hooks.stderr", "/hooks-err"},
    {"run.oci.handler", "wasm"},
    {"run.oci.keep_original_groups", "1"},
    {"run.oci.seccomp.receiver", "/attack/socket"},
    {"run.oci.seccomp_bpf_data", "AAAA"},
    {"run.oci.systemd.force_cgroup_v1", "/"},
    {"run.oci.systemd.subgroup", "../.."},
    {"run.oci.mount_context_type", "rootcontext"},
    {"run.oci.pidfd_receiver", "/attack/socket"},
    {"run.oci.delegate-cgroup", "x"},
    {"module.wasm.image/variant", "compat"},
    {"org.systemd.property.TimeoutStopUSec", "uint64 0"},
    {"org.systemd.property.DeviceAllow", "[('/dev/kmsg', 'rwm')]"},
    {"org.opencontainers.runc.exec.isolated-cpu-affinity-transition", "temporary"},
    {"io.katacontainers.config.hypervisor.path", kAttacker},
    {"io.containerd.runc.v2.group", "attack"},
    {"io.containers.trace-syscall", "of:/trace"},
    {"io.podman.annotations.privileged", "TRUE"},
    {"container.apparmor.security.beta.kubernetes.io/attack", "unconfined"},
    {"container.seccomp.security.alpha.kubernetes.io/attack", "unconfined"},
    {"seccomp.security.alpha.kubernetes.io/pod", "unconfined"},
    {"devices.gvisor.dev/attack", "/dev/kmsg"},
    {"nri.io/attack", "x"},
    {"io.crisp.privileged", "true"},
    {"crisp.privileged", "true"}};

// Every annotation at once changes nothing that the container can see.
Outcome Annotations(Target& target) {
  const std::vector<std::vector<std::string>> looks = {
      {"id"}, {"list", "/dev"}, {"env"}, {"list", "/"}, {"cat", "/proc/self/cgroup"}};
  const auto facts = [&](bool annotated) {
    test::Pod& pod = target.NewPod([annotated](v1::PodSandboxConfig& config) {
      if (!annotated) return;
      for (const auto& [key, value] : kAnnotations) (*config.mutable_annotations())[key] = value;
    });
    const std::string container =
        StartAttack(target, pod, {"wait"}, [annotated](v1::ContainerConfig& config) {
          config.mutable_metadata()->set_name("attack");
          if (!annotated) return;
          for (const auto& [key, value] : kAnnotations) {
            (*config.mutable_annotations())[key] = value;
          }
        });
    std::string all;
    for (const std::vector<std::string>& look : looks) {
      std::vector<std::string> words = {kAttacker};
      words.insert(words.end(), look.begin(), look.end());
      const test::ExecResult result = pod.Exec(container, words);
      // The container's own id is in the paths of its cgroups, the exec's too.
      all += look[0] == "cat"
                 ? absl::StrCat(std::count(result.out.begin(), result.out.end(), 0x0a), "\n")
                 : result.out;
    }
    EndAttack(pod, container);
    return all;
  };
  const std::string plain = facts(false);
  const std::string annotated = facts(true);
  Demand(plain == annotated,
         absl::StrCat("with annotations the container has\n", annotated, "without\n", plain));
  return {Outcome::kHarmless, absl::StrCat(std::size(kAnnotations), " annotations, no effect")};
}

Outcome CgroupParent(Target& target) {
  const auto set = [](v1::PodSandboxConfig& config, const std::string& path) {
    config.mutable_linux()->set_cgroup_parent(path);
  };
  return TrySandboxes(target, Sandboxes({"../../attack", "/../../attack", "/a/../../../attack",
                                         "a/../..", "/" + kNul, "/" + kNewline, "/" + kLong,
                                         "/sys/fs/cgroup/../../../" + target.Canary()},
                                        set));
}

Outcome PortMappings(Target& target) {
  const auto set = [](v1::PodSandboxConfig& config, const std::string& ip) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::POD);
    v1::PortMapping& port = *config.add_port_mappings();
    port.set_container_port(80);
    port.set_host_port(18080);
    port.set_host_ip(ip);
  };
  return TrySandboxes(target, Sandboxes({"127.0.0.1; reboot", "$(reboot)", "1.2.3.4 -j ACCEPT",
                                         "::1%eth0", "127.0.0.1\n", "1.2.3", "a.b.c.d",
                                         std::string("127.0.0.1") + '\0' + "x", kLong},
                                        set));
}

Outcome UserName(Target& target) {
  const auto set = [](v1::ContainerConfig& config, const std::string& name) {
    config.mutable_linux()->mutable_security_context()->set_run_as_username(name);
  };
  return TryContainers(target, {"try-cat", "/etc/passwd"},
                       Containers({"root\nevil:x:0:0::/:/bin/sh", "root\\nevil:x:0:0::/:/bin/sh",
                                   "evil:x:0:0", kNul, "../../etc/passwd", kLong, "a\rb"},
                                  set, [](Target&, const std::string& output) {
                                    NoLine(output, "/etc/passwd", "evil:");
                                  }));
}

Outcome Environment(Target& target) {
  struct Variable {
    std::string key;
    std::string value;
  };
  std::vector<ContainerInput> inputs;
  for (const Variable& variable :
       {Variable{"A=INJECTED=1;B", "x"}, Variable{std::string("A") + '\0' + "INJECTED", "1"},
        Variable{"A", std::string("x") + '\0' + "INJECTED=1"}, Variable{"", "INJECTED=1"},
        Variable{"=INJECTED", "1"}}) {
    inputs.push_back({variable.key,
                      [variable](v1::ContainerConfig& config) {
                        v1::KeyValue& entry = *config.add_envs();
                        entry.set_key(variable.key);
                        entry.set_value(variable.value);
                      },
                      [](Target&, const std::string& output) {
                        NoLine(output, "the environment", "env: INJECTED");
                      }});
  }
  return TryContainers(target, {"env"}, inputs);
}

Outcome ImageIsHostPath(Target& target) {
  Outcome last;
  const std::vector<std::string> references = {target.Canary(),
                                               target.Canary() + "/secret",
                                               "dir:" + target.Canary(),
                                               "oci:" + target.Canary(),
                                               "oci-archive:/etc/passwd",
                                               "docker-archive:/etc/passwd",
                                               "containers-storage:x",
                                               "file:///etc/passwd",
                                               "../../../etc",
                                               "/",
                                               "",
                                               kNul,
                                               kNewline,
                                               kLong};
  for (const std::string& reference : references) {
    last = Labelled(reference.substr(0, 60), [&] {
      const Outcome pull = target.Refused(target.Pull(reference, nullptr, 20));
      const grpc::Status created =
          target.ThePod().TryCreate(target.ContainerConfig(reference, {"id"}));
      target.Refused(created);
      return pull;
    });
  }
  return last;
}

}  // namespace

std::vector<Case> NameCases() {
  constexpr auto kEither = Allowed::kEither;
  constexpr auto kRefused = Allowed::kRefused;
  return {
      {"sysctl: a key or value carries no second sysctl (CVE-2022-0811)", kEither, SysctlInjection,
       "src/linux/sysctl.cc SysctlPath"},
      {"sysctl: one that is not of a namespace is refused", kRefused, SysctlOfHost,
       "src/spec/sysctls.cc CheckNamespaced"},
      {"sysctl: none in a namespace of the host (CVE-2022-0532)", kRefused, SysctlOfHostNamespace,
       "src/spec/sysctls.cc CheckNamespaced"},
      {"log: a path leads out of the log directory (CVE-2025-0750)", kEither, LogPath,
       "src/spec/validate_container.cc CheckLogPath"},
      {"log: what lies at its place is not written over (CVE-2025-0750)", kEither,
       LogIsSomethingElse, "shim/container_log.cc"},
      {"log: the directory is an absolute path without ..", kEither, LogDirectory,
       "src/spec/validate_sandbox.cc ValidateSandboxConfig"},
      {"name: pods and containers whose names are paths, lines or very long", kEither, Metadata,
       "src/spec/fields.cc CheckName"},
      {"name: a hostname adds no line to /etc/hosts", kEither, Hostname,
       "src/spec/validate_sandbox.cc CheckHostname"},
      {"name: DNS settings add no line to /etc/resolv.conf", kEither, Dns,
       "src/spec/validate_sandbox.cc CheckDnsWords"},
      {"name: annotations give a container nothing (CVE-2023-6476, CVE-2024-3154)",
       Allowed::kHarmless, Annotations, "src/spec/container_spec.cc"},
      {"name: the cgroup parent stays below the root of cgroups", kRefused, CgroupParent,
       "src/spec/validate_sandbox.cc CheckCgroupParent"},
      {"name: the host address of a port is an address", kRefused, PortMappings,
       "src/spec/validate_sandbox.cc CheckPortMapping"},
      {"name: a user name adds no line to /etc/passwd (CVE-2022-4318, CVE-2026-15809)", kEither,
       UserName, "src/spec/user.cc PrimaryUser"},
      {"name: a variable carries no second one", kEither, Environment,
       "src/spec/container_process.cc MakeEnvironment"},
      {"name: an image is not a path of the host", kRefused, ImageIsHostPath,
       "src/oci/reference.cc"},
  };
}

}  // namespace crisp::hostile
