// What a user reads in `kubectl describe`: one line for each mistake that a manifest, or an image
// that it names, can bring to crispd through kubelet's and the API server's own validation. Read it
// as that user. Messages of steps in the container are in test/unit/shim/lifecycle_test.cc.
#include "spec/apparmor.h"
#include "spec/container_process.h"
#include "spec/validate.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

constexpr char kOnlyRoot[] = "root:x:0:0::/root:/bin/sh\n";

struct Line {
  const char* sandbox;  // part of the pod's configuration
  const char* config;   // part of the container's
  const char* message;
};

absl::Status StatusOfContainer(const Line& line) {
  const std::string named = "metadata { name: 'app' } image { image: 'app:1' } ";
  const Container container(named + line.config, line.sandbox);
  const absl::Status status = ValidateContainerConfig(container.config, container.sandbox);
  return status.ok() ? container.Make().status() : status;
}

absl::Status StatusOfSandbox(const Line& line) {
  const std::string named = "metadata { name: 'web' uid: 'u' namespace: 'default' } ";
  return ValidateSandboxConfig(Proto<::runtime::v1::PodSandboxConfig>(named + line.sandbox));
}

absl::Status StatusOfUser(const char* context, const char* image_user) {
  return ResolveUser(Proto<::runtime::v1::LinuxContainerSecurityContext>(context), image_user,
                     kOnlyRoot, "")
      .status();
}

// In plain text: no escaped quotes, and no names of CRI's fields, which have "_" in them.
void CheckLine(const absl::Status& status, const std::string& message) {
  CHECK(std::string(status.message()) == message);
  CHECK(message.find("\\\"") == std::string::npos);
  CHECK(message.find("\\'") == std::string::npos);
  CHECK(message.find('_') == std::string::npos);
}

TEST_CASE("a container that cannot be made says why in the words of its manifest") {
  const Line lines[] = {
      {"", "mounts { host_path: '/srv' container_path: '/' }",
       "volumeMounts[0].mountPath \"/\": must not be the root file system"},
      {"", "mounts { host_path: '/srv' container_path: '/it\\'s' mount_options: '\"ro\"' }",
       "volumeMounts[0].mountOptions \"\"ro\"\": must be noexec, nodev or nosuid"},
      {"", "mounts { host_path: '/srv' container_path: '/d' recursive_read_only: true }",
       "volumeMounts[0].recursiveReadOnly \"true\": needs readOnly, and no mountPropagation"},
      {"", "mounts { host_path: '/srv' container_path: '' }",
       "volumeMounts[0].mountPath \"\": must not be empty"},
      {"",
       "mounts { image { image: 'i' } readonly: true container_path: '/m' image_sub_path: '/x' }",
       "volumeMounts[0].subPath \"/x\": must be a relative path"},
      {"",
       "mounts { image { image: 'i' } readonly: true container_path: '/m' image_sub_path: '../x' }",
       "volumeMounts[0].subPath \"../x\": must not contain \"..\""},
      {"", "devices { host_path: '/dev/none' permissions: 'r' }",
       "devices[0].hostPath: stat /dev/none: no such file or directory (ENOENT)"},
      {"", "devices { host_path: '/dev/null' container_path: '/proc/x' permissions: 'r' }",
       "devices[0].devicePath \"/proc/x\": must not be in /proc"},
      {"", "command: 'sh' command: 'a\\000b'", "command[1] \"a\\x00b\": must not contain NUL"},
      {"", "working_dir: 'app'", "workingDir \"app\": must be an absolute path"},
      {"", "envs { key: 'A=B' value: 'x' }", "env[0].name \"A=B\": must not contain \"=\" or NUL"},
      {"", "linux { security_context { seccomp { profile_type: Localhost localhost_ref: 'a' } } }",
       "seccompProfile.localhostProfile \"a\": must be an absolute path"},
      {"",
       "linux { security_context { seccomp { profile_type: Localhost localhost_ref: '/no' } } }",
       "seccompProfile.localhostProfile \"/no\": open /no: no such file or directory (ENOENT)"},
      {"",
       "linux { security_context { seccomp { profile_type: Localhost "
       "localhost_ref: '/proc/sys/kernel/ostype' } } }",
       "seccompProfile.localhostProfile \"/proc/sys/kernel/ostype\": seccomp profile: "
       "parse error at line 1, column 1: syntax error while parsing value - invalid literal; "
       "last read: 'L'"},
      {"", "linux { security_context { namespace_options { pid: TARGET target_id: 'x' } } }",
       "targetContainerName \"x\": container is not running"},
      {"", "linux { security_context { privileged: true } }",
       "securityContext.privileged \"true\": needs a privileged sandbox"},
      {"", "linux { resources { memory_limit_in_bytes: 1 } }",
       "limits.memory 1: must be between 4096 and 9223372036854775807"},
      {"", "annotations { key: 'cdi.k8s.io/x' value: 'gpu' }",
       "annotations[\"cdi.k8s.io/x\"] \"gpu\": must have the form vendor.com/class=name"},
      {"", "CDI_devices { name: 'vendor.com/gpu=none' }",
       "CDI device \"vendor.com/gpu=none\": no such device on this node"},
  };
  for (const Line& line : lines) CheckLine(StatusOfContainer(line), line.message);
}

