// Users, groups, capabilities, profiles and devices of containers: what is asked is what there is,
// and what cannot be given is refused.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

using Context = v1::LinuxContainerSecurityContext;
using Rights = std::function<void(Context&)>;

ContainerChange WithRights(Rights change) {
  return [change = std::move(change)](v1::ContainerConfig& config) {
    change(*config.mutable_linux()->mutable_security_context());
  };
}

// The four ids of "Uid:" or "Gid:" in what `id` printed are all `id`.
void OnlyId(const std::string& output, const std::string& name, int64_t id) {
  for (const absl::string_view word :
       absl::StrSplit(Line(output, name + ":\t"), '\t', absl::SkipEmpty())) {
    Demand(word == absl::StrCat(id), absl::StrCat(name, " is ", word, ", not ", id));
  }
}

Outcome IdsOutOfRange(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const int64_t id : {int64_t{-1}, int64_t{2147483648}, int64_t{4294967295},
                           int64_t{4294967296}, int64_t{4294967297}, INT64_MAX, INT64_MIN}) {
    inputs.push_back({absl::StrCat("run_as_user ", id), WithRights([id](Context& context) {
                        context.mutable_run_as_user()->set_value(id);
                      }),
                      [id](Target&, const std::string& output) { OnlyId(output, "Uid", id); }});
    inputs.push_back({absl::StrCat("run_as_group ", id), WithRights([id](Context& context) {
                        context.mutable_run_as_user()->set_value(1000);
                        context.mutable_run_as_group()->set_value(id);
                      }),
                      [id](Target&, const std::string& output) { OnlyId(output, "Gid", id); }});
    inputs.push_back({absl::StrCat("supplemental group ", id),
                      WithRights([id](Context& context) { context.add_supplemental_groups(id); }),
                      [id](Target&, const std::string& output) {
                        Demand(absl::StrContains(Line(output, "Groups:"), absl::StrCat(id)),
                               "the group became another one");
                      }});
  }
  return TryContainers(target, {"id"}, inputs);
}

// A name that is a number must be that number and never another.
Outcome NumericNames(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const char* name : {"0",
                           "1",
                           "00",
                           "01",
                           "007",
                           "1000",
                           "+0",
                           "+1",
                           "-0",
                           "-1",
                           "0x0",
                           "0x1",
                           " 0",
                           "1 ",
                           "0\t",
                           "1e3",
                           "2147483648",
                           "4294967295",
                           "4294967296",
                           "18446744073709551616",
                           "99999999999999999999",
                           "0:0",
                           "1:0",
                           "root:0",
                           ":",
                           "١"}) {
    inputs.push_back({absl::StrCat("\"", name, "\""),
                      WithRights([name](Context& context) { context.set_run_as_username(name); }),
                      [name](Target&, const std::string& output) {
                        int64_t id = 0;
                        Demand(absl::SimpleAtoi(name, &id), "the runtime took it");
                        OnlyId(output, "Uid", id);
                      }});
  }
  return TryContainers(target, {"id"}, inputs);
}

Outcome GroupWithoutUser(Target& target) {
  const Outcome outcome =
      TryContainers(target, {"id"}, {{"container", WithRights([](Context& context) {
                                        context.mutable_run_as_group()->set_value(5);
                                      })}});
  TrySandboxes(
      target,
      {{"sandbox", [](v1::PodSandboxConfig& config) {
          config.mutable_linux()->mutable_security_context()->mutable_run_as_group()->set_value(5);
        }}});
  return outcome;
}

// Without its primary group among them, a process could drop that one and pass a deny for it.
Outcome Groups(Target& target) {
  for (const auto policy : {v1::Merge, v1::Strict}) {
    const std::string output = Output(target, {"id"}, WithRights([policy](Context& context) {
                                        context.mutable_run_as_user()->set_value(1234);
                                        context.mutable_run_as_group()->set_value(2345);
                                        context.add_supplemental_groups(3456);
                                        context.set_supplemental_groups_policy(policy);
                                      }));
    OnlyId(output, "Uid", 1234);
    OnlyId(output, "Gid", 2345);
    const std::vector<std::string> words =
        absl::StrSplit(Line(output, "Groups:"), absl::ByAnyChar("\t "), absl::SkipEmpty());
    const std::set<std::string> groups(words.begin(), words.end());
    Demand(groups == std::set<std::string>({"2345", "3456"}),
           absl::StrCat("the groups are ", Line(output, "Groups:")));
  }
  return Harmless("primary and supplementary groups, both policies");
}

