#include "spec/container_spec.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "linux/mount_options.h"
#include "spec/capabilities.h"
#include "spec/container_mounts.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("command replaces entrypoint and cmd, args replace cmd") {
  struct Case {
    const char* config;
    Strings entrypoint;
    Strings cmd;
    Strings args;
  };
  const Case cases[] = {
      {"", {"e"}, {"c"}, {"e", "c"}},
      {"", {}, {"c", "d"}, {"c", "d"}},
      {"", {"e"}, {}, {"e"}},
      {"args: 'a'", {"e"}, {"c"}, {"e", "a"}},
      {"args: 'a'", {}, {"c"}, {"a"}},
      {"command: 'x'", {"e"}, {"c"}, {"x"}},
      {"command: 'x' args: 'a'", {"e"}, {"c"}, {"x", "a"}},
      {"", {""}, {"c"}, {"c"}},
  };
  for (const Case& test : cases) {
    CAPTURE(test.config, test.entrypoint, test.cmd);
    Container container(test.config);
    container.image.entrypoint = test.entrypoint;
    container.image.cmd = test.cmd;
    CHECK(container.Spec().process.args == test.args);
  }
  Container nothing("");
  nothing.image.entrypoint = {};
  CheckRefused(nothing.Make().status(), "command");
  CheckRefused(Container("command: ''").Make().status(), "command[0] \"\": must not be empty");
  CheckRefused(Container("command: 'a\\0b'").Make().status(), "command \"a\\x00b\"");
}

TEST_CASE("environment: defaults, then the image's, then the configuration's") {
  Container container(
      "tty: true envs { key: 'B' value: '2' } envs { key: 'B' value: '3=3' } "
      "envs { key: 'BINARY' value: '\\xff\\n' }");
  container.image.env = {"A=1", "PATH=/image", "B=1", "novalue", "=x", "A=2", "EMPTY="};
  CHECK(container.Spec().process.env == Strings{"PATH=/image", "HOSTNAME=pod", "A=2", "B=3=3",
                                                "EMPTY=", "TERM=xterm", "BINARY=\xff\n",
                                                "HOME=/root"});
  CHECK(container.Spec().process.terminal);

  Container bare("");
  bare.user.home.clear();
  CHECK(bare.Spec().process.env ==
        Strings{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=pod",
                "HOME=/"});
  Container own("tty: true envs { key: 'HOME' value: '/h' } envs { key: 'HOSTNAME' value: 'n' }");
  own.image.env = {"TERM=vt100"};
  CHECK(own.Spec().process.env ==
        Strings{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=n",
                "TERM=vt100", "HOME=/h"});
}

