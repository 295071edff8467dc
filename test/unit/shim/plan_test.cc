// Specs to launch plans. The specs are the golden files of src/spec (test/unit/spec/golden/
// <case>.json), their plans are golden/<case>.txt here, so that a review shows what a change means
// from the CRI request to the child's steps. UPDATE_GOLDEN=1 writes the plans again.
#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "oci/runtime_spec_codec.h"
#include "shim/plan_compiler.h"
#include "shim/plan_printer.h"

namespace crisp::shim {
namespace {

oci::Spec MinimalSpec() {
  oci::Spec spec;
  spec.process.args = {"sh"};
  spec.root.path = "rootfs";
  spec.linux_.namespaces = {{"mount", ""}, {"pid", ""}, {"ipc", ""}, {"network", ""}, {"uts", ""}};
  return spec;
}

std::string Refusal(const oci::Spec& spec, const ::shim::v1::Start& start = {}) {
  return std::string(CompileLaunch(spec, start).status().message());
}

}  // namespace

TEST_CASE("plans are those of the golden files") {
  const absl::StatusOr<std::vector<std::string>> files = base::ListDir(CRISP_SPECS);
  REQUIRE(files.ok());
  int compared = 0;
  for (const std::string& file : *files) {
    if (!absl::EndsWith(file, ".json")) continue;
    ++compared;
    const std::string name = file.substr(0, file.size() - 5);
    const absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(CRISP_SPECS, file));
    REQUIRE(text.ok());
    const absl::StatusOr<oci::Spec> spec = oci::DecodeRuntimeSpec(*text);
    INFO(name << ": " << spec.status());
    REQUIRE(spec.ok());
    const absl::StatusOr<LaunchPlan> plan = CompileLaunch(*spec, {});
    INFO(plan.status());
    REQUIRE(plan.ok());
    const std::string golden = absl::StrCat(CRISP_GOLDEN, "/", name, ".txt");
    if (getenv("UPDATE_GOLDEN") != nullptr)
      REQUIRE(base::WriteFileAtomic(golden, PrintPlan(*plan), 0644).ok());
    CHECK(PrintPlan(*plan) == base::ReadFile(golden).value_or(""));
  }
  CHECK(compared >= 7);
}

TEST_CASE("paths are cleaned or refused") {
  CHECK(CleanPath("/", "p").value() == "/");
  CHECK(CleanPath("//a///b/./c/", "p").value() == "/a/b/c");
  CHECK(CleanPath("/..a/b..", "p").value() == "/..a/b..");
  CHECK(CleanPath("", "p").status().message() == "p: \"\": must be absolute");
  CHECK(CleanPath("a/b", "p").status().message() == "p: \"a/b\": must be absolute");
  CHECK(CleanPath("/a/../b", "p").status().message() == "p: \"/a/../b\": must not contain \"..\"");
  CHECK_FALSE(CleanPath(std::string("/a\0b", 4), "p").ok());
  CHECK_FALSE(CleanPath("/" + std::string(5000, 'a'), "p").ok());
}

TEST_CASE("overlay options name all layers, of which there are at most 500") {
  RootfsPlan rootfs;
  rootfs.base = "/base";
  rootfs.lowers = {"2/fs", "1/fs"};
  CHECK(OverlayOptions(rootfs).value() ==
        "redirect_dir=nofollow,metacopy=off,index=off,xino=off,lowerdir=2/fs:1/fs");
  rootfs.upper = "c/fs";
  CHECK_FALSE(OverlayOptions(rootfs).ok());
  rootfs.work = "c/work";
  CHECK(absl::EndsWith(OverlayOptions(rootfs).value(), ",upperdir=c/fs,workdir=c/work,volatile"));
  for (const std::string bad : {"", "a:b", "a,b", "a\\b"}) {
    rootfs.lowers[1] = bad;
    CHECK_FALSE(OverlayOptions(rootfs).ok());
  }
  rootfs.lowers.assign(500, "layers/12345/fs");
  CHECK(OverlayOptions(rootfs).ok());
  rootfs.lowers.push_back("1/fs");
  CHECK_FALSE(OverlayOptions(rootfs).ok());
}

TEST_CASE("programs are searched in the container's PATH") {
  oci::Process process;
  process.args = {"tool"};
  process.env = {"PATH=/a::/b"};
  CHECK(CompileProcess(process)->programs ==
        std::vector<std::string>{"/a/tool", "./tool", "/b/tool"});
  process.args = {"./tool"};
  CHECK(CompileProcess(process)->programs == std::vector<std::string>{"./tool"});
  process.env.clear();
  process.args = {"sh"};
  CHECK(CompileProcess(process)->programs.size() == 6);
  process.args = {""};
  CHECK(CompileProcess(process)->programs == std::vector<std::string>{""});
}

