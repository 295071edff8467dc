#include "spec/sandbox_spec.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "spec/validate.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using ::runtime::v1::PodSandboxConfig;

absl::StatusOr<oci::Spec> Make(const PodSandboxConfig& config) {
  return SandboxSpec({.config = config,
                      .id = "s",
                      .hostname = "pod",
                      .pause_root = "/pause",
                      .cgroup_path = "/pod/s"});
}
absl::StatusOr<oci::Spec> Make(const std::string& text) {
  return Make(Proto<PodSandboxConfig>(text));
}

std::string Linux(const std::string& text) { return absl::StrCat("linux { ", text, " }"); }
std::string Context(const std::string& text) {
  return Linux(absl::StrCat("security_context { ", text, " }"));
}

TEST_CASE("pause gets a new namespace of each kind that is not the host's") {
  CHECK(NamespacesOf(*Make("")) == "mount= network= uts= ipc= pid= ");
  CHECK(Make("")->hostname == "pod");
  CHECK(NamespacesOf(*Make(Options("network: NODE"))) == "mount= ipc= pid= ");
  CHECK(Make(Options("network: NODE"))->hostname.empty());
  CHECK(NamespacesOf(*Make(Options("ipc: NODE"))) == "mount= network= uts= pid= ");
  CHECK(NamespacesOf(*Make(Options("pid: NODE"))) == "mount= network= uts= ipc= ");
  CHECK(NamespacesOf(*Make(Options("pid: CONTAINER"))) == "mount= network= uts= ipc= pid= ");
  CHECK(Make("")->mounts.size() == 3);
  CHECK(Make(Options("ipc: NODE"))->mounts.size() == 2);
}

TEST_CASE("pause runs without capabilities, as a user of its own, on a read-only root") {
  const oci::Spec spec = *Make("");
  CHECK(spec.process.user.uid == 65535);
  CHECK(spec.process.user.gid == 65535);
  CHECK(spec.process.user.additional_gids == std::vector<uint32_t>{65535});
  REQUIRE(spec.process.capabilities.has_value());
  CHECK(spec.process.capabilities->bounding.empty());
  CHECK(spec.process.capabilities->permitted.empty());
  CHECK(spec.process.no_new_privileges);
  CHECK(spec.process.oom_score_adj == -998);
  CHECK(spec.root.readonly);
  CHECK(spec.root.path == "/pause");
}

TEST_CASE("a configured user and groups become those of pause") {
  const oci::User user =
      Make(Context("run_as_user { value: 5 } supplemental_groups: [9, 7]"))->process.user;
  CHECK(user.uid == 5);
  CHECK(user.gid == 0);
  CHECK(user.additional_gids == std::vector<uint32_t>{0, 7, 9});
  CHECK(Make(Context("run_as_user { value: 5 } run_as_group { value: 6 }"))->process.user.gid == 6);
  CheckRefused(Make(Context("run_as_group { value: 6 }")).status(), "runAsGroup 6");
  CheckRefused(Make(Context("run_as_user { value: 4294967296 }")).status(), "runAsUser");
  CheckRefused(Make(Context("supplemental_groups: -1")).status(), "supplementalGroups");
}

TEST_CASE("a user namespace maps its ranges, and pause is a mapped user") {
  const std::string range = "{ host_id: 1000 container_id: 0 length: 100000 }";
  const oci::Spec spec = *Make(Options("userns_options { mode: POD uids: " + range +
                                       " gids: { host_id: 2000 length: 100000 } }"));
  CHECK(NamespacesOf(spec) == "mount= network= uts= ipc= pid= user= ");
  REQUIRE(spec.linux_.uid_mappings.size() == 1);
  CHECK(spec.linux_.uid_mappings[0].host_id == 1000);
  CHECK(spec.linux_.uid_mappings[0].size == 100000);
  CHECK(spec.linux_.gid_mappings[0].host_id == 2000);
  CHECK(spec.process.user.uid == 65535);
  // The range does not include the user id of pause.
  CHECK(Make(Options("userns_options { uids: { length: 65535 } gids: { length: 65535 } }"))
            ->process.user.uid == 0);
  CHECK(NamespacesOf(*Make(Options("userns_options { mode: NODE }"))) ==
        "mount= network= uts= ipc= pid= ");
}