TEST_CASE("the image's own HOSTNAME wins over the pod's name") {
  Container container("");
  container.image.env = {"HOSTNAME=0.0.0.0"};
  CHECK(container.Spec().process.env ==
        Strings{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=0.0.0.0", "HOME=/root"});
}

TEST_CASE("variables without a usable name or value are refused") {
  CheckRefused(Container("envs { key: '' }").Make().status(),
               "env[0].name \"\": must not be empty");
  CheckRefused(Container("envs { key: 'a=b' }").Make().status(), "env[0].name \"a=b\"");
  CheckRefused(Container("envs { key: 'a\\0' }").Make().status(), "env[0].name");
  CheckRefused(Container("envs { key: 'a' value: '\\0' }").Make().status(),
               "env[0].value of \"a\"");
}

TEST_CASE("the working directory is the configuration's, else the image's, and absolute") {
  Container container("");
  CHECK(container.Spec().process.cwd == "/");
  container.image.working_dir = "/image";
  CHECK(container.Spec().process.cwd == "/image");
  container.config.set_working_dir("/config/../x");
  CHECK(container.Spec().process.cwd == "/config/../x");
  for (const std::string& directory : {std::string("a"), std::string("../a"), std::string("/a\nb"),
                                       std::string("/a\0b", 4), "/" + std::string(4096, 'a')}) {
    container.config.set_working_dir(directory);
    CheckRefused(container.Make().status(), "workingDir");
    container.config.clear_working_dir();
    container.image.working_dir = directory;
    CheckRefused(container.Make().status(), "working directory of the image");
  }
}

TEST_CASE("user, no_new_privs and OOM score come from the configuration") {
  Container container(
      "linux { resources { oom_score_adj: -997 } security_context { "
      "no_new_privs: true readonly_rootfs: true } }");
  container.user = {.uid = 5, .gid = 6, .additional_gids = {6, 7}, .home = ""};
  const oci::Spec spec = container.Spec();
  CHECK(spec.process.user.uid == 5);
  CHECK(spec.process.user.gid == 6);
  CHECK(spec.process.user.additional_gids == std::vector<uint32_t>{6, 7});
  CHECK(spec.process.no_new_privileges);
  CHECK(spec.process.oom_score_adj == -997);
  CHECK(spec.root.readonly);
  CHECK(spec.root.path == "rootfs");
  CHECK(spec.hostname.empty());
  CHECK(spec.linux_.cgroups_path == "/pod/c");
  CHECK(Container("").Spec().process.oom_score_adj == 0);
  CHECK_FALSE(Container("").Spec().process.no_new_privileges);
}

TEST_CASE("a container joins its sandbox's namespaces; its pid namespace may be another") {
  const char kPod[] =
      "mount= network=/proc/4711/ns/net uts=/proc/4711/ns/uts ipc=/proc/4711/ns/ipc "
      "pid=/proc/4711/ns/pid cgroup= ";
  CHECK(NamespacesOf(Container("").Spec()) == kPod);
  CHECK(NamespacesOf(Container(Options("pid: CONTAINER")).Spec()) ==
        "mount= network=/proc/4711/ns/net uts=/proc/4711/ns/uts ipc=/proc/4711/ns/ipc pid= "
        "cgroup= ");
  Container target(Options("pid: TARGET target_id: 'x'"));
  CheckRefused(target.Make().status(), "targetContainerName \"x\"");
  target.target_pid = 77;
  CHECK_THAT(NamespacesOf(target.Spec()), Catch::Contains("pid=/proc/77/ns/pid "));
  CHECK(NamespacesOf(Container(Options("pid: NODE network: NODE ipc: NODE"),
                               Options("pid: NODE network: NODE ipc: NODE"))
                         .Spec()) == "mount= cgroup= ");
  // The network and ipc namespaces are always the sandbox's.
  CHECK(NamespacesOf(Container("", Options("network: NODE")).Spec()) ==
        "mount= ipc=/proc/4711/ns/ipc pid=/proc/4711/ns/pid cgroup= ");
  CHECK(NamespacesOf(Container(Options("network: NODE ipc: NODE"), "").Spec()) == kPod);
  CHECK(NamespacesOf(Container("", Options("pid: NODE")).Spec()) ==
        "mount= network=/proc/4711/ns/net uts=/proc/4711/ns/uts ipc=/proc/4711/ns/ipc cgroup= ");
  CheckRefused(Container(Options("pid: NODE"), "").Make().status(), "pid \"NODE\"");
  CheckRefused(Container(Options("pid: TARGET"), "").Make().status(), "targetContainerName");
  CheckRefused(Container(Options("ipc: TARGET"), "").Make().status(), "ipc");
  CheckRefused(Container(Options("network: TARGET"), "").Make().status(), "network");
  CheckRefused(Container(Options("pid: 9"), "").Make().status(), "pid 9");

  Container v1("");
  v1.cgroup_host = {};
  CHECK_THAT(NamespacesOf(v1.Spec()), !Catch::Contains("cgroup"));
}

TEST_CASE("a container has the user namespace of its pod, and may not ask for another") {
  const std::string userns = Options(
      "userns_options { uids { host_id: 1000 length: 65536 } gids { host_id: 2000 length: 65536 "
      "} }");
  const oci::Spec spec = Container(userns, userns).Spec();
  CHECK_THAT(NamespacesOf(spec), Catch::Contains("user=/proc/4711/ns/user "));
  CHECK(spec.linux_.uid_mappings.at(0).host_id == 1000);
  CHECK(spec.linux_.gid_mappings.at(0).host_id == 2000);
  CheckRefused(Container("", userns).Make().status(), "differs from the sandbox's");
  CheckRefused(Container(userns, "").Make().status(), "differs from the sandbox's");
  const std::string other = Options(
      "userns_options { uids { host_id: 1001 length: 65536 } gids { host_id: 2000 length: 65536 "
      "} }");
  CheckRefused(Container(other, userns).Make().status(), "differs from the sandbox's");
  // NODE and nothing are the same.
  CHECK(Container(Options("userns_options { mode: NODE }"), "").Make().ok());
}

std::string Describe(const oci::Mount& mount) {
  std::string text = absl::StrCat(mount.destination, " ", mount.type, " ", mount.source, " ");
  for (const std::string& option : mount.options) absl::StrAppend(&text, option, ",");
  return text;
}
Strings MountsOf(const oci::Spec& spec) {
  Strings result;
  for (const oci::Mount& mount : spec.mounts) result.push_back(Describe(mount));
  return result;
}
Strings DestinationsOf(const oci::Spec& spec) {
  Strings result;
  for (const oci::Mount& mount : spec.mounts) result.push_back(mount.destination);
  return result;
}

TEST_CASE("every container has the default file systems and the sandbox's files") {
  CHECK(MountsOf(Container("").Spec()) ==
        Strings{"/proc proc proc nosuid,noexec,nodev,",
                "/dev tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k,",
                "/dev/pts devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5,",
                "/dev/mqueue mqueue mqueue nosuid,noexec,nodev,",
                "/sys sysfs sysfs nosuid,noexec,nodev,ro,",
                "/sys/fs/cgroup cgroup cgroup nosuid,noexec,nodev,relatime,ro,",
                "/etc/hostname bind /run/crisp/sandboxes/s/hostname rbind,rprivate,rw,",
                "/etc/hosts bind /run/crisp/sandboxes/s/hosts rbind,rprivate,rw,",
                "/etc/resolv.conf bind /run/crisp/sandboxes/s/resolv.conf rbind,rprivate,rw,",
                "/dev/shm bind /proc/4711/root/dev/shm rbind,rprivate,rw,"});
  const Strings readonly = MountsOf(Container(Security("readonly_rootfs: true")).Spec());
  CHECK(readonly.at(7) == "/etc/hosts bind /run/crisp/sandboxes/s/hosts rbind,rprivate,ro,");
  CHECK(readonly.at(9) == "/dev/shm bind /proc/4711/root/dev/shm rbind,rprivate,rw,");
  CHECK(MountsOf(Container("", Options("ipc: NODE")).Spec()).at(9) ==
        "/dev/shm bind /dev/shm rbind,rprivate,rw,");
  const std::string userns = "userns_options { uids { length: 65536 } gids { length: 65536 } }";
  CHECK(MountsOf(Container(Options(userns), Options("network: NODE " + userns)).Spec()).at(4) ==
        "/sys bind /sys rbind,rprivate,rro,nosuid,noexec,nodev,");
  CHECK(MountsOf(Container(Options(userns), Options(userns)).Spec()).at(4) ==
        "/sys sysfs sysfs nosuid,noexec,nodev,ro,");
}

TEST_CASE("configured mounts replace defaults, and deeper ones come later") {
  Container container(R"(
    mounts { container_path: "/a/b/c" host_path: "/1" }
    mounts { container_path: "/a/" host_path: "/2" readonly: true
             propagation: PROPAGATION_HOST_TO_CONTAINER }
    mounts { container_path: "//a/./b" host_path: "/3" readonly: true recursive_read_only: true }
    mounts { container_path: "/etc/hosts" host_path: "/4" }
    mounts { container_path: "/dev/shm" host_path: "/5" }
    mounts { container_path: "/sys" host_path: "/sys" }
    mounts { container_path: "/i" image { image: "img" } readonly: true image_sub_path: "x//y" })");
  const ContainerSpecResult result = *container.Make();
  CHECK(MountsOf(result.spec) ==
        Strings{"/proc proc proc nosuid,noexec,nodev,",
                "/dev tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k,",
                "/dev/pts devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5,",
                "/dev/mqueue mqueue mqueue nosuid,noexec,nodev,",
                "/sys/fs/cgroup cgroup cgroup nosuid,noexec,nodev,relatime,ro,",
                "/a bind /2 rbind,rslave,ro,", "/sys bind /sys rbind,rprivate,",
                "/etc/hostname bind /run/crisp/sandboxes/s/hostname rbind,rprivate,rw,",
                "/etc/resolv.conf bind /run/crisp/sandboxes/s/resolv.conf rbind,rprivate,rw,",
                "/a/b bind /3 rbind,rprivate,rro,", "/etc/hosts bind /4 rbind,rprivate,",
                "/dev/shm bind /5 rbind,rprivate,", "/a/b/c bind /1 rbind,rprivate,"});
  CHECK(result.spec.linux_.rootfs_propagation == "rslave");
  const auto volume = ImageMount("volumeMounts[6]", container.config.mounts(6));
  REQUIRE(volume.ok());
  CHECK(volume->container_path == "/i");
  CHECK(volume->image == "img");
  CHECK(volume->sub_path == "x/y");
  CHECK_FALSE(volume->noexec);
  ::runtime::v1::Mount strict = container.config.mounts(6);
  for (const char* option : {"nodev", "nosuid", "noexec"}) strict.add_mount_options(option);
  CHECK(ImageMount("volumeMounts[6]", strict)->noexec);

  CHECK(DestinationsOf(Container("mounts { container_path: '/dev/' host_path: '/dev' }").Spec()) ==
        Strings{"/proc", "/sys", "/sys/fs/cgroup", "/dev", "/etc/hostname", "/etc/hosts",
                "/etc/resolv.conf", "/dev/shm"});
  CHECK(Container("mounts { container_path: '/x' host_path: '/x' propagation: "
                  "PROPAGATION_BIDIRECTIONAL }")
            .Spec()
            .linux_.rootfs_propagation == "rshared");
}

TEST_CASE("what the host has mounted read-only is not made writable") {
  const oci::Spec spec = Container(
                             "mounts { container_path: '/csi' host_path: '/ro' }"
                             "mounts { container_path: '/both' host_path: '/ro' propagation: "
                             "PROPAGATION_BIDIRECTIONAL }")
                             .Spec();
  for (const oci::Mount& mount : spec.mounts) {
    if (mount.source != "/ro") continue;
    const linux::MountOptions options = linux::ParseMountOptions(mount.options);
    CHECK(options.bind);
    CHECK(options.top.clear == 0);
    CHECK(options.tree.clear == 0);
  }
}

TEST_CASE("a mount path with .. is cleaned, and replaces the default at that path") {
  const auto destinations = [](const std::string& path) {
    const std::string host =
        absl::StrCat("mounts { host_path: '/h' container_path: '", path, "' }");
    std::vector<std::string> result;
    for (const oci::Mount& mount : Container(host).Spec().mounts)
      result.push_back(absl::StrCat(mount.source == "/h" ? "/h " : "", mount.destination));
    return result;
  };
  const auto has = [&](const std::string& path, const std::string& mount) {
    const std::vector<std::string> all = destinations(path);
    return std::count(all.begin(), all.end(), mount);
  };
  CHECK(has("/app/../data", "/h /data") == 1);
  CHECK(has("/../../data/./x/..", "/h /data") == 1);
  CHECK(has("/app/../etc/hosts", "/h /etc/hosts") == 1);
  CHECK(has("/app/../etc/hosts", "/etc/hosts") == 0);
  // Without "/" in front it begins at the root.
  CHECK(has("data", "/h /data") == 1);
  CHECK(has("app/../../data", "/h /data") == 1);
  const std::string image =
      "mounts { image { image: 'i' } readonly: true container_path: '/app/../data' }";
  CHECK(ImageMount("volumeMounts[0]", Container(image).config.mounts(0))->container_path ==
        "/data");
}

TEST_CASE(
    "an image's volumes are mounted where no mount of the pod and nothing of the runtime is") {
  // The image's links.
  const std::map<std::string, std::string> links = {
      {"/x", "/dev"}, {"/all", "/"}, {"/var/run", "/run"}, {"/var/run/app", "/run/app"}};
  const auto resolve = [&](const std::string& path) -> absl::StatusOr<std::string> {
    const auto link = links.find(path);
    return link == links.end() ? path : link->second;
  };
  const auto paths = [&](const std::string& config, std::vector<std::string> volumes) {
    oci::ImageConfig image;
    image.volumes = std::move(volumes);
    return DeclaredPaths(Proto<::runtime::v1::ContainerConfig>(config), image, resolve);
  };
  CHECK(*paths("", {"/data", "/data/", "/a/../data", "relative", "/b/c"}) ==
        Strings{"/b/c", "/data", "/relative"});
  CHECK(paths("", {"/", "/proc", "/proc/sys", "/sys/fs", "/dev", "/dev/shm", "/etc/hosts",
                   "/etc/hostname", "/x/../etc/resolv.conf", ""})
            ->empty());
  CHECK(*paths("mounts { host_path: '/h' container_path: '/x/../data/' }",
               {"/data", "/data/sub", "/data2"}) == Strings{"/data2"});
  CHECK(paths("", {"/x", "/all"})->empty());
  CHECK(*paths("", {"/var/run", "/run"}) == Strings{"/run"});
  for (const char* mount : {"/run", "/var/run"}) {
    const std::string config =
        absl::StrCat("mounts { host_path: '/h' container_path: '", mount, "' }");
    CHECK(paths(config, {"/run", "/run/app", "/var/run", "/var/run/app"})->empty());
  }
  CHECK(paths("mounts { image { image: 'i' } readonly: true container_path: '/data' }", {"/data"})
            ->empty());
  Strings many;
  for (int i = 0; i < 129; ++i) many.push_back(absl::StrCat("/v", i));
  CheckRefused(paths("", many).status(), "the image declares 129 volumes, at most 128");
  many.pop_back();
  CHECK(paths("", many)->size() == 128);

  for (const bool userns : {false, true}) {
    Container container("");
    ContainerInput input = container.Input();
    input.volumes = {{"/data", "/root/volumes/0"}};
    const auto mounts = MakeContainerMounts(input, userns);
    REQUIRE(mounts.ok());
    const auto found =
        std::find_if(mounts->mounts.begin(), mounts->mounts.end(),
                     [](const oci::Mount& mount) { return mount.destination == "/data"; });
    REQUIRE(found != mounts->mounts.end());
    CHECK(found->source == "/root/volumes/0");
    CHECK(found->type == oci::kImageVolume);
    CHECK(found->options == (userns ? Strings{"rbind", "rprivate", "rw", "idmap"}
                                    : Strings{"rbind", "rprivate", "rw"}));
  }
}

TEST_CASE("mount_options are added to the options from other fields") {
  const oci::Spec spec = Container(R"(mounts { container_path: "/x" host_path: "/x" readonly: true
      mount_options: ["noexec", "nodev", "nosuid"] })")
                             .Spec();
  const Strings mounts = MountsOf(spec);
  CHECK(std::count(mounts.begin(), mounts.end(),
                   "/x bind /x rbind,rprivate,ro,noexec,nodev,nosuid,") == 1);
}

TEST_CASE("id mappings of a mount reach the OCI spec") {
  const oci::Spec spec = Container(R"(mounts { container_path: "/x" host_path: "/x"
      uidMappings { host_id: 5 container_id: 1 length: 2 }
      gidMappings { host_id: 6 container_id: 1 length: 2 } })")
                             .Spec();
  const oci::Mount& mount = *std::find_if(spec.mounts.begin(), spec.mounts.end(),
                                          [](const auto& m) { return m.destination == "/x"; });
  REQUIRE(mount.uid_mappings.size() == 1);
  CHECK(mount.uid_mappings[0].host_id == 5);
  CHECK(mount.uid_mappings[0].container_id == 1);
  CHECK(mount.uid_mappings[0].size == 2);
  CHECK(mount.gid_mappings.at(0).host_id == 6);
}

