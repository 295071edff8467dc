// What a container sees and may do, compared with what its spec says and with runc.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "bundle.h"
#include "linux/capabilities.h"
#include "oci/runtime_spec_codec.h"

namespace crisp::test {
namespace {

std::string Hex(const std::vector<std::string>& names) {
  char text[32];
  snprintf(text, sizeof(text), "%016lx",
           static_cast<unsigned long>(linux::ParseCapabilities(names).value()));
  return text;
}

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// Prints what must be the same with every runtime.
constexpr char kProbe[] =
    "grep -E 'Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid' /proc/self/status; find /dev | sort; "
    "for f in $(find /dev -type c); do ls -ln $f | awk '{print $1,$3,$4,$5,$6,$NF}'; done | sort; "
    "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; "
    "awk '$5 ~ \"^/(proc|sys|dev|dev/.*)$\" {print $5,$6}' /proc/self/mountinfo | sort; "
    "awk '$5 ~ \"^/(proc|sys)/\" {print $5}' /proc/self/mountinfo | grep -v cgroup/ | sort; "
    "hostname; cat /proc/self/oom_score_adj; umask; pwd; env | sort; cat "
    "/proc/sys/net/ipv4/ip_forward; "
    "ls /proc/scsi /sys/firmware 2>/dev/null | wc -l; wc -c < /proc/keys; "
    "echo x 2>/dev/null > /proc/sys/kernel/hostname || echo ro; ls /proc/self/fd | wc -l; "
    "grep -E 'open files|core' /proc/self/limits; cat /proc/self/cgroup | wc -l; "
    "for p in /proc/irq /proc/bus /proc/sys /sys /sys/fs/cgroup/memory; do touch "
    "$p/x 2>&1; done; true";

}  // namespace

TEST_CASE("user, groups and capabilities are those of the spec", "[shim][isolation]") {
  struct Case {
    uint32_t uid;
    std::vector<uint32_t> groups;
    std::vector<std::string> caps;
    bool no_new_privileges;
  };
  const std::vector<std::string> some = {"CAP_CHOWN", "CAP_NET_RAW", "CAP_KILL"};
  const Case cases[] = {{0, {}, some, false},
                        {0, {5, 7}, {}, true},
                        {1000, {1000}, some, false},
                        {65534, {}, {}, true},
                        {4000000000, {4294967294}, some, true},
                        {0, {0, 1}, {"CAP_SYS_ADMIN"}, false}};
  for (const Case& c : cases) {
    Bundle bundle;
    oci::Spec spec = DefaultSpec({"cat", "/proc/self/status"});
    spec.process.user = {.uid = c.uid, .gid = c.uid, .umask = {}, .additional_gids = c.groups};
    // No process gets inheritable capabilities, whatever the spec says (CVE-2022-24769).
    spec.process.capabilities = oci::Capabilities{.bounding = c.caps,
                                                  .effective = c.caps,
                                                  .inheritable = c.caps,
                                                  .permitted = c.caps,
                                                  .ambient = {}};
    spec.process.no_new_privileges = c.no_new_privileges;
    const std::string text = bundle.Run(spec);
    const std::string none = "0000000000000000";
    const std::string after_exec = c.uid == 0 ? Hex(c.caps) : none;
    for (const std::string& wanted :
         {absl::StrCat("Uid:\t", c.uid, "\t", c.uid, "\t", c.uid, "\t", c.uid, "\n"),
          absl::StrCat("Gid:\t", c.uid, "\t", c.uid, "\t", c.uid, "\t", c.uid, "\n"),
          absl::StrCat("CapInh:\t", none), absl::StrCat("CapAmb:\t", none),
          absl::StrCat("CapBnd:\t", Hex(c.caps)), absl::StrCat("CapPrm:\t", after_exec),
          absl::StrCat("CapEff:\t", after_exec),
          absl::StrCat("NoNewPrivs:\t", c.no_new_privileges ? 1 : 0), std::string("Seccomp:\t0")}) {
      INFO(text);
      INFO(wanted);
      CHECK(text.find(wanted) != std::string::npos);
    }
    std::string groups = "Groups:\t";
    std::set<uint32_t> sorted(c.groups.begin(), c.groups.end());
    for (const uint32_t group : sorted) absl::StrAppend(&groups, group, " ");
    INFO(text);
    CHECK(text.find(groups) != std::string::npos);
  }
}

TEST_CASE("ambient capabilities reach a user who is not root", "[shim][isolation]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"grep", "-E", "CapEff|CapAmb", "/proc/self/status"});
  spec.process.user.uid = 1000;
  spec.process.capabilities->ambient = {"CAP_NET_BIND_SERVICE"};
  const std::string mask = Hex({"CAP_NET_BIND_SERVICE"});
  CHECK(bundle.Run(spec) == absl::StrCat("CapEff:\t", mask, "\nCapAmb:\t", mask, "\n"));
}

TEST_CASE("a container looks the same as with runc", "[shim][isolation]") {
  if (system("command -v runc >/dev/null") != 0) {
    WARN("runc is not installed");
    return;
  }
  for (const uint32_t uid : {0u, 1000u}) {
    Bundle bundle;
    oci::Spec spec = ShellSpec(kProbe);
    spec.hostname = "probe";
    spec.process.user = {.uid = uid, .gid = uid, .umask = {}, .additional_gids = {uid, 7, 100}};
    spec.process.no_new_privileges = uid != 0;
    spec.process.oom_score_adj = 500;
    spec.process.rlimits = {{"RLIMIT_NOFILE", 1000, 1000}, {"RLIMIT_CORE", 0, 0}};
    spec.process.cwd = "/home/user";
    spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
    const std::string ours = bundle.Run(spec);

    Bundle other;
    // runc 1.1 cannot use the cgroup that the test has made: it makes one of its own.
    spec.linux_.cgroups_path = absl::StrCat("/crisp-shim-test-runc-", getpid());
    const std::string rootfs = other.path() + "/rootfs";
    REQUIRE(system(absl::StrCat("cp -al ", WorkDirectory(), "/layer ", rootfs).c_str()) == 0);
    REQUIRE(base::WriteFileAtomic(other.path() + "/config.json", oci::EncodeRuntimeSpec(spec), 0600)
                .ok());
    const std::string out = other.path() + "/out";
    REQUIRE(
        system(absl::StrCat("runc --log /dev/null --root ", other.path(), "/state run -b ",
                            other.path(), " shim-probe-", getpid(), " </dev/null >", out, " 2>&1")
                   .c_str()) == 0);
    const std::vector<std::string> a = Lines(ours), b = Lines(Slurp(out));
    for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
      INFO("line " << i << " crisp: " << (i < a.size() ? a[i] : "-")
                   << "\n runc: " << (i < b.size() ? b[i] : "-"));
      CHECK((i < a.size() && i < b.size() && a[i] == b[i]));
    }
  }
}

