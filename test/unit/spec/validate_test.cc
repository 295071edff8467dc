#include "spec/validate.h"

#include <functional>

#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using ::runtime::v1::ContainerConfig;
using ::runtime::v1::PodSandboxConfig;

const char kSandbox[] = R"(
  metadata { name: "nginx" uid: "d1f1b2" namespace: "default" attempt: 1 }
  hostname: "nginx.default_x-1" log_directory: "/var/log/pods/default_nginx"
  dns_config { servers: ["10.0.0.10", "fd00::a"] searches: ["a.local", "."]
               options: ["ndots:5", "timeout:1 rotate"] }
  port_mappings { protocol: SCTP container_port: 80 host_port: 0 host_ip: "127.0.0.1" }
  port_mappings { container_port: 65535 host_port: 65535 host_ip: "::1" }
  linux { cgroup_parent: "/kubepods/burstable/podd1f1b2" sysctls { key: "net.a.b" value: "1" } })";
const char kContainer[] = R"(
  metadata { name: "web" } image { image: "sha256:0" } log_path: "web/0.log"
  command: "/bin/sh" args: "-c"
  mounts { container_path: "/data" host_path: "/srv/data" propagation: PROPAGATION_BIDIRECTIONAL }
  linux { security_context { run_as_user { value: 1 } run_as_group { value: 2 } } })";

TEST_CASE("configurations like kubelet's are accepted") {
  auto sandbox = Proto<PodSandboxConfig>(kSandbox);
  CHECK(ValidateSandboxConfig(sandbox) == absl::OkStatus());
  for (int i = 0; i < 100; ++i) {
    sandbox.mutable_dns_config()->add_options(absl::StrCat(i, std::string(300, 'o')));
  }
  CHECK(ValidateSandboxConfig(sandbox) == absl::OkStatus());
  CHECK(ValidateContainerConfig(Proto<ContainerConfig>(kContainer), sandbox) == absl::OkStatus());
}

TEST_CASE("a port without a host port is nobody's business") {
  auto sandbox = Proto<PodSandboxConfig>(kSandbox);
  for (const int host_port : {0, -1}) {
    auto* mapping = sandbox.add_port_mappings();
    mapping->set_host_port(host_port);
    mapping->set_host_ip("localhost");
    mapping->set_protocol(::runtime::v1::Protocol(9));
  }
  CHECK(ValidateSandboxConfig(sandbox) == absl::OkStatus());
}

struct SandboxCase {
  std::function<void(PodSandboxConfig&)> damage;
  const char* part;
};

std::string Nul(const char* before, const char* after) {
  return std::string(before) + std::string(1, '\0') + after;
}