uint64_t Mask(const std::string& output, const std::string& name) {
  uint64_t mask = 0;
  Demand(absl::SimpleHexAtoi(Line(output, name + ":\t"), &mask), "no capabilities in " + output);
  return mask;
}

// CapInh of init and of an exec, for many sets of capabilities.
Outcome Inheritable(Target& target) {
  struct Set {
    std::vector<const char*> add, drop, raise;
  };
  const std::vector<Set> sets = {{},
                                 {{"ALL"}, {}, {}},
                                 {{}, {"ALL"}, {}},
                                 {{"NET_ADMIN"}, {"ALL"}, {}},
                                 {{"SYS_PTRACE", "SYS_ADMIN"}, {}, {}},
                                 {{"ALL"}, {"SYS_ADMIN"}, {}},
                                 {{}, {"ALL"}, {"NET_BIND_SERVICE"}}};
  test::Pod& pod = target.ThePod();
  for (const Set& set : sets) {
    for (const int64_t user : {0, 1000}) {
      const auto rights = WithRights([&](Context& context) {
        context.mutable_run_as_user()->set_value(user);
        for (const char* name : set.add) context.mutable_capabilities()->add_add_capabilities(name);
        for (const char* name : set.drop) {
          context.mutable_capabilities()->add_drop_capabilities(name);
        }
        for (const char* name : set.raise) {
          context.mutable_capabilities()->add_add_ambient_capabilities(name);
        }
      });
      const std::string container = StartAttack(target, pod, {"wait"}, rights);
      const std::string exec = pod.Exec(container, {kAttacker, "id"}).out;
      EndAttack(pod, container);
      for (const std::string& output : {exec, Output(target, {"id"}, rights)}) {
        Demand(Mask(output, "CapInh") == Mask(output, "CapAmb"),
               absl::StrCat("inheritable capabilities: ", output));
        Demand(set.raise.empty() == (Mask(output, "CapAmb") == 0),
               absl::StrCat("ambient capabilities: ", output));
        Demand((Mask(output, "CapEff") & ~Mask(output, "CapBnd")) == 0,
               absl::StrCat("more than the bounding set: ", output));
      }
    }
  }
  return Harmless(absl::StrCat(sets.size() * 4, " processes without inheritable capabilities"));
}

Outcome CapabilityNames(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const std::string& name : {std::string("FLY"), std::string("CAP_"), std::string(""),
                                  std::string("-1"), std::string("99"), std::string("SYS_ADMIN "),
                                  std::string("SYS_ADMIN\n"), std::string("SYS_ADMIN,SYS_PTRACE"),
                                  std::string("CAP_CAP_SYS_ADMIN"), std::string(64 << 10, 'X')}) {
    const auto harmless = [](Target&, const std::string& output) {
      constexpr uint64_t kSysAdmin = uint64_t{1} << 21;
      Demand((Mask(output, "CapBnd") & kSysAdmin) == 0, "it became CAP_SYS_ADMIN");
    };
    inputs.push_back({absl::StrCat("add ", name.substr(0, 40)),
                      WithRights([name](Context& context) {
                        context.mutable_capabilities()->add_add_capabilities(name);
                      }),
                      harmless});
    // To drop what does not exist must not leave what does: it has to be refused.
    inputs.push_back({absl::StrCat("drop ", name.substr(0, 40)),
                      WithRights([name](Context& context) {
                        context.mutable_capabilities()->add_drop_capabilities(name);
                      }),
                      harmless});
  }
  return TryContainers(target, {"id"}, inputs);
}

ContainerChange Seccomp(const std::string& path) {
  return WithRights([path](Context& context) {
    context.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost);
    context.mutable_seccomp()->set_localhost_ref(path);
  });
}