TEST_CASE("an exec has everything of the container's process but the arguments") {
  oci::Spec spec = MinimalSpec();
  spec.process.user.uid = 7;
  spec.process.env = {"A=b"};
  ::shim::v1::Exec exec;
  exec.add_args("id");
  const absl::StatusOr<LaunchPlan> plain = CompileExec(spec, exec);
  REQUIRE(plain.ok());
  CHECK(plain->process.args == std::vector<std::string>{"id"});
  CHECK(plain->process.uid == 7);
  CHECK(plain->process.env == std::vector<std::string>{"A=b"});
  CHECK(plain->namespaces.size() == 4);
  exec.set_tty(true);
  CHECK(CompileExec(spec, exec)->process.env == std::vector<std::string>{"A=b", "TERM=xterm"});
  spec.process.env = {"TERM=vt100"};
  CHECK(CompileExec(spec, exec)->process.env == spec.process.env);
  exec.clear_args();
  CHECK(CompileExec(spec, exec).status().message() == "process.args: must not be empty");
}

TEST_CASE("image mounts come before what is mounted below them") {
  oci::Spec spec = MinimalSpec();
  spec.mounts = {{"/a", "tmpfs", "tmpfs", {}, {}, {}},
                 {"/image/sub", "tmpfs", "tmpfs", {}, {}, {}},
                 {"/z", "tmpfs", "", {}, {}, {}}};
  ::shim::v1::Start start;
  ::shim::v1::ImageMount& mount = *start.add_image_mounts();
  mount.set_destination("/image");
  mount.mutable_rootfs()->set_base("/base");
  mount.mutable_rootfs()->add_lowers("1");
  const absl::StatusOr<LaunchPlan> plan = CompileLaunch(spec, start);
  REQUIRE(plan.ok());
  std::string order;
  for (const MountPlan& entry : plan->mounts) absl::StrAppend(&order, entry.destination, " ");
  CHECK(order == "/a /image /image/sub /z ");
  constexpr uint64_t kAlways = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  CHECK(plan->mounts[1].options.top.set == kAlways);
  mount.set_noexec(true);
  CHECK(CompileLaunch(spec, start)->mounts[1].options.top.set == (kAlways | MOUNT_ATTR_NOEXEC));
  mount.mutable_rootfs()->set_upper("u");
  CHECK(Refusal(spec, start) == "/image: an image mount must not have an upper directory");
}

TEST_CASE("cgroup v1 directories are named after their mount points") {
  oci::Spec spec = MinimalSpec();
  spec.mounts = {{"/sys/fs/cgroup", "cgroup", "cgroup", {"ro"}, {}, {}}};
  ::shim::v1::Start start;
  start.set_cgroup_v2("/sys/fs/cgroup/unified/pods/memory/abc");
  start.add_cgroup_v1("/sys/fs/cgroup/memory/pods/memory/abc");
  start.add_cgroup_v1("/sys/fs/cgroup/cpu,cpuacct/pods/memory/abc");
  const absl::StatusOr<LaunchPlan> plan = CompileLaunch(spec, start);
  REQUIRE(plan.ok());
  REQUIRE(plan->cgroup_binds.size() == 2);
  CHECK(plan->cgroup_binds[0].name == "memory");
  CHECK(plan->cgroup_binds[1].name == "cpu,cpuacct");
}