TEST_CASE("masked paths cannot be read, read-only paths and rootfs not written",
          "[shim][isolation]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec(
      "exec 2>&1; ls /etc/dir; cat /etc/secret; wc -c < /proc/keys; touch /tmp/x; touch /rootfile; "
      "touch "
      "/data/fine; "
      "echo 1 > /proc/sys/net/ipv4/ip_forward; chmod 777 /etc/secret; echo void > /etc/secret; "
      "true");
  bundle.AddFile("etc/secret", "secret\n");
  bundle.AddFile("etc/dir/file", "");
  spec.root.readonly = true;
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {}, {}, {}});
  spec.linux_.masked_paths.insert(spec.linux_.masked_paths.end(),
                                  {"/etc/secret", "/etc/dir", "/etc/absent/x", "/etc/passwd/x"});
  spec.linux_.readonly_paths.insert(spec.linux_.readonly_paths.end(), {"/tmp", "/absent"});
  const std::string text = bundle.Run(spec);
  CHECK(text ==
        "0\ntouch: /tmp/x: Read-only file system\ntouch: /rootfile: Read-only file system\n"
        "sh: can't create /proc/sys/net/ipv4/ip_forward: Read-only file system\n"
        "chmod: /etc/secret: Read-only file system\n");
  struct stat info;
  REQUIRE(stat("/dev/null", &info) == 0);
  CHECK((info.st_mode & 07777) == 0666);
}