Outcome SeccompProfiles(Target& target) {
  const std::string directory = target.Scratch();
  const std::pair<const char*, std::string> texts[] = {
      {"not-json", "{ not json"},
      {"empty", ""},
      {"deep", std::string(100'000, '[')},
      {"nothing", "{}"},
      {"unknown-action", R"({"defaultAction":"SCMP_ACT_FLY"})"},
      {"unknown-architecture",
       R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_FLY"]})"},
      {"number", R"({"defaultAction":5})"},
      // Each rule costs libseccomp time.
      {"repeated", absl::StrCat(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":[)",
                                absl::StrJoin(std::vector<std::string>(100'000, "\"read\""), ","),
                                R"(],"action":"SCMP_ACT_ALLOW"}]})")},
      {"large", "{\"defaultAction\":\"" + std::string(8 * kMebibyte, 'x') + "\"}"}};
  std::vector<ContainerInput> inputs;
  for (const auto& [name, text] : texts) {
    const std::string path = absl::StrCat(directory, "/", name);
    Write(path, text);
    inputs.push_back({name, Seccomp(path)});
  }
  if (mkfifo((directory + "/fifo").c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
  for (const std::string& path :
       {directory + "/fifo", directory, directory + "/missing", std::string("/dev/zero"),
        std::string("/dev/full"), std::string("/proc/kmsg"), std::string("relative"),
        std::string(""), "../../../../.." + target.Canary() + "/secret"}) {
    inputs.push_back({path, Seccomp(path)});
  }
  return TryContainers(target, {"id"}, inputs);
}

// A profile that does not exist must not become none.
Outcome MissingProfile(Target& target) {
  return TryContainers(
      target, {"id"},
      {{"apparmor", WithRights([](Context& context) {
          context.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost);
          context.mutable_apparmor()->set_localhost_ref("no-such-profile-of-this-host");
        })},
       {"apparmor with a line", WithRights([](Context& context) {
          context.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost);
          context.mutable_apparmor()->set_localhost_ref("unconfined\nexec unconfined");
        })},
       {"apparmor path", WithRights([](Context& context) {
          context.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost);
          context.mutable_apparmor()->set_localhost_ref("../../unconfined");
        })},
       {"unknown kind of profile", WithRights([](Context& context) {
          context.mutable_seccomp()->set_profile_type(
              static_cast<v1::SecurityProfile::ProfileType>(77));
        })}});
}

Outcome SelinuxLabels(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const std::string& text :
       {std::string("a:b:c:d:e"), std::string("x\ny"), std::string("a") + '\0' + "b",
        std::string(64 << 10, 'x'), std::string("../../etc")}) {
    inputs.push_back({text.substr(0, 40), WithRights([text](Context& context) {
                        context.mutable_selinux_options()->set_user(text);
                        context.mutable_selinux_options()->set_type(text);
                        context.mutable_selinux_options()->set_level(text);
                      }),
                      [](Target&, const std::string&) {}});
  }
  return TryContainers(target, {"id"}, inputs);
}

Outcome DevicePaths(Target& target) {
  struct Device {
    std::string host, container, permissions;
  };
  std::vector<ContainerInput> inputs;
  for (const Device& device :
       {Device{"/etc/passwd", "/dev/x", "rwm"}, Device{"/dev/../etc/passwd", "/dev/x", "rwm"},
        Device{"relative", "/dev/x", "rwm"}, Device{"/dev/null\n", "/dev/x", "rwm"},
        Device{"/proc/self/fd/0", "/dev/x", "rwm"}, Device{"/no/such/device", "/dev/x", "rwm"},
        Device{"/dev/null", "/../../../../../.." + target.Canary() + "/device", "rwm"},
        Device{"/dev/null", "/", "rwm"}, Device{"/dev/null", "/proc/self/device", "rwm"},
        Device{"/dev/null", "/dev/x", "rwx"}, Device{"/dev/null", "/dev/x", "rrww"},
        Device{"/dev/null", "/dev/x", std::string(5000, 'r')}}) {
    inputs.push_back(
        {absl::StrCat(device.host, " at ", device.container, " ", device.permissions.substr(0, 10)),
         [device](v1::ContainerConfig& config) {
           v1::Device& one = *config.add_devices();
           one.set_host_path(device.host);
           one.set_container_path(device.container);
           one.set_permissions(device.permissions);
         },
         [](Target& host, const std::string& output) {
           Demand(access((host.Canary() + "/device").c_str(), F_OK) != 0,
                  "the node was made in the canary");
           Demand(absl::StrContains(output, "/dev/x missing") ||
                      absl::StrContains(output, "/dev/x char 1:3"),
                  absl::StrCat("the container got ", output));
         }});
  }
  const Outcome outcome = TryContainers(target, {"nodes", "/dev/x"}, inputs);
  Demand(access((target.Canary() + "/device").c_str(), F_OK) != 0, "a node is in the canary");
  return outcome;
}

Outcome UnknownCdi(Target& target) {
  std::vector<ContainerInput> inputs;
  for (const std::string& name :
       {std::string("vendor.example/device=none"), std::string("../../etc/passwd=x"),
        std::string("vendor.example/../x=y"), std::string("vendor.example/device"),
        std::string("a\nb/c=d"), std::string(""), std::string("="), std::string(64 << 10, 'x')}) {
    inputs.push_back({name.substr(0, 40), [name](v1::ContainerConfig& config) {
                        config.add_cdi_devices()->set_name(name);
                      }});
  }
  return TryContainers(target, {"id"}, inputs);
}

Outcome PrivilegedInOrdinaryPod(Target& target) {
  const auto harmless = [](Target&, const std::string& output) {
    Demand(absl::StrContains(output, "/dev/kmsg missing"), "the container got the host's devices");
  };
  return TryContainers(
      target, {"nodes", "/dev/kmsg"},
      {{"privileged", WithRights([](Context& context) { context.set_privileged(true); }), harmless},
       {"host pid", WithRights([](Context& context) {
          context.mutable_namespace_options()->set_pid(v1::NODE);
        })}});
}

}  // namespace

std::vector<Case> RightsCases() {
  constexpr auto kEither = Allowed::kEither;
  constexpr auto kRefused = Allowed::kRefused;
  return {
      {"user: ids beyond 2^31 never become another id (CVE-2024-40635)", kEither, IdsOutOfRange,
       "src/spec/fields.cc CheckId"},
      {"user: names that are numbers are those numbers (CVE-2026-30892, CVE-2026-46680)", kEither,
       NumericNames, "src/spec/user.cc ParseId"},
      {"user: a group without a user is refused", kRefused, GroupWithoutUser,
       "src/spec/validate_container.cc CheckUser"},
      {"user: the primary group is among the groups (CVE-2022-2995, CVE-2023-25173)",
       Allowed::kHarmless, Groups, "src/spec/user.cc ResolveUser"},
      {"capability: none is inheritable unless it is ambient (CVE-2022-24769, CVE-2022-29162)",
       Allowed::kHarmless, Inheritable, "src/spec/capabilities.cc ContainerCapabilities"},
      {"capability: names that are none", kEither, CapabilityNames,
       "src/spec/capabilities.cc Parse"},
      {"profile: seccomp profiles that cannot be read or understood are refused", kRefused,
       SeccompProfiles, "src/spec/seccomp.cc ReadProfile, src/spec/seccomp_profile_codec.cc"},
      {"profile: one that does not exist is not left out", kRefused, MissingProfile,
       "src/spec/apparmor.cc"},
      {"profile: SELinux labels with other text", kEither, SelinuxLabels, "src/spec/fields.cc"},
      {"device: paths that are not devices or leave the container", kEither, DevicePaths,
       "src/spec/devices.cc CheckDevice"},
      {"device: a CDI device that does not exist is refused", kRefused, UnknownCdi,
       "src/spec/cdi.cc CdiNames"},
      {"capability: a privileged container needs a privileged pod", kEither,
       PrivilegedInOrdinaryPod, "src/spec/privileged.cc CheckPrivileged"},
  };
}

}  // namespace crisp::hostile