TEST_CASE("a sandbox configuration with a bad field is refused, naming the field") {
  using C = PodSandboxConfig;
  const SandboxCase cases[] = {
      // Metadata becomes part of paths and of CNI arguments.
      {[](C& c) { c.clear_metadata(); }, "metadata.name \"\": must not be empty"},
      {[](C& c) { c.mutable_metadata()->clear_uid(); }, "metadata.uid \"\": must not be empty"},
      {[](C& c) { c.mutable_metadata()->clear_namespace_(); }, "metadata.namespace \"\""},
      {[](C& c) { c.mutable_metadata()->set_name("a/b"); }, "metadata.name \"a/b\""},
      {[](C& c) { c.mutable_metadata()->set_name(".."); }, "metadata.name \"..\""},
      {[](C& c) { c.mutable_metadata()->set_name("."); }, "metadata.name \".\""},
      {[](C& c) { c.mutable_metadata()->set_name("a\nb"); }, "metadata.name \"a\\nb\""},
      {[](C& c) { c.mutable_metadata()->set_name(Nul("a", "b")); }, "metadata.name \"a\\x00b\""},
      {[](C& c) { c.mutable_metadata()->set_name(std::string(65536, 'a')); }, "255 bytes"},
      {[](C& c) { c.mutable_metadata()->set_name("a;K8S_POD_UID=x"); }, "metadata.name"},
      {[](C& c) { c.mutable_metadata()->set_namespace_("../x"); }, "metadata.namespace"},
      {[](C& c) { c.mutable_metadata()->set_uid("../x"); }, "metadata.uid"},
      // Host name.
      {[](C& c) { c.set_hostname(std::string(65, 'a')); }, "hostname"},
      {[](C& c) { c.set_hostname("a b"); }, "hostname \"a b\""},
      {[](C& c) { c.set_hostname("a\n127.0.0.1 b"); }, "hostname"},
      {[](C& c) { c.set_hostname(Nul("a", "")); }, "hostname"},
      {[](C& c) {
         c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
             ::runtime::v1::NODE);
       },
       "hostname \"nginx.default_x-1\": must be empty with the host's network"},
      // Words that could add lines to resolv.conf.
      {[](C& c) { c.mutable_dns_config()->add_servers("1.1.1.1\nsearch evil"); },
       "dnsConfig.nameservers[2]"},
      {[](C& c) { c.mutable_dns_config()->add_servers("1.1.1.1 2.2.2.2"); },
       "servers[2] \"1.1.1.1 2.2.2.2\": must not contain spaces"},
      {[](C& c) { c.mutable_dns_config()->add_servers(""); }, "servers"},
      {[](C& c) { c.mutable_dns_config()->add_searches("a\rb"); }, "searches[2]"},
      {[](C& c) { c.mutable_dns_config()->add_searches(std::string(256, 'a')); }, "searches"},
      {[](C& c) { c.mutable_dns_config()->add_options(Nul("a", "b")); }, "options"},
      {[](C& c) {
         for (int i = 0; i < 65; ++i) c.mutable_dns_config()->add_servers("1.1.1.1");
       },
       "servers 67"},
      // Ports and addresses.
      {[](C& c) { c.mutable_port_mappings(1)->set_host_ip("1.1.1.1 -j ACCEPT"); }, "hostIP"},
      {[](C& c) { c.mutable_port_mappings(1)->set_host_ip(Nul("1.1.1.1", "x")); }, "hostIP"},
      {[](C& c) { c.mutable_port_mappings(1)->set_host_ip("localhost"); }, "hostIP"},
      {[](C& c) { c.mutable_port_mappings(1)->set_container_port(0); },
       "ports[1].containerPort 0: must be between 1 and 65535"},
      {[](C& c) { c.mutable_port_mappings(1)->set_container_port(65536); }, "containerPort"},
      {[](C& c) { c.mutable_port_mappings(1)->set_host_port(65536); }, "hostPort 65536"},
      {[](C& c) { c.mutable_port_mappings(1)->set_protocol(::runtime::v1::Protocol(9)); },
       "protocol 9"},
      // Paths that lead elsewhere.
      {[](C& c) { c.set_log_directory("var/log"); }, "log_directory"},
      {[](C& c) { c.set_log_directory("/var/log/../../etc"); }, "log_directory"},
      {[](C& c) { c.set_log_directory("/var/log\n"); }, "log_directory"},
      {[](C& c) { c.set_log_directory("/" + std::string(4096, 'a')); }, "log_directory"},
      {[](C& c) { c.mutable_linux()->set_cgroup_parent("/a/../../b"); }, "cgroup_parent"},
      {[](C& c) { c.mutable_linux()->set_cgroup_parent("../b"); }, "cgroup_parent"},
      {[](C& c) { c.mutable_linux()->set_cgroup_parent(Nul("/a", "")); }, "cgroup_parent"},
      // More of these in sandbox_spec_test.cc.
      {[](C& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.panic"] = "1"; }, "sysctls"},
      {[](C& c) {
         c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
             ::runtime::v1::TARGET);
       },
       "namespace_options.pid"},
      {[](C& c) {
         c.mutable_linux()->mutable_security_context()->mutable_run_as_group()->set_value(1);
       },
       "runAsGroup 1"},
      {[](C& c) {
         c.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(-1);
       },
       "runAsUser -1"},
      {[](C& c) {
         c.mutable_linux()->mutable_security_context()->add_supplemental_groups(1LL << 32);
       },
       "supplementalGroups[0]"},
      {[](C& c) {
         c.mutable_linux()
             ->mutable_security_context()
             ->mutable_namespace_options()
             ->mutable_cgroupns_options();
       },
       "cgroupns_options"},
  };
  for (const SandboxCase& test : cases) {
    auto config = Proto<PodSandboxConfig>(kSandbox);
    test.damage(config);
    CAPTURE(test.part);
    CheckRefused(ValidateSandboxConfig(config), test.part);
  }
}

