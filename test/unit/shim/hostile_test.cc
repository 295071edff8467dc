// Hostile images and volumes. Each container either fails with a clear error or runs and does no
// harm; nothing outside of the rootfs ever changes. Hostile links point to the canary, a directory
// of the host, by its absolute path or by enough "..".
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "bundle.h"
#include "linux/process_ref.h"

namespace crisp::test {
namespace {

std::string Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "re");
  REQUIRE(pipe != nullptr);
  std::string text = Drain(fileno(pipe));
  pclose(pipe);
  return text;
}

// A directory on the host, and the kernel settings that a hostile mount could reach; neither may
// have changed at the end.
class Canary {
 public:
  explicit Canary(const Bundle& bundle) : path_(bundle.path() + ".canary") {
    REQUIRE(base::MakeDirs(path_ + "/directory", 0755).ok());
    REQUIRE(base::WriteFileAtomic(path_ + "/file", "canary\n", 0644).ok());
    REQUIRE(mknod((path_ + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0);
    before_ = State();
  }
  ~Canary() {
    CHECK(State() == before_);
    (void)base::RemoveTree(path_);
  }
  const std::string& path() const { return path_; }
  // The canary by way of "..", from any directory in a rootfs.
  std::string Up() const { return absl::StrCat("../../../../../../../../../..", path_); }

 private:
  std::string State() const {
    return Output(absl::StrCat(
        "find ", path_, " -printf '%p %m %u %g %y %s %C@ %l\\n' | sort; cat ", path_,
        "/file; grep -c . /proc/self/mountinfo; cat /proc/sys/kernel/core_pattern "
        "/proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; "
        "stat -c '%a %u %t %T' /dev/null"));
  }
  std::string path_;
  std::string before_;
};

// Makes `name` in the image a link to `target`.
void Link(const Bundle& bundle, const std::string& name, const std::string& target) {
  const std::string path = base::JoinPath(bundle.upper(), name);
  REQUIRE(base::MakeDirs(path.substr(0, path.rfind('/')), 0755).ok());
  REQUIRE(symlink(target.c_str(), path.c_str()) == 0);
}

// Starts the container and waits for its end; returns its log, or "refused: " and the error.
std::string Try(Bundle& bundle, const oci::Spec& spec) {
  const absl::StatusOr<shim::v1::Started> started = bundle.Start(spec);
  const absl::StatusOr<ipc::ExitRecord> fact = bundle.WaitExit();
  if (!started.ok()) return absl::StrCat("refused: ", std::string(started.status().message()));
  CHECK(fact.ok());
  return bundle.LogText();
}

// Makes `name` in the image a link to `target`, instead of what the base layer has there.
void Replace(const Bundle& bundle, const std::string& name, const std::string& target) {
  REQUIRE(system(absl::StrCat("rm -rf ", bundle.upper(), "/", name).c_str()) == 0);
  REQUIRE(symlink(target.c_str(), base::JoinPath(bundle.upper(), name).c_str()) == 0);
}

}  // namespace

TEST_CASE("an image in which /dev, /proc or /sys is a link is refused", "[shim][hostile]") {
  for (const char* name : {"dev", "proc", "sys"}) {
    for (const bool absolute : {true, false}) {
      Bundle bundle;
      Canary canary(bundle);
      Replace(bundle, name, absolute ? canary.path() : canary.Up());
      CHECK(Try(bundle, ShellSpec("echo ran")) ==
            absl::StrCat("refused: mounts: /", name,
                         " must be an ordinary directory in the image: not a directory (ENOTDIR)"));
    }
    Bundle inside;
    Canary canary(inside);
    REQUIRE(mkdir((inside.upper() + "/elsewhere").c_str(), 0755) == 0);
    Replace(inside, name, "/elsewhere");
    CHECK(absl::StartsWith(Try(inside, ShellSpec("echo ran")), "refused: mounts: /"));
  }
}

TEST_CASE("links below /dev in the image are hidden by the container's own /dev",
          "[shim][hostile]") {
  Bundle bundle;
  Canary canary(bundle);
  for (const char* name : {"dev/pts", "dev/shm", "dev/mqueue", "dev/null", "dev/console"}) {
    Link(bundle, name, canary.path());
  }
  CHECK(Try(bundle, ShellSpec("echo ran >/dev/null; ls -d /dev/pts/ptmx")) == "/dev/pts/ptmx\n");
}

TEST_CASE("mount destinations that lead through links stay inside the rootfs", "[shim][hostile]") {
  for (const bool absolute : {true, false}) {
    Bundle bundle;
    Canary canary(bundle);
    const std::string target = absolute ? canary.path() : canary.Up();
    Replace(bundle, "etc", target);    // a directory that is not in the rootfs
    Link(bundle, "run/link", target);  // dangling
    Link(bundle, "run/file", target + "/file");
    const std::string source = bundle.path() + ".source";
    REQUIRE(base::WriteFileAtomic(source, "mounted\n", 0644).ok());
    oci::Spec spec = ShellSpec("cat /etc/resolv.conf /run/file; ls /run/link/deep -d");
    spec.mounts.push_back({"/etc/resolv.conf", "bind", source, {"bind"}, {}, {}});
    spec.mounts.push_back({"/run/file", "bind", source, {"bind"}, {}, {}});
    spec.mounts.push_back({"/run/link/deep", "tmpfs", "tmpfs", {}, {}, {}});
    CHECK(Try(bundle, spec) == "mounted\nmounted\n/run/link/deep\n");
    REQUIRE(unlink(source.c_str()) == 0);
  }
}

TEST_CASE("a loop or too long a chain of links is refused", "[shim][hostile]") {
  Bundle bundle;
  Canary canary(bundle);
  Link(bundle, "a", "/b/x");
  Link(bundle, "b", "/a/y");
  std::string deep;
  for (int i = 0; i < 60; ++i) {
    Link(bundle, absl::StrCat("chain", i), i == 59 ? "/missing" : absl::StrCat("/chain", i + 1));
  }
  oci::Spec spec = ShellSpec("echo ran");
  spec.mounts.push_back({"/a/mount", "tmpfs", "tmpfs", {}, {}, {}});
  CHECK(Try(bundle, spec) ==
        "refused: mounts: /a/mount: too many levels of symbolic links (ELOOP)");
  spec.mounts.back().destination = "/chain0";
  Bundle second;
  REQUIRE(system(absl::StrCat("cp -a ", bundle.upper(), "/. ", second.upper()).c_str()) == 0);
  CHECK(Try(second, spec) == "refused: mounts: /chain0: too many levels of symbolic links (ELOOP)");
}

TEST_CASE("relative, empty and root destinations and those with .. are refused",
          "[shim][hostile]") {
  for (const char* destination :
       {"/../../tmp/x", "/tmp/../../x", "relative", "", "/", "//", "/./"}) {
    Bundle bundle;
    Canary canary(bundle);
    oci::Spec spec = ShellSpec("echo ran");
    spec.mounts.push_back({destination, "tmpfs", "tmpfs", {}, {}, {}});
    INFO(destination);
    CHECK(absl::StartsWith(Try(bundle, spec), "refused: spec: mounts.destination: "));
  }
}

TEST_CASE("nothing can be mounted over procfs, by name or through a link", "[shim][hostile]") {
  struct Case {
    const char* destination;
    const char* link_to;  // /link, when the destination uses it
  };
  const Case cases[] = {{"/proc", ""},
                        {"/proc/self/attr", ""},
                        {"/proc/sys", ""},
                        {"/proc/sys/kernel", ""},
                        {"/proc/1", ""},
                        {"/proc/sysrq-trigger", ""},
                        {"/link", "/proc"},
                        {"/link", "/proc/self"},
                        {"/link/attr", "/proc/self"},
                        {"/link/kernel", "proc/sys"},
                        {"/link", "/proc/self/cwd/sub"},
                        {"/link/x", "/proc/1/root"},
                        {"/link", "/proc/self/fd/3"}};
  for (const Case& c : cases) {
    Bundle bundle;
    Canary canary(bundle);
    if (c.link_to[0] != '\0') Link(bundle, "link", c.link_to);
    oci::Spec spec = ShellSpec("echo ran");
    spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
    spec.mounts.push_back({c.destination, "bind", canary.path(), {"rbind"}, {}, {}});
    INFO(c.destination << " " << c.link_to);
    CHECK(absl::StartsWith(Try(bundle, spec), "refused: "));
  }
}

TEST_CASE("the files of procfs that lxcfs replaces can be bound over", "[shim][hostile]") {
  Bundle bundle;
  const std::string source = bundle.path() + ".source";
  REQUIRE(base::WriteFileAtomic(source, "mine\n", 0644).ok());
  oci::Spec spec = ShellSpec("cat /proc/meminfo");
  spec.mounts.push_back({"/proc/meminfo", "bind", source, {"bind"}, {}, {}});
  CHECK(Try(bundle, spec) == "mine\n");
  REQUIRE(unlink(source.c_str()) == 0);
}

TEST_CASE("links in a volume at /dev are neither followed nor replaced", "[shim][hostile]") {
  for (const char* target :
       {"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/passwd"}) {
    Bundle bundle;
    Canary canary(bundle);
    const std::string volume = bundle.path() + ".volume";
    REQUIRE(base::MakeDirs(volume, 0755).ok());
    for (const char* name : {"null", "console", "ptmx", "zero", "core", "fd"}) {
      REQUIRE(symlink(target, absl::StrCat(volume, "/", name).c_str()) == 0);
    }
    oci::Spec spec = ShellSpec("cat /proc/keys /proc/timer_list; echo ran");
    spec.mounts.resize(1);  // /proc
    spec.mounts.push_back({"/dev", "bind", volume, {"rbind"}, {}, {}});
    CHECK(Try(bundle, spec) == "ran\n");
    CHECK(Output(absl::StrCat("find ", volume, " -type l | wc -l; ls ", volume, " | wc -l")) ==
          "6\n6\n");
    REQUIRE(base::RemoveTree(volume).ok());
  }
}

// As when the host's /dev is the volume.
TEST_CASE("no device node is made or changed in a volume at /dev", "[shim][hostile]") {
  for (const char* access : {"ro", "rw"}) {
    Bundle bundle;
    Canary host(bundle);  // nothing in it may change
    oci::Spec spec = ShellSpec("ls /dev; stat -c '%a %u %t:%T' /dev/null");
    spec.mounts.resize(1);  // /proc
    spec.mounts.push_back({"/dev", "bind", host.path(), {"rbind", access}, {}, {}});
    spec.linux_.devices.push_back({"/dev/null", 'c', 1, 3, 0666, 1000, 1000});
    spec.linux_.devices.push_back({"/dev/renamed", 'c', 1, 5, 0666, 0, 0});
    spec.linux_.devices.push_back({"/dev/new/zero", 'c', 1, 5, 0666, 0, 0});
    INFO(access);
    CHECK(Try(bundle, spec) == "directory\nfile\nnull\n600 0 1:3\n");
  }
}

TEST_CASE("a device node that a volume below /dev has already is not changed", "[shim][hostile]") {
  for (const char* access : {"ro", "rw"}) {
    Bundle bundle;
    Canary host(bundle);
    oci::Spec spec = ShellSpec("stat -c '%a %u %t:%T' /dev/bus/usb/null");
    spec.mounts.push_back({"/dev/bus/usb", "bind", host.path(), {"rbind", access}, {}, {}});
    spec.linux_.devices.push_back({"/dev/bus/usb/null", 'c', 1, 3, 0666, 1000, 1000});
    INFO(access);
    CHECK(Try(bundle, spec) == "600 0 1:3\n");
    Bundle other;
    spec.linux_.devices.back().minor = 5;
    CHECK(Try(other, spec) ==
          "refused: devices: /dev/bus/usb/null: exists and is not the same device: file exists "
          "(EEXIST)");
    Bundle missing;
    spec.linux_.devices.back().path = "/dev/bus/usb/new";
    if (std::string(access) == "ro") {
      CHECK(Try(missing, spec) ==
            "refused: devices: /dev/bus/usb/new: read-only file system (EROFS)");
    }
  }
}

TEST_CASE("a terminal is refused when a volume replaces devpts", "[shim][hostile]") {
  for (const char* where : {"/dev/pts", "/dev"}) {
    Bundle bundle;
    Canary canary(bundle);
    const std::string volume = bundle.path() + ".volume";
    REQUIRE(base::MakeDirs(volume + "/pts", 0755).ok());
    for (const char* name : {"/ptmx", "/0", "/pts/ptmx", "/console"}) {
      REQUIRE(symlink((canary.path() + "/null").c_str(), (volume + name).c_str()) == 0);
    }
    oci::Spec spec = ShellSpec("echo ran");
    spec.process.terminal = true;
    spec.mounts.push_back({where, "bind", volume, {"rbind"}, {}, {}});
    INFO(where);
    CHECK(absl::StartsWith(Try(bundle, spec), "refused: console: /dev/pts/ptmx"));
    REQUIRE(base::RemoveTree(volume).ok());
  }
}

TEST_CASE("files and links of the image in the place of a device are not trusted",
          "[shim][hostile]") {
  Bundle bundle;
  Canary canary(bundle);
  bundle.AddFile("data/device", "no device");
  oci::Spec spec = ShellSpec("echo ran");
  spec.linux_.devices.push_back({"/data/device", 'c', 1, 3, {}, {}, {}});
  CHECK(Try(bundle, spec) ==
        "refused: devices: /data/device: exists and is not the same device: file exists (EEXIST)");
  Bundle linked;
  Link(linked, "data", canary.path());
  CHECK(Try(linked, spec) == "ran\n");
}

TEST_CASE("a working directory cannot lead out of the rootfs", "[shim][hostile]") {
  for (int fd = 3; fd < 40; fd += 1) {
    Bundle bundle;
    Canary canary(bundle);
    oci::Spec spec = ShellSpec("pwd; ls ../../../../../.. | grep -c canary");
    spec.process.cwd = absl::StrCat("/proc/self/fd/", fd);
    const std::string result = Try(bundle, spec);
    INFO(result);
    CHECK(result == absl::StrCat("refused: working directory: ", spec.process.cwd,
                                 ": too many levels of symbolic links (ELOOP)"));
  }
  Bundle linked;
  Canary canary(linked);
  Link(linked, "work", "/proc/self/fd/7");
  oci::Spec spec = ShellSpec("pwd");
  spec.process.cwd = "/work";
  CHECK(absl::StartsWith(Try(linked, spec), "refused: working directory: "));
  Bundle up;
  Link(up, "up", canary.Up());
  spec.process.cwd = "/up/../../..";
  CHECK(Try(up, spec) == "/\n");
  Bundle made;
  Link(made, "up", canary.Up() + "/new");
  spec.process.cwd = "/up/deep";
  CHECK(Try(made, spec) == canary.path() + "/new/deep\n");
}

TEST_CASE("no descriptor leads to a program or interpreter of the host (CVE-2024-21626)",
          "[shim][hostile]") {
  const std::string outside = WorkDirectory() + "/layer/bin/busybox";
  for (int fd = 3; fd < 24; ++fd) {
    // Descriptors the builder has: /proc/<pid> of the sandbox, cgroup and bundle directories.
    for (const char* up : {"root", "..", "../../../../../.."}) {
      const std::string program = absl::StrCat("/proc/self/fd/", fd, "/", up, outside);
      Bundle bundle;
      bundle.request().set_sandbox_pid(getpid());
      bundle.request().set_sandbox_start_ticks(linux::ProcessRef::Of(getpid())->start_ticks);
      INFO(program);
      CHECK(absl::StartsWith(Try(bundle, DefaultSpec({program, "echo", "ESCAPED"})),
                             "refused: exec: "));
      if (up[0] != 'r') continue;
      Bundle script;
      script.request().set_sandbox_pid(getpid());
      script.request().set_sandbox_start_ticks(linux::ProcessRef::Of(getpid())->start_ticks);
      script.AddFile("script", absl::StrCat("#!", program, " echo\n"));
      CHECK(absl::StartsWith(Try(script, DefaultSpec({"/script"})), "refused: exec: "));
    }
  }
}

// With a sanitizer the shim is linked dynamically and fails for a library that the container lacks.
TEST_CASE("a container cannot run or overwrite crisp-shim through /proc/self/exe",
          "[shim][hostile]") {
  const std::string before = Output("sha256sum < " CRISP_SHIM);
  for (const char* name : {"/proc/self/exe", "/exe", "/script"}) {
    Bundle bundle;
    Canary canary(bundle);
    Link(bundle, "exe", "/proc/self/exe");
    bundle.AddFile("script", "#!/proc/self/exe\n");
    oci::Spec spec = DefaultSpec({name, "x", "y"});
    const std::string result = Try(bundle, spec);
    INFO(name << " " << result);
    CHECK((absl::StartsWith(result, "refused: exec: ") || absl::StrContains(result, "usage") ||
           absl::StrContains(result, "libasan")));
  }
  Bundle bundle;
  REQUIRE(bundle
              .Start(ShellSpec("while true; do for e in /proc/[0-9]*/exe; do "
                               "sh -c \"echo evil > $e\" 2>/dev/null && echo wrote $e; done; done"))
              .ok());
  for (int i = 0; i < 100; ++i) (void)bundle.Exec({i % 2 == 0 ? "/proc/self/exe" : "true"});
  bundle.Kill();
  REQUIRE(bundle.WaitExit().ok());
  CHECK(Output("sha256sum < " CRISP_SHIM) == before);
}

TEST_CASE("no descriptor of the host reaches init or an exec", "[shim][hostile]") {
  Bundle bundle;
  oci::Spec spec = ShellSpec("ls /proc/self/fd | wc -l; while true; do sleep 1; done");
  REQUIRE(bundle.Start(spec).ok());
  CHECK(Await(bundle.log_path(), [](const std::string& text) {
          return !text.empty();
        }).find(" F 4\n") != std::string::npos);
  const auto result =
      bundle.Exec({"sh", "-c", "ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -c crisp"});
  REQUIRE(result.ok());
  CHECK(result->out == "4\n0\n");
}

TEST_CASE("a mount point that is renamed during the start stays inside the rootfs",
          "[shim][hostile][race]") {
  Bundle attacker;
  Canary canary(attacker);
  const std::string volume = attacker.path() + ".volume";
  REQUIRE(base::MakeDirs(volume + "/real", 0755).ok());
  REQUIRE(symlink(canary.path().c_str(), (volume + "/evil").c_str()) == 0);
  oci::Spec spec = ShellSpec(
      "cd /volume; while true; do mv -T real place 2>/dev/null; mv -T place real 2>/dev/null; "
      "mv -T evil place 2>/dev/null; mv -T place evil 2>/dev/null; done");
  spec.mounts.push_back({"/volume", "bind", volume, {"rbind"}, {}, {}});
  REQUIRE(attacker.Start(spec).ok());
  for (int i = 0; i < 60; ++i) {
    Bundle bundle;
    oci::Spec victim = ShellSpec("true");
    victim.mounts.push_back({"/volume", "bind", volume, {"rbind"}, {}, {}});
    victim.mounts.push_back({"/volume/place/made/here", "tmpfs", "tmpfs", {}, {}, {}});
    (void)Try(bundle, victim);
  }
  attacker.Kill();
  REQUIRE(attacker.WaitExit().ok());
  REQUIRE(base::RemoveTree(volume).ok());
}

}  // namespace crisp::test