TEST_CASE("what cannot work is refused with the name of the member") {
  oci::Spec spec = MinimalSpec();
  REQUIRE(CompileLaunch(spec, {}).ok());
  const auto with = [&](const std::function<void(oci::Spec&)>& change) {
    oci::Spec changed = spec;
    change(changed);
    return Refusal(changed);
  };
  CHECK(with([](oci::Spec& s) { s.process.args.clear(); }) == "process.args: must not be empty");
  CHECK(with([](oci::Spec& s) { s.process.env = {std::string("A=\0b", 4)}; }) ==
        "process.env: must not contain a NUL byte");
  CHECK(with([](oci::Spec& s) { s.process.cwd = "tmp"; }) ==
        "process.cwd: \"tmp\": must be absolute");
  CHECK(with([](oci::Spec& s) { s.process.selinux_label = "x"; }) ==
        "process.selinuxLabel: SELinux is not supported");
  CHECK(with([](oci::Spec& s) { s.process.apparmor_profile = "a\nb"; }) ==
        "process.apparmorProfile: must not contain a line break or a NUL byte");
  CHECK(with([](oci::Spec& s) {
          s.process.rlimits = {{"RLIMIT_X", 1, 1}};
        }) == "process.rlimits: type \"RLIMIT_X\" does not exist");
  CHECK(with([](oci::Spec& s) {
          s.process.rlimits = {{"RLIMIT_CORE", 2, 1}};
        }) == "process.rlimits: RLIMIT_CORE: soft must not exceed hard");
  CHECK(with([](oci::Spec& s) { s.process.oom_score_adj = 1001; }) ==
        "process.oomScoreAdj: must be between -1000 and 1000");
  CHECK(with([](oci::Spec& s) {
          s.process.capabilities = oci::Capabilities{{"KILL"}, {}, {}, {}, {}};
        }) == "process.capabilities.bounding: capability \"KILL\" does not exist");
  CHECK(with([](oci::Spec& s) {
          s.process.capabilities = oci::Capabilities{{}, {"CAP_KILL"}, {}, {}, {}};
        }) == "process.capabilities: effective and ambient must be subsets of permitted");
  CHECK(with([](oci::Spec& s) { s.linux_.namespaces.erase(s.linux_.namespaces.begin()); }) ==
        "linux.namespaces: must have a mount namespace");
  CHECK(with([](oci::Spec& s) { s.linux_.namespaces[0].path = "/proc/1/ns/mnt"; }) ==
        "linux.namespaces: joining a mount namespace is not supported");
  CHECK(with([](oci::Spec& s) {
          s.linux_.namespaces.push_back({"time", ""});
        }) == "linux.namespaces: type \"time\" is not supported");
  CHECK(with([](oci::Spec& s) {
          s.linux_.namespaces.push_back({"pid", ""});
        }) == "linux.namespaces: type \"pid\" is there twice");
  CHECK(with([](oci::Spec& s) {
          s.linux_.namespaces.push_back({"user", ""});
        }) == "linux.uidMappings: a user namespace needs uidMappings and gidMappings");
  CHECK(with([](oci::Spec& s) {
          s.mounts = {{"/a", "bind", "/b", {"rbind", "mode=755"}, {}, {}}};
        }) == "/a: \"mode\" is not an option of bind mounts");
  CHECK(with([](oci::Spec& s) {
          s.mounts = {{"/a", "bind", "b", {"rbind"}, {}, {}}};
        }) == "/a: source \"b\": must be absolute");
  CHECK(with([](oci::Spec& s) {
          s.mounts = {{"/a", "ext4", "/dev/sda", {}, {}, {}}};
        }) == "/a: file system type \"ext4\" is not supported");
  CHECK(with([](oci::Spec& s) {
          s.mounts = {{"/a", "tmpfs", "tmpfs", {"idmap"}, {}, {}}};
        }) == "/a: only bind mounts can be idmapped");
  CHECK(with([](oci::Spec& s) {
          s.mounts = {{"/proc/sys", "tmpfs", "tmpfs", {}, {}, {}}};
        }) == "mounts.destination: \"/proc/sys\": must not be inside /proc");
  CHECK(with([](oci::Spec& s) {
          s.linux_.devices = {{"/dev/x", 'z', 1, 1, {}, {}, {}}};
        }) == "linux.devices.type: \"z\" is not supported");
  CHECK(with([](oci::Spec& s) {
          s.linux_.devices = {{"/dev/x", 'c', int64_t{1} << 32, 1, {}, {}, {}}};
        }) == "linux.devices: \"/dev/x\": major or minor is out of range");
  CHECK(with([](oci::Spec& s) { s.linux_.masked_paths = {"/a/../b"}; }) ==
        "linux.maskedPaths: \"/a/../b\": must not contain \"..\"");
  CHECK(with([](oci::Spec& s) { s.linux_.mount_label = "x"; }) ==
        "linux.mountLabel: SELinux is not supported");
  CHECK(with([](oci::Spec& s) { s.linux_.rootfs_propagation = "odd"; }) ==
        "linux.rootfsPropagation: \"odd\" is not supported");
  for (const char* key : {"kernel.core_pattern", "kernel.hostname", "vm.swappiness", "fs.file-max",
                          "kernel.shmmax.x"}) {
    CHECK(with([&](oci::Spec& s) {
            s.linux_.sysctl = {{key, "1"}};
          }) == absl::StrCat("linux.sysctl: \"", key,
                             "\" does not belong to a namespace of the container"));
  }
  for (const char* key :
       {"net..x", "net/../kernel/core_pattern", "", ".net", "net/./x", "net.ipv4./..x"}) {
    INFO(key);
    CHECK_FALSE(with([&](oci::Spec& s) { s.linux_.sysctl = {{key, "1"}}; }).empty());
  }
  CHECK(with([](oci::Spec& s) {
          s.linux_.sysctl = {{"net.ipv4.ip_forward", "1"},
                             {"net/ipv4/conf/eth0.1/forwarding", "1"},
                             {"kernel.shmmax", "1"}};
        }).empty());
  spec.linux_.namespaces = {{"mount", ""}};
  CHECK_FALSE(with([](oci::Spec& s) { s.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}}; }).empty());
  CHECK_FALSE(with([](oci::Spec& s) { s.linux_.sysctl = {{"kernel.shmmax", "1"}}; }).empty());
  CHECK(with([](oci::Spec& s) { s.hostname = "x"; }) ==
        "hostname: needs a UTS namespace in linux.namespaces");
}

}  // namespace crisp::shim