struct ContainerCase {
  std::function<void(ContainerConfig&)> damage;
  const char* part;
};

::runtime::v1::LinuxContainerSecurityContext& SecurityOf(ContainerConfig& config) {
  return *config.mutable_linux()->mutable_security_context();
}

TEST_CASE("a container configuration with a bad field is refused, naming the field") {
  using C = ContainerConfig;
  const ContainerCase cases[] = {
      {[](C& c) { c.clear_metadata(); }, "metadata.name \"\": must not be empty"},
      {[](C& c) { c.mutable_metadata()->set_name("../a"); }, "metadata.name"},
      {[](C& c) { c.clear_image(); }, "image.image"},
      // NUL cannot reach execve(2).
      {[](C& c) { c.add_command(Nul("a", "b")); }, "command[1] \"a\\x00b\""},
      {[](C& c) { c.add_args(Nul("a", "b")); }, "args[1] \"a\\x00b\""},
      // A log stays below the log directory.
      {[](C& c) { c.set_log_path("/etc/passwd"); }, "log_path"},
      {[](C& c) { c.set_log_path("../../etc/passwd"); }, "log_path"},
      {[](C& c) { c.set_log_path("a/../../b"); }, "log_path"},
      {[](C& c) { c.set_log_path("a/"); }, "log_path"},
      {[](C& c) { c.set_log_path("."); }, "log_path"},
      {[](C& c) { c.set_log_path("a\nb"); }, "log_path"},
      // Mounts.
      {[](C& c) { c.mutable_mounts(0)->set_container_path(""); },
       "volumeMounts[0].mountPath \"\": must not be empty"},
      {[](C& c) { c.mutable_mounts(0)->set_container_path("."); }, "root file system"},
      {[](C& c) { c.mutable_mounts(0)->set_container_path("a/../.."); }, "root file system"},
      {[](C& c) { c.mutable_mounts(0)->set_container_path("/a/.."); }, "root file system"},
      {[](C& c) { c.mutable_mounts(0)->set_container_path(Nul("/a", "b")); }, "mountPath"},
      {[](C& c) { c.mutable_mounts(0)->set_container_path("//./"); }, "root file system"},
      {[](C& c) { c.mutable_mounts(0)->set_host_path(""); }, "hostPath \"\""},
      {[](C& c) { c.mutable_mounts(0)->set_host_path("srv"); }, "hostPath \"srv\""},
      {[](C& c) { c.mutable_mounts(0)->set_host_path(Nul("/a", "b")); }, "hostPath"},
      {[](C& c) { c.mutable_mounts(0)->set_propagation(::runtime::v1::MountPropagation(7)); },
       "mountPropagation 7"},
      {[](C& c) { c.mutable_mounts(0)->set_image_sub_path("a"); }, "subPath"},
      {[](C& c) { c.mutable_mounts(0)->add_mount_options("exec"); }, "mountOptions \"exec\""},
      {[](C& c) {
         *c.mutable_mounts(0) = Proto<::runtime::v1::Mount>(
             "image { image: 'i' } container_path: '/i' readonly: true mount_options: 'exec'");
       },
       "mountOptions \"exec\""},
      {[](C& c) { c.mutable_mounts(0)->add_uidmappings()->set_length(1); },
       "volumeMounts[0]: uidMappings and gidMappings"},
      {[](C& c) { c.mutable_mounts(0)->add_uidmappings()->set_length(0); }, "length 0"},
      {[](C& c) {
         *c.mutable_mounts(0)->add_uidmappings() =
             Proto<::runtime::v1::IDMapping>("container_id: 4294967295 length: 1");
       },
       "length 1"},
      {[](C& c) {
         for (int i = 0; i < 341; ++i) c.mutable_mounts(0)->add_uidmappings()->set_length(1);
       },
       "uidMappings 341"},
      {[](C& c) {
         using Mapping = ::runtime::v1::IDMapping;
         auto& uids = *c.mutable_mounts(0)->mutable_uidmappings();
         *uids.Add() = Proto<Mapping>("container_id: 10 host_id: 100 length: 5");
         *uids.Add() = Proto<Mapping>("container_id: 0 host_id: 200 length: 11");
       },
       "uidMappings 2: ranges overlap"},
      {[](C& c) {
         using Mapping = ::runtime::v1::IDMapping;
         auto& gids = *c.mutable_mounts(0)->mutable_gidmappings();
         *gids.Add() = Proto<Mapping>("container_id: 0 host_id: 100 length: 5");
         *gids.Add() = Proto<Mapping>("container_id: 9 host_id: 104 length: 1");
       },
       "gidMappings 2: ranges overlap"},
      {[](C& c) { c.mutable_mounts(0)->set_recursive_read_only(true); }, "recursiveReadOnly"},
      {[](C& c) {
         c.mutable_mounts(0)->set_recursive_read_only(true);
         c.mutable_mounts(0)->set_readonly(true);
       },
       "recursiveReadOnly"},
      {[](C& c) {
         c.mutable_mounts(0)->set_recursive_read_only(true);
         c.mutable_mounts(0)->set_propagation(::runtime::v1::PROPAGATION_PRIVATE);
       },
       "recursiveReadOnly"},
      // Devices.
      {[](C& c) { c.add_devices()->set_permissions("r"); }, "devices[0].hostPath"},
      {[](C& c) { *c.add_devices() = Proto<::runtime::v1::Device>("host_path: '/dev/null'"); },
       "permissions \"\""},
      {[](C& c) {
         *c.add_devices() =
             Proto<::runtime::v1::Device>("host_path: '/dev/null' permissions: 'rwx'");
       },
       "permissions \"rwx\""},
      {[](C& c) {
         *c.add_devices() =
             Proto<::runtime::v1::Device>("host_path: '/dev/null' permissions: 'rr'");
       },
       "permissions \"rr\""},
      {[](C& c) {
         *c.add_devices() = Proto<::runtime::v1::Device>(
             "host_path: '/dev/null' container_path: '/dev/../proc/x' permissions: 'r'");
       },
       "devices[0].devicePath \"/proc/x\": must not be in /proc"},
      {[](C& c) {
         *c.add_devices() = Proto<::runtime::v1::Device>(
             "host_path: '/dev/null' container_path: '/proc/x' permissions: 'r'");
       },
       "devices[0].devicePath \"/proc/x\": must not be in /proc"},
      {[](C& c) {
         *c.add_devices() = Proto<::runtime::v1::Device>(
             "host_path: '/dev/../etc' container_path: '/x' permissions: 'r'");
       },
       "devices[0].hostPath"},
      {[](C& c) { c.add_cdi_devices()->set_name("vendor.com/gpu"); },
       "CDI_devices[0].name \"vendor.com/gpu\""},
      // Users, groups and paths.
      {[](C& c) { SecurityOf(c).clear_run_as_user(); }, "runAsGroup 2"},
      {[](C& c) { SecurityOf(c).mutable_run_as_user()->set_value(1LL << 32); }, "runAsUser"},
      {[](C& c) { SecurityOf(c).mutable_run_as_group()->set_value(-1); }, "runAsGroup"},
      {[](C& c) { SecurityOf(c).add_supplemental_groups(-1); }, "supplementalGroups[0]"},
      {[](C& c) { SecurityOf(c).set_run_as_username("a\nb"); }, "user"},
      {[](C& c) { SecurityOf(c).add_masked_paths("/proc/../etc"); }, "masked_paths[0]"},
      {[](C& c) { SecurityOf(c).add_masked_paths("etc"); }, "masked_paths[0]"},
      {[](C& c) { SecurityOf(c).add_readonly_paths("/proc/.."); }, "readonly_paths[0]"},
      {[](C& c) { SecurityOf(c).set_privileged(true); }, "privileged sandbox"},
      // Resources: more in resources_test.cc.
      {[](C& c) { c.mutable_linux()->mutable_resources()->set_oom_score_adj(1001); }, "oom_score"},
      // Namespaces: more in container_spec_test.cc.
      {[](C& c) { SecurityOf(c).mutable_namespace_options()->set_pid(::runtime::v1::NODE); },
       "namespace_options.pid"},
      {[](C& c) { SecurityOf(c).mutable_namespace_options()->set_pid(::runtime::v1::TARGET); },
       "targetContainerName"},
      // The empty message means POD.
      {[](C& c) { SecurityOf(c).mutable_namespace_options()->mutable_cgroupns_options(); },
       "namespace_options.cgroupns_options.mode \"POD\": must be CONTAINER or NODE"},
      {[](C& c) { SecurityOf(c).set_cgroup_mount_mode(::runtime::v1::CgroupMountMode(7)); },
       "cgroup_mount_mode 7"},
  };
  const auto sandbox = Proto<PodSandboxConfig>(kSandbox);
  for (const ContainerCase& test : cases) {
    auto config = Proto<ContainerConfig>(kContainer);
    test.damage(config);
    CAPTURE(test.part);
    CheckRefused(ValidateContainerConfig(config, sandbox), test.part);
  }
}