TEST_CASE("a pod that cannot be run says why in the words of its manifest") {
  const Line lines[] = {
      {"hostname: 'web' linux { security_context { namespace_options { network: NODE } } }", "",
       "hostname \"web\": must be empty with the host's network"},
      {"dns_config { options: 'two\\nlines' }", "",
       "dnsConfig.options[0] \"two\\nlines\": must not contain control characters"},
      {"dns_config { servers: '' }", "", "dnsConfig.nameservers[0] \"\": must not be empty"},
      {"port_mappings { container_port: 80 host_port: 80 host_ip: 'web' }", "",
       "ports[0].hostIP \"web\": must be an IP address"},
      {"linux { sysctls { key: 'net.core.somaxconn' value: '1' } "
       "security_context { namespace_options { network: NODE } } }",
       "", "sysctls \"net.core.somaxconn\": would change the host's network"},
      {"linux { sysctls { key: 'kernel.panic' value: '1' } }", "",
       "sysctls \"kernel.panic\": is not a namespaced sysctl"},
      {"linux { security_context { run_as_group { value: 2000 } } }", "",
       "runAsGroup 2000 needs runAsUser"},
  };
  for (const Line& line : lines) CheckLine(StatusOfSandbox(line), line.message);
}

TEST_CASE("an image without a command and a profile that is not there are named") {
  CheckLine(ContainerArguments({}, {}).status(),
            "command \"\": must be given, the image has no entrypoint or cmd");
  const auto profile = Proto<::runtime::v1::LinuxContainerSecurityContext>(
      "apparmor { profile_type: Localhost localhost_ref: 'web' }");
  CheckLine(AppArmorProfile(profile, linux::AppArmor()).status(),
            "appArmorProfile \"web\": the host has no AppArmor");
  CheckLine(AppArmorProfile(profile, {.enabled = true, .profiles = ""}).status(),
            "appArmorProfile \"web\": the profile is not loaded");
}

TEST_CASE("a user that cannot be found is named as the manifest or the image has it") {
  CheckLine(StatusOfUser("run_as_group { value: 2000 }", ""), "runAsGroup 2000 needs runAsUser");
  CheckLine(StatusOfUser("", "app"),
            "user of the image \"app\": no such user in the image's /etc/passwd");
  CheckLine(StatusOfUser("run_as_username: 'app'", ""),
            "user \"app\": no such user in the image's /etc/passwd");
  CheckLine(StatusOfUser("", "root:staff"),
            "group of the image's user \"staff\": no such group in the image's /etc/group");
  CheckLine(StatusOfUser("run_as_user { value: 4294967296 }", ""),
            "runAsUser 4294967296: must be between 0 and 2147483647");
}

}  // namespace
}  // namespace crisp::spec
