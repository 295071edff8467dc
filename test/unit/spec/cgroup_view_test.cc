#include "spec/cgroup_view.h"

#include <algorithm>

#include "spec_fixture.h"

namespace crisp::spec {
namespace {

constexpr CgroupHost kV1 = {};
constexpr CgroupHost kV2 = {.v2 = true, .nsdelegate = false};
constexpr CgroupHost kDelegated = {.v2 = true, .nsdelegate = true};

::runtime::v1::LinuxContainerSecurityContext Asked(const std::string& text) {
  return Proto<::runtime::v1::LinuxContainerSecurityContext>(text);
}

// "own ro", "host rw", ... or the error.
std::string View(const std::string& text, const CgroupHost& host) {
  const absl::StatusOr<CgroupView> view = MakeCgroupView(Asked(text), host);
  if (!view.ok()) return view.status().ToString();
  return absl::StrCat(view->own_namespace ? "own" : "host", view->writable ? " rw" : " ro");
}

constexpr char kOwn[] = " namespace_options { cgroupns_options { mode: CONTAINER } } ";
constexpr char kNode[] = " namespace_options { cgroupns_options { mode: NODE } } ";
constexpr char kPrivileged[] = " privileged: true ";
constexpr char kReadOnly[] = " cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_ONLY ";
constexpr char kReadWrite[] = " cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_WRITE ";

TEST_CASE("without a mode a container sees its own cgroups on v2, a privileged one the host's") {
  CHECK(View("", kV2) == "own ro");
  CHECK(View("", kV1) == "host ro");  // the shim binds the container's groups
  CHECK(View(kPrivileged, kV2) == "host rw");
  CHECK(View(kPrivileged, kV1) == "host rw");
}

TEST_CASE("CONTAINER and NODE count for every container on every host, and no other mode does") {
  for (const CgroupHost& host : {kV1, kV2}) {
    CAPTURE(host.v2);
    CHECK(View(kOwn, host) == "own ro");
    CHECK(View(kNode, host) == "host ro");
    CHECK(View(absl::StrCat(kPrivileged, kOwn), host) == "own rw");
    CHECK(View(absl::StrCat(kPrivileged, kNode), host) == "host rw");
  }
  for (const char* mode : {"POD", "TARGET", "9"}) {
    const std::string text =
        absl::StrCat("namespace_options { cgroupns_options { mode: ", mode, " } }");
    const std::string why = absl::StrCat("namespace_options.cgroupns_options.mode \"", mode,
                                         "\": must be CONTAINER or NODE");
    CheckRefused(CheckCgroupView(Asked(text)), why);
    CheckRefused(CheckCgroupView(Asked(absl::StrCat(kPrivileged, text))), why);
  }
}

TEST_CASE("READ_ONLY is what a container has anyway, and a privileged one cannot have") {
  for (const CgroupHost& host : {kV1, kV2, kDelegated}) {
    CHECK(View(kReadOnly, host) == (host.v2 ? "own ro" : "host ro"));
    CHECK(View(absl::StrCat(kReadOnly, kNode), host) == "host ro");
  }
  CheckRefused(CheckCgroupView(Asked(absl::StrCat(kReadOnly, kPrivileged))),
               "cgroup_mount_mode \"CGROUP_MOUNT_MODE_READ_ONLY\": is not possible for a "
               "privileged container");
}

TEST_CASE("READ_WRITE needs cgroup v2 with nsdelegate, and a namespace or privileges") {
  CHECK(View(kReadWrite, kDelegated) == "own rw");
  CHECK(View(absl::StrCat(kReadWrite, kOwn), kDelegated) == "own rw");
  CHECK(View(absl::StrCat(kReadWrite, kPrivileged), kDelegated) == "host rw");
  CHECK(View(absl::StrCat(kReadWrite, kPrivileged, kNode), kDelegated) == "host rw");
  CheckRefused(CheckCgroupView(Asked(absl::StrCat(kReadWrite, kNode))),
               "cgroup_mount_mode \"CGROUP_MOUNT_MODE_READ_WRITE\": is not possible with the "
               "host's cgroup namespace");
  for (const char* more : {"", kOwn, kPrivileged}) {
    const auto context = Asked(absl::StrCat(kReadWrite, more));
    const absl::Status undelegated = MakeCgroupView(context, kV2).status();
    CHECK(absl::IsFailedPrecondition(undelegated));
    CHECK_THAT(std::string(undelegated.message()),
               Catch::Contains("cgroup_mount_mode \"CGROUP_MOUNT_MODE_READ_WRITE\"") &&
                   Catch::Contains("nsdelegate"));
    const absl::Status v1 = MakeCgroupView(context, kV1).status();
    CHECK(absl::IsFailedPrecondition(v1));
    CHECK_THAT(std::string(v1.message()), Catch::Contains("cgroup v1"));
  }
}

TEST_CASE("the specification has the namespace and the mount that were asked for") {
  const auto made = [](const std::string& text) {
    return Container(Security(text), Security("privileged: true")).Spec();
  };
  const auto has_namespace = [](const oci::Spec& spec) {
    return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                       [](const oci::Namespace& entry) { return entry.type == "cgroup"; });
  };
  const auto access = [](const oci::Spec& spec) -> std::string {
    for (const oci::Mount& mount : spec.mounts) {
      if (mount.type == "cgroup") return mount.options.back();
    }
    return "no mount";
  };
  const oci::Spec writable = made(kReadWrite);
  CHECK(has_namespace(writable));
  CHECK(access(writable) == "rw");
  const oci::Spec node = made(kNode);
  CHECK_FALSE(has_namespace(node));
  CHECK(access(node) == "ro");
  const oci::Spec privileged = made(absl::StrCat(kPrivileged, kOwn));
  CHECK(has_namespace(privileged));
  CHECK(access(privileged) == "rw");
}

}  // namespace
}  // namespace crisp::spec