TEST_CASE("the members of a security profile go together, in pods and in containers") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string oci = absl::StrCat("profile_type: OCI oci_ref: 'host:5000/repo@", digest, "' ");
  const auto check = [](const std::string& text) {
    auto sandbox = Proto<PodSandboxConfig>(kSandbox);
    sandbox.mutable_linux()->mutable_security_context()->MergeFrom(
        Proto<::runtime::v1::LinuxSandboxSecurityContext>(text));
    auto container = Proto<ContainerConfig>(kContainer);
    SecurityOf(container).MergeFrom(Proto<::runtime::v1::LinuxContainerSecurityContext>(text));
    const absl::Status status = ValidateSandboxConfig(sandbox);
    CHECK(ValidateContainerConfig(container, Proto<PodSandboxConfig>(kSandbox)) == status);
    return status;
  };
  const auto seccomp = [&](const std::string& text) { return check("seccomp { " + text + " }"); };
  CHECK(seccomp(oci) == absl::OkStatus());
  CHECK(seccomp(oci + "base_profile {}") == absl::OkStatus());
  CHECK(seccomp(oci + "base_profile { type: Localhost localhost_ref: '/p' }") == absl::OkStatus());
  CheckRefused(seccomp("profile_type: OCI"), "seccompProfile.oci.reference");
  CheckRefused(
      seccomp("profile_type: OCI oci_ref: 'host/repo:v1'"),
      "seccompProfile.oci.reference \"host/repo:v1\": must name the profile by its digest");
  CheckRefused(seccomp("oci_ref: 'x'"), "seccompProfile.oci.reference \"x\"");
  CheckRefused(seccomp("profile_type: Localhost localhost_ref: '/p' base_profile {}"),
               "seccompProfile.oci.baseProfile");
  CheckRefused(seccomp(oci + "base_profile { localhost_ref: '/p' }"),
               "seccompProfile.oci.baseProfile.localhostProfile \"/p\"");
  CheckRefused(seccomp(oci + "base_profile { type: 7 }"), "seccompProfile.oci.baseProfile.type 7");
  CheckRefused(check("apparmor { " + oci + " }"), "appArmorProfile.type \"OCI\"");
  CheckRefused(check("apparmor { oci_ref: 'x' }"), "appArmorProfile.oci.reference");
}