TEST_CASE("user namespaces need one range of each kind, from id 0 and of equal length") {
  const std::string good = "{ host_id: 1000 length: 100000 }";
  const std::pair<std::string, const char*> cases[] = {
      {"mode: POD", "uids: must be exactly one range, not 0"},
      {"mode: POD uids: " + good, "gids: must be exactly one range, not 0"},
      {"mode: POD uids: " + good + " uids: " + good + " gids: " + good,
       "uids: must be exactly one range, not 2"},
      {"mode: POD uids: { container_id: 1 length: 9 } gids: " + good, "container_id 1"},
      {"mode: POD uids: " + good + " gids: { container_id: 1 length: 9 }", "container_id 1"},
      {"mode: POD uids: { length: 0 } gids: " + good, "length 0"},
      {"mode: POD uids: { host_id: 4294967295 length: 1 } gids: " + good, "length 1"},
      {"mode: POD uids: { length: 4294967295 host_id: 1 } gids: " + good, "length 4294967295"},
      {"mode: POD uids: " + good + " gids: { length: 5 }", "gids.length 5"},
      {"mode: NODE uids: " + good, "\"NODE\": must not have mappings"},
      {"mode: CONTAINER", "mode 1"},
      {"mode: TARGET", "mode 3"},
      {"mode: 9", "mode 9"},
  };
  for (const auto& [text, part] : cases) {
    CAPTURE(text);
    CheckRefused(Make(Options("userns_options { " + text + " }")).status(), part);
  }
  const std::string pod = " userns_options { uids: " + good + " gids: " + good + " }";
  CheckRefused(Make(Options("pid: NODE" + pod)).status(), "host's pid");
  CheckRefused(Make(Options("ipc: NODE" + pod)).status(), "host's pid or ipc");
}

TEST_CASE("a sandbox cannot have mode TARGET or an unknown mode") {
  CheckRefused(Make(Options("network: TARGET")).status(), "network \"TARGET\"");
  CheckRefused(Make(Options("ipc: TARGET")).status(), "ipc \"TARGET\"");
  CheckRefused(Make(Options("pid: TARGET")).status(), "pid \"TARGET\"");
  CheckRefused(Make(Options("network: 17")).status(), "network 17");
  CheckRefused(Make(Options("ipc: 17")).status(), "ipc 17");
  CheckRefused(Make(Options("pid: 17")).status(), "pid 17");
}

using Sysctls = std::map<std::string, std::string>;

Sysctls SysctlsOf(const PodSandboxConfig& config) {
  const absl::StatusOr<oci::Spec> spec = Make(config);
  INFO(spec.status());
  REQUIRE(spec.ok());
  return spec->linux_.sysctl;
}

TEST_CASE("namespaced sysctls are taken in both notations, and defaults are added") {
  const Sysctls defaults = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                            {"net.ipv4.ping_group_range", "0 2147483647"}};
  PodSandboxConfig config;
  CHECK(SysctlsOf(config) == defaults);

  auto& wanted = *config.mutable_linux()->mutable_sysctls();
  wanted["kernel.shm_rmid_forced"] = "1";
  wanted["kernel/msgmax"] = "8192";
  wanted["kernel.sem"] = "1\t2 3 4";
  wanted["fs.mqueue.msg_max"] = "20";
  wanted["net/ipv4/conf/eth0.100/forwarding"] = "1";
  wanted["net.ipv4.conf.eth1/5.forwarding"] = "0";
  wanted["net.ipv4.ip_unprivileged_port_start"] = "1024";
  wanted["net/ipv4/ping_group_range"] = "1 0";
  CHECK(SysctlsOf(config) == Sysctls{{"kernel.shm_rmid_forced", "1"},
                                     {"kernel.msgmax", "8192"},
                                     {"kernel.sem", "1\t2 3 4"},
                                     {"fs.mqueue.msg_max", "20"},
                                     {"net.ipv4.conf.eth0/100.forwarding", "1"},
                                     {"net.ipv4.conf.eth1/5.forwarding", "0"},
                                     {"net.ipv4.ip_unprivileged_port_start", "1024"},
                                     {"net.ipv4.ping_group_range", "1 0"}});
  CHECK(Make(Options("network: NODE"))->linux_.sysctl.empty());
  const oci::Spec userns =
      *Make(Options("userns_options { uids: { length: 65536 } gids: { length: 65536 } }"));
  CHECK(userns.linux_.sysctl == Sysctls{{"net.ipv4.ip_unprivileged_port_start", "0"}});
}