TEST_CASE("a missing working directory is made, and root enters one the user may not",
          "[shim][isolation]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"pwd"});
  spec.process.cwd = "/srv/app/deep";
  spec.process.user.uid = 1000;
  spec.root.readonly = true;
  CHECK(bundle.Run(spec) == "/srv/app/deep\n");
  Bundle second;
  spec.process.cwd = "/root";  // 0700 and root's: entered before the user changes, as with runc
  CHECK(second.Run(spec) == "/root\n");
}

TEST_CASE("rlimits higher than can be given are as high as possible", "[shim][isolation]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec("ulimit -n; ulimit -Hn");
  spec.process.rlimits = {{"RLIMIT_NOFILE", 1 << 30, 1 << 30}};
  const std::string text = bundle.Run(spec);
  CHECK(Lines(text).size() == 2);
  CHECK(Lines(text)[0] == Lines(text)[1]);
}

TEST_CASE("mounts propagate through binds as the spec says", "[shim][isolation]") {
  Bundle bundle;
  const std::string volume = bundle.path() + ".volume";
  REQUIRE(base::MakeDirs(volume + "/in", 0755).ok());
  REQUIRE(base::MakeDirs(volume + "/host", 0755).ok());
  const auto shell = [](const std::string& command) { REQUIRE(system(command.c_str()) == 0); };
  shell(absl::StrCat("mount --bind ", volume, " ", volume, " && mount --make-shared ", volume));
  oci::Spec spec = ShellSpec(
      "while ! test -e /go; do sleep 0.01; done; for p in private slave shared; do "
      "test -e /$p/host/made && echo $p sees; mount -t tmpfs tmpfs /$p/in || echo failed; touch "
      "/$p/in/$p; done; "
      "while ! test -e /stop; do sleep 0.01; done");
  for (auto* set : {&spec.process.capabilities->bounding, &spec.process.capabilities->effective,
                    &spec.process.capabilities->permitted}) {
    set->push_back("CAP_SYS_ADMIN");
  }
  spec.mounts.push_back({"/private", "bind", volume, {"rbind"}, {}, {}});
  spec.mounts.push_back({"/slave", "bind", volume, {"rbind", "rslave"}, {}, {}});
  spec.mounts.push_back({"/shared", "bind", volume, {"rbind", "rshared"}, {}, {}});
  const auto started = bundle.Start(spec);
  INFO(started.status());
  if (started.ok()) {
    shell(absl::StrCat("mount -t tmpfs tmpfs ", volume, "/host && touch ", volume, "/host/made"));
    REQUIRE(bundle.Exec({"touch", "/go"}).ok());
    Await(bundle.log_path(),
          [](const std::string& text) { return absl::StrContains(text, "shared sees"); });
    for (int i = 0; i < 2000 && access((volume + "/in/shared").c_str(), F_OK) != 0; ++i) {
      usleep(5000);
    }
  }
  const bool shared_seen = access((volume + "/in/shared").c_str(), F_OK) == 0;
  const bool others_seen = access((volume + "/in/slave").c_str(), F_OK) == 0 ||
                           access((volume + "/in/private").c_str(), F_OK) == 0;
  (void)bundle.Exec({"touch", "/stop"});
  (void)bundle.WaitExit();
  shell(absl::StrCat("umount -l ", volume, "/in ", volume, "/host; umount ", volume, " && rm -r ",
                     volume));
  REQUIRE(started.ok());
  CHECK(shared_seen);
  CHECK_FALSE(others_seen);
  CHECK(bundle.LogText() == "slave sees\nshared sees\n");
}