struct ImageMountCase {
  const char* mount;
  const char* part;
};

TEST_CASE("image mounts are read-only, private and stay inside the image") {
  const auto sandbox = Proto<PodSandboxConfig>(kSandbox);
  const auto check = [&](const std::string& mount) {
    auto config = Proto<ContainerConfig>(kContainer);
    *config.add_mounts() = Proto<::runtime::v1::Mount>("container_path: '/m' " + mount);
    return ValidateContainerConfig(config, sandbox);
  };
  CHECK(check("image { image: 'i' } readonly: true image_sub_path: 'a/b'").ok());
  CHECK(check("image { image_ref: 'sha256:1' } readonly: true").ok());
  const ImageMountCase cases[] = {
      {"image { image: 'i' }", "readOnly"},
      {"image {} readonly: true", "volumeMounts[1].image.image"},
      {"image { image: 'i' } readonly: true host_path: '/etc'", "hostPath \"/etc\""},
      {"image { image: 'i' } readonly: true image_sub_path: '../x'", "subPath"},
      {"image { image: 'i' } readonly: true image_sub_path: 'a/../../x'", "subPath"},
      {"image { image: 'i' } readonly: true image_sub_path: '/etc'", "subPath"},
      {"image { image: 'i' } readonly: true propagation: PROPAGATION_BIDIRECTIONAL",
       "mountPropagation"},
  };
  for (const ImageMountCase& test : cases) {
    CAPTURE(test.mount);
    CheckRefused(check(test.mount), test.part);
  }
}

}  // namespace
}  // namespace crisp::spec