TEST_CASE("sysctls that are not namespaced, or are not sysctls, are refused") {
  const std::string cases[] = {"",
                               ".",
                               "/",
                               "net",
                               "kernel",
                               "kernel.hostname",
                               "kernel.core_pattern",
                               "kernel/core_pattern",
                               "kernel.semaphore",
                               "kernel.sem.x",
                               "kernel.ns_last_pid",
                               "kernel.shm_next_id",
                               "kernel.panic",
                               "vm.swappiness",
                               "fs.file-max",
                               "fs.mqueue",
                               "fs.mqueuex.y",
                               "user.max_pid",
                               "netx.ipv4",
                               "net..ipv4",
                               "net.ipv4.",
                               ".net.ipv4",
                               "net/./ipv4/ip_forward",
                               "net/../kernel/core_pattern",
                               "net/./../kernel/core_pattern",
                               "net.//.kernel.core_pattern",
                               "net.ipv4.//.//.kernel.core_pattern",
                               "net/ipv4//x",
                               "/net/ipv4/x",
                               "net/ipv4/",
                               "kernel.shm_rmid_forced=1 kernel.core_pattern",
                               "kernel.shm_rmid_forced+kernel.core_pattern",
                               "net.ipv4.x\nkernel.core_pattern",
                               std::string("net.ipv4\0x", 10),
                               "net.ipv4.x y",
                               "kernel.shm/../core_pattern",
                               "kernel.msg.//.core_pattern",
                               "kernel/shm/../core_pattern"};
  for (const std::string& key : cases) {
    CAPTURE(key);
    PodSandboxConfig config;
    (*config.mutable_linux()->mutable_sysctls())[key] = "1";
    CheckRefused(Make(config).status(), "sysctls");
  }
  for (const std::string& value :
       {std::string("1\nkernel.core_pattern=|/x"), std::string("1\0002", 3), std::string("1\r"),
        std::string(5000, '1')}) {
    PodSandboxConfig config;
    (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = value;
    CheckRefused(Make(config).status(), "sysctls[\"net.ipv4.ip_forward\"]");
  }
  PodSandboxConfig twice;
  (*twice.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "0";
  (*twice.mutable_linux()->mutable_sysctls())["net/ipv4/ip_forward"] = "1";
  CheckRefused(Make(twice).status(), "is set twice");
}

TEST_CASE("a sysctl is refused when its namespace is the host's") {
  const std::pair<const char*, const char*> cases[] = {{"net.ipv4.ip_forward", "network"},
                                                       {"net/core/somaxconn", "network"},
                                                       {"kernel.shmmax", "ipc"},
                                                       {"kernel.msgmax", "ipc"},
                                                       {"kernel.sem", "ipc"},
                                                       {"fs.mqueue.msg_max", "ipc"}};
  for (const auto& [key, type] : cases) {
    CAPTURE(key);
    PodSandboxConfig config = Proto<PodSandboxConfig>(Options(absl::StrCat(type, ": NODE")));
    (*config.mutable_linux()->mutable_sysctls())[key] = "1";
    CheckRefused(Make(config).status(), absl::StrCat("host's ", type));
  }
}

TEST_CASE("annotations and labels do not reach the OCI spec") {
  PodSandboxConfig config;
  const oci::Spec without = *Make(config);
  (*config.mutable_annotations())["run.oci.keep_original_groups"] = "1";
  (*config.mutable_annotations())["io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel"] = "true";
  (*config.mutable_labels())["org.systemd.property.CPUWeight"] = "1";
  const oci::Spec with = *Make(config);
  CHECK(with.annotations.empty());
  CHECK(with.process.args == without.process.args);
  CHECK(with.linux_.sysctl == without.linux_.sysctl);
}

TEST_CASE("pause runs under the sandbox's seccomp profile") {
  CHECK_FALSE(Make("")->linux_.seccomp.has_value());
  CHECK(Make(Context("seccomp {}"))->linux_.seccomp.has_value());
  CHECK(Make(Context("seccomp_profile_path: 'runtime/default'"))->linux_.seccomp.has_value());
  CHECK_FALSE(Make(Context("seccomp { profile_type: Unconfined }"))->linux_.seccomp.has_value());
  CHECK_FALSE(Make(Context("seccomp {} privileged: true"))->linux_.seccomp.has_value());
  CHECK_FALSE(Make(Context("seccomp { profile_type: Localhost localhost_ref: '/none' }")).ok());
}

}  // namespace
}  // namespace crisp::spec