TEST_CASE("a privileged container has no masked paths, seccomp, AppArmor or cgroup namespace") {
  const std::string text =
      "masked_paths: ['/proc/kcore', '/b//c/'] readonly_paths: '/proc/sys' seccomp {}";
  const oci::Spec spec = Container(Security(text)).Spec();
  CHECK(spec.linux_.masked_paths == Strings{"/proc/kcore", "/b/c"});
  CHECK(spec.linux_.readonly_paths == Strings{"/proc/sys"});
  CHECK(spec.linux_.seccomp.has_value());
  CHECK(Container("").Spec().linux_.masked_paths.empty());
  CHECK_FALSE(Container("").Spec().linux_.seccomp.has_value());
  CHECK(Container(Security("seccomp_profile_path: 'runtime/default'"))
            .Spec()
            .linux_.seccomp.has_value());
  CheckRefused(Container(Security("masked_paths: '/a/../b'")).Make().status(), "masked_paths");
  CheckRefused(Container(Security("readonly_paths: 'b'")).Make().status(), "readonly_paths");

  const Container container(Security(text + " privileged: true"), Security("privileged: true"));
  const oci::Spec privileged = container.Spec();
  CHECK(privileged.linux_.masked_paths.empty());
  CHECK(privileged.linux_.readonly_paths.empty());
  CHECK_FALSE(privileged.linux_.seccomp.has_value());
  CHECK(privileged.process.apparmor_profile.empty());
  CHECK_THAT(NamespacesOf(privileged), !Catch::Contains("cgroup"));
  CHECK(MountsOf(privileged).at(4) == "/sys sysfs sysfs nosuid,noexec,nodev,rw,");
  CHECK(MountsOf(privileged).at(5) ==
        "/sys/fs/cgroup cgroup cgroup nosuid,noexec,nodev,relatime,rw,");
  CHECK(privileged.process.capabilities->bounding == linux::CapabilityNames(HeldCapabilities()));
  CheckRefused(Container(Security("privileged: true")).Make().status(), "privileged sandbox");
}

}  // namespace
}  // namespace crisp::spec
