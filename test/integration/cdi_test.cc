// Devices of the Container Device Interface, from specification to container.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

// The numbers of null and zero, and one for local use without a driver: opening that is ENXIO if
// the device cgroup allows it, and EPERM otherwise.
constexpr char kVendor[] = R"({
  "cdiVersion": "0.6.0", "kind": "crisp.test/device",
  "containerEdits": {"env": ["CDI_ALL=yes"]},
  "devices": [
    {"name": "both", "containerEdits": {
      "env": ["CDI_DEVICE=both"],
      "deviceNodes": [{"path": "/dev/cdi-null", "hostPath": "/dev/null"},
                      {"path": "/dev/cdi-zero", "type": "c", "major": 1, "minor": 5},
                      {"path": "/dev/cdi-none", "type": "c", "major": 60, "minor": 77}],
      "mounts": [{"hostPath": "DIR/library", "containerPath": "/opt/cdi", "options": ["ro"]}]}},
    {"name": "hooked", "containerEdits": {
      "hooks": [{"hookName": "createRuntime", "path": "/bin/true"}]}}
  ]})";

grpc::Status TryCreate(Pod& pod, const std::string& device) {
  pod.daemon().Pull(kBusybox);
  return pod.TryCreate(pod.ContainerConfig(
      {"true"}, [&](v1::ContainerConfig& config) { config.add_cdi_devices()->set_name(device); }));
}

}  // namespace

TEST_CASE(
    "CDI devices bring nodes, environment and mounts, and may be described while crispd runs") {
  char directory[] = "/tmp/crisp-cdi-XXXXXX";
  const std::string dir = mkdtemp(directory);
  {
    Daemon daemon({"--cdi-spec-dir", dir});
    Pod pod(daemon);
    const grpc::Status unknown = TryCreate(pod, "crisp.test/device=both");
    CHECK(unknown.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(absl::StrContains(unknown.error_message(), "crisp.test/device=both"));

    REQUIRE(base::MakeDirs(dir + "/library", 0755).ok());
    REQUIRE(base::WriteFileAtomic(dir + "/library/file", "from the host\n", 0644).ok());
    std::string text = kVendor;
    text.replace(text.find("DIR"), 3, dir);
    REQUIRE(base::WriteFileAtomic(dir + "/vendor.json", text, 0644).ok());

    const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
      config.add_cdi_devices()->set_name("crisp.test/device=both");
    });
    CHECK(pod.Exec(container, {"sh", "-c", "echo $CDI_ALL $CDI_DEVICE"}).out == "yes both\n");
    CHECK(pod.Exec(container, {"cat", "/opt/cdi/file"}).out == "from the host\n");
    CHECK(pod.Exec(container, {"touch", "/opt/cdi/new"}).exit_code != 0);
    CHECK(pod.Exec(container, {"sh", "-c", "echo x > /dev/cdi-null"}).exit_code == 0);
    CHECK(pod.Exec(container, {"sh", "-c", "head -c 3 /dev/cdi-zero | wc -c"}).out == "3\n");
    CHECK(absl::StrContains(pod.Exec(container, {"cat", "/dev/cdi-none"}).err,
                            "No such device or address"));

    const grpc::Status hooked = TryCreate(pod, "crisp.test/device=hooked");
    CHECK(hooked.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(absl::StrContains(hooked.error_message(), "hooks (createRuntime /bin/true)"));
    CHECK(TryCreate(pod, "no device").error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  }
  (void)base::RemoveTree(dir);
}