TEST_CASE("a read-only bind has writable submounts, a recursively read-only one has none",
          "[shim][isolation]") {
  Bundle bundle;
  const std::string volume = bundle.path() + ".volume";
  REQUIRE(base::MakeDirs(volume + "/sub", 0755).ok());
  REQUIRE(system(("mount -t tmpfs tmpfs " + volume + "/sub").c_str()) == 0);
  oci::Spec spec = ShellSpec(
      "exec 2>&1; touch /ro/x /ro/sub/x /rro/x /rro/sub/x; grep ' /flags ' /proc/self/mountinfo | "
      "cut -d' ' "
      "-f6");
  spec.mounts.push_back({"/ro", "bind", volume, {"rbind", "ro"}, {}, {}});
  spec.mounts.push_back({"/rro", "bind", volume, {"rbind", "rro"}, {}, {}});
  spec.mounts.push_back({"/flags", "bind", volume, {"bind", "nosuid", "nodev", "noexec"}, {}, {}});
  const std::string text = bundle.Run(spec);
  REQUIRE(system(absl::StrCat("umount ", volume, "/sub && rm -r ", volume).c_str()) == 0);
  CHECK(
      absl::StartsWith(text,
                       "touch: /ro/x: Read-only file system\ntouch: /rro/x: Read-only file system\n"
                       "touch: /rro/sub/x: Read-only file system\nrw,nosuid,nodev,noexec"));
}

TEST_CASE("an image mount is read-only, executable and stays inside the image",
          "[shim][isolation]") {
  Bundle bundle;
  const std::string image = bundle.path() + ".image";
  REQUIRE(base::MakeDirs(image + "/a/sub", 0755).ok());
  REQUIRE(base::MakeDirs(image + "/b", 0755).ok());
  REQUIRE(base::WriteFileAtomic(image + "/a/sub/tool", "#!/bin/sh\necho tool\n", 0755).ok());
  REQUIRE(base::WriteFileAtomic(image + "/b/top", "top\n", 0644).ok());
  REQUIRE(symlink("/../../../../etc", (image + "/a/escape").c_str()) == 0);
  const auto add = [&](const char* destination, std::vector<std::string> lowers,
                       const char* sub_path) {
    shim::v1::ImageMount& mount = *bundle.request().add_image_mounts();
    mount.set_destination(destination);
    mount.mutable_rootfs()->set_base(image);
    for (const std::string& lower : lowers) mount.mutable_rootfs()->add_lowers(lower);
    mount.set_sub_path(sub_path);
  };
  add("/one", {"a"}, "");
  add("/two", {"b", "a"}, "");
  add("/sub", {"b", "a"}, "sub");
  add("/strict", {"a"}, "");
  bundle.request().mutable_image_mounts(3)->set_noexec(true);
  const std::string text = bundle.Run(
      ShellSpec("exec 2>&1; /one/sub/tool; cat /two/top; /two/sub/tool; /sub/tool; touch /one/x "
                "/two/x; ls -d /two/escape/passwd; /strict/sub/tool 2>/dev/null || echo refused"),
      0);
  CHECK(text ==
        "tool\ntop\ntool\ntool\ntouch: /one/x: Read-only file system\ntouch: /two/x: Read-only "
        "file system\n"
        "/two/escape/passwd\nrefused\n");
  Bundle second;
  *second.request().mutable_image_mounts() = bundle.request().image_mounts();
  second.request().mutable_image_mounts(0)->set_sub_path("escape");
  const auto started = second.Start(ShellSpec("true"));
  CHECK(started.status().message() == "image mounts: a/escape: no such file or directory (ENOENT)");
  (void)second.WaitExit();
  REQUIRE(base::RemoveTree(image).ok());
}

