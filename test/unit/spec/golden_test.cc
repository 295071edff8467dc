// Requests as kubelet and crictl send them (golden/*.textproto) against the specification made of
// them (golden/*.json), so that every change of a translation shows in a diff.
// After a wanted change: CRISP_UPDATE_GOLDEN=1 <this program> "golden files".
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "oci/runtime_spec_codec.h"
#include "spec/sandbox_spec.h"
#include "spec/validate.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

// What depends on the machine, or is long and tested elsewhere.
void Strip(oci::Spec& spec, bool privileged) {
  if (spec.linux_.seccomp.has_value()) spec.linux_.seccomp->syscalls.clear();
  if (!privileged) return;
  spec.process.capabilities.reset();
  spec.linux_.devices.clear();
}

oci::Spec OfSandbox(const std::string& text) {
  const auto request = Proto<::runtime::v1::RunPodSandboxRequest>(text);
  CHECK(ValidateSandboxConfig(request.config()) == absl::OkStatus());
  absl::StatusOr<oci::Spec> spec = SandboxSpec({.config = request.config(),
                                                .id = "s",
                                                .hostname = request.config().hostname(),
                                                .pause_root = "/usr/libexec/crisp/pause",
                                                .cgroup_path = "/pod/s"});
  INFO(spec.status());
  REQUIRE(spec.ok());
  Strip(*spec, false);
  return *spec;
}

oci::Spec OfContainer(const std::string& text) {
  const auto request = Proto<::runtime::v1::CreateContainerRequest>(text);
  CHECK(ValidateContainerConfig(request.config(), request.sandbox_config()) == absl::OkStatus());
  Container container("");
  container.config = request.config();
  container.sandbox = request.sandbox_config();
  container.image.cmd = {"serve"};
  container.image.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "VERSION=1.27"};
  container.image.working_dir = "/srv";
  container.image.stop_signal = "SIGQUIT";
  const absl::StatusOr<ResolvedUser> user =
      ResolveUser(container.config.linux().security_context(), "www-data",
                  "root:x:0:0::/root:\nwww-data:x:33:33::/var/www:\n", "log:x:44:www-data\n");
  REQUIRE(user.ok());
  container.user = *user;
  absl::StatusOr<ContainerSpecResult> result = container.Make();
  INFO(result.status());
  REQUIRE(result.ok());
  Strip(result->spec, container.config.linux().security_context().privileged());
  return result->spec;
}

TEST_CASE("golden files") {
  const std::string directory = CRISP_GOLDEN_DIR;
  size_t compared = 0;
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(directory);
  REQUIRE(names.ok());
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, ".textproto")) continue;
    CAPTURE(name);
    const std::string path = base::JoinPath(directory, name);
    const std::string text = *base::ReadFile(path);
    const std::string made =
        oci::EncodeRuntimeSpec(absl::StartsWith(name, "sandbox") ? OfSandbox(text)
                                                                 : OfContainer(text)) +
        "\n";
    const std::string expected = path.substr(0, path.rfind('.')) + ".json";
    if (std::getenv("CRISP_UPDATE_GOLDEN") != nullptr) {
      REQUIRE(base::WriteFileAtomic(expected, made, 0644).ok());
    }
    const absl::StatusOr<std::string> known = base::ReadFile(expected);
    REQUIRE(known.ok());
    CHECK(made == *known);
    ++compared;
  }
  CHECK(compared == 7);
}

}  // namespace
}  // namespace crisp::spec
