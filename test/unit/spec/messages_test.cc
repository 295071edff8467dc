// What a user reads in `kubectl describe`: one line for each mistake that a manifest, or an image
// that it names, can bring to crispd through kubelet's and the API server's own validation. Read it
// as that user. Messages of steps in the container are in test/unit/shim/lifecycle_test.cc.
#include "spec/pod_as_asked.h"
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
  Container container(line.config, line.sandbox);
  return container.Make().status();
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

// In plain text: no escaped quotes, no names of CRI's fields.
void CheckLine(const absl::Status& status, const std::string& message) {
  CHECK(std::string(status.message()) == message);
  CHECK(message.find("\\\"") == std::string::npos);
  CHECK(message.find("\\'") == std::string::npos);
  CHECK(message.find("_path") == std::string::npos);
  CHECK(message.find("run_as") == std::string::npos);
  CHECK(message.find("security_context") == std::string::npos);
}

TEST_CASE("a container that cannot be made says why in the words of its manifest") {
  const Line lines[] = {
      {"", "mounts { host_path: '/srv' container_path: '/' }",
       "mounts[0].mountPath \"/\": must not be the root file system"},
      {"", "mounts { host_path: '/srv' container_path: '/it\\'s' mount_options: '\"ro\"' }",
       "mounts[0].mountOptions \"\"ro\"\": must be noexec, nodev or nosuid"},
      {"", "mounts { host_path: '/srv' container_path: '/d' recursive_read_only: true }",
       "mounts[0].recursiveReadOnly \"true\": needs readOnly, and no mountPropagation"},
      {"", "working_dir: 'app'", "workingDir \"app\": must be an absolute path"},
      {"", "envs { key: 'A=B' value: 'x' }", "env[0].name \"A=B\": must not contain \"=\" or NUL"},
      {"", "linux { security_context { seccomp { profile_type: Localhost localhost_ref: 'a' } } }",
       "seccompProfile.localhostProfile \"a\": must be an absolute path"},
      {"", "linux { security_context { privileged: true } }",
       "securityContext.privileged \"true\": needs a privileged sandbox"},
      {"", "linux { resources { memory_limit_in_bytes: 1 } }",
       "limits.memory 1: must be between 4096 and 9223372036854775807"},
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
      {"linux { sysctls { key: 'kernel.panic' value: '1' } }", "",
       "sysctls \"kernel.panic\": is not a namespaced sysctl"},
      {"linux { security_context { run_as_group { value: 2000 } } }", "",
       "runAsGroup 2000 needs runAsUser"},
  };
  for (const Line& line : lines) CheckLine(StatusOfSandbox(line), line.message);
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