TEST_CASE("a container that is killed for its memory limit is recorded as such",
          "[shim][isolation]") {
  Bundle bundle;
  bundle.limits().memory_limit_bytes = 16 << 20;
  bundle.limits().memory_swap_limit_bytes = 16 << 20;
  const auto started = bundle.Start(ShellSpec("x=a; while true; do x=$x$x; done"));
  INFO(started.status());
  REQUIRE(started.ok());
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 137);
  CHECK(fact->oom_killed);
}

TEST_CASE("a fork bomb is stopped by the pids limit and ends with the container",
          "[shim][isolation]") {
  Bundle bundle;
  bundle.limits().pids_limit = 32;
  // Init itself starts nothing after the bomb: a shell ends when it cannot fork.
  REQUIRE(bundle.Start(ShellSpec("trap '' CHLD; bomb() { bomb | bomb & }; bomb & exec sleep 1000"))
              .ok());
  const auto result = bundle.Exec({"true"}, 5000);
  CHECK_FALSE(absl::IsDeadlineExceeded(result.status()));
  bundle.Kill();
  const auto fact = bundle.WaitExit();
  REQUIRE(fact.ok());
  CHECK(fact->exit_code == 137);
}

TEST_CASE("files of rootfs and idmapped volumes have their owners in a user namespace",
          "[shim][isolation]") {
  Bundle bundle;
  const std::string volume = bundle.path() + ".volume";
  REQUIRE(base::MakeDirs(volume, 0777).ok());
  REQUIRE(chmod(volume.c_str(), 0777) == 0);
  oci::Spec spec = ShellSpec(
      "exec 2>&1; cat /proc/self/uid_map | tr -s ' '; id -u; stat -c %u:%g /etc/passwd /home/user "
      "/dev/null; "
      "touch /new /volume/new; stat -c %u /new /volume/new; "
      "echo to null > /dev/null; hostname inside && hostname; mount -t tmpfs tmpfs /tmp "
      "2>/dev/null || echo no mount; ls -d /sys/fs/cgroup");
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = {{0, 200000, 65536}};
  spec.linux_.gid_mappings = {{0, 300000, 65536}};
  spec.mounts.push_back(
      {"/volume", "bind", volume, {"rbind", "idmap"}, {{0, 200000, 65536}}, {{0, 300000, 65536}}});
  spec.process.user.uid = 0;
  const auto started = bundle.Start(spec);
  INFO(started.status());
  REQUIRE(started.ok());
  REQUIRE(bundle.WaitExit().ok());
  CHECK(bundle.LogText() ==
        " 0 200000 65536\n0\n0:0\n1000:1000\n65534:65534\n0\n0\nhostname: sethostname: Operation "
        "not permitted\n"
        "no mount\n/sys/fs/cgroup\n");
  struct stat info;
  REQUIRE(stat((volume + "/new").c_str(), &info) == 0);
  CHECK(info.st_uid == 0);
  REQUIRE(stat((bundle.upper() + "/new").c_str(), &info) == 0);
  CHECK(info.st_uid == 200'000);
  REQUIRE(base::RemoveTree(volume).ok());
}

TEST_CASE("execs and terminals work in a user namespace", "[shim][isolation]") {
  Bundle bundle;
  oci::Spec spec = DefaultSpec({"sleep", "1000"});
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = {{0, 200000, 65536}};
  spec.linux_.gid_mappings = {{0, 200000, 65536}};
  spec.process.user = {.uid = 1000, .gid = 1000, .umask = {}, .additional_gids = {}};
  REQUIRE(bundle.Start(spec).ok());
  const auto result = bundle.Exec(
      {"sh", "-c", "id -u; echo again >/dev/stdout; cat /proc/self/uid_map | tr -s ' '"});
  REQUIRE(result.ok());
  CHECK(result->out == "1000\nagain\n 0 200000 65536\n");
  auto session = shim_client::ExecSession::Open(bundle.path(), {"tty"}, true, {}, DeadlineIn(5000));
  INFO(session.status());
  REQUIRE(session.ok());
  CHECK(*session->Wait(DeadlineIn(5000)) == 0);
}

}  // namespace crisp::test
