// Images whose files and directories are not what a runtime expects to find there: /etc/passwd,
// /dev, /proc, /sys, /etc and the program itself.
#include <elf.h>
#include <sys/stat.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "fakes/tar_builder.h"
#include "test/fault/hostile/target.h"
#include "test/fault/hostile/watch.h"

namespace crisp::hostile {
namespace {

using snapshot::TarBuilder;
using snapshot::TarItem;

constexpr char kUserFiles[] = "layers/image_users.cc";
constexpr char kTrusted[] = "shim/child/mounts.cc OpenPlace";
constexpr char kMountTarget[] = "shim/child/rootfs.cc OpenInside";
constexpr char kSomeone[] = R"({"User":"someone"})";
constexpr absl::Duration kSoon = absl::Seconds(3);

// The image's user is looked up in what `layer` has for a passwd, which must neither take long nor
// much memory (watch.h), nor show what is behind it.
Outcome LookUp(Target& target, const std::string& layer) {
  const std::string reference = target.Publish({layer}, kSomeone);
  if (const grpc::Status status = target.Pull(reference); !status.ok()) {
    return target.Refused(status);
  }
  target.ThePod();
  const absl::Time begin = absl::Now();
  Ended ended;
  const grpc::Status status = target.Run(target.ContainerConfig(reference, {"ids"}), &ended);
  const absl::Duration took = absl::Now() - begin;
  Demand(took < kSoon, "the look-up took " + absl::FormatDuration(took));
  if (!status.ok()) return target.Refused(status);
  return {Outcome::kHarmless, ended.output.substr(0, ended.output.find('\n'))};
}

// A GNU sparse file (PAX format 1.0) without data.
std::string Sparse(const std::string& name, uint64_t size) {
  const std::string map = "0\n" + std::string(510, '\0');
  return TarBuilder()
      .Header('x', "p",
              TarBuilder::PaxBody({{"GNU.sparse.major", "1"},
                                   {"GNU.sparse.minor", "0"},
                                   {"GNU.sparse.name", name},
                                   {"GNU.sparse.realsize", absl::StrCat(size)}}))
      .File(name, map)
      .Done();
}

std::string ManyGroups(int count) {
  std::string groups;
  for (int i = 0; i < count; ++i) absl::StrAppend(&groups, "g", i, ":x:", i + 1, ":someone\n");
  return snapshot::Gzip(TarBuilder()
                            .File("etc/passwd", "someone:x:1000:1000::/:/bin/sh\n")
                            .File("etc/group", groups)
                            .Done());
}

Case Passwd(const std::string& what, std::function<std::string(Target&)> layer) {
  return {.name = "rootfs: passwd is " + what + " (CVE-2025-4437, CVE-2026-47262)",
          .run = [layer](Target& t) { return LookUp(t, layer(t)); },
          .check = kUserFiles};
}

std::vector<Case> UserFiles() {
  const auto link = [](const std::string& to) {
    return [=](Target&) { return TarBuilder().Link("etc/passwd", to).Done(); };
  };
  return {
      Passwd("8 GiB without data", [](Target&) { return Sparse("etc/passwd", uint64_t{8} << 30); }),
      Passwd("a link to /dev/zero", link("/dev/zero")),
      Passwd("a link to the kernel's log", link("/proc/kmsg")),
      Passwd("a link out of the root", link("../../../../../../etc/shadow")),
      Passwd(
          "a link to the canary",
          [](Target& t) { return TarBuilder().Link("etc/passwd", t.Canary() + "/secret").Done(); }),
      Passwd("a link to itself", link("passwd")),
      Passwd("a FIFO", [](Target&) { return TarBuilder().Typed("etc/passwd", '6').Done(); }),
      Passwd("a directory", [](Target&) { return TarBuilder().Dir("etc/passwd").Done(); }),
      Passwd("the device zero",
             [](Target&) { return TarBuilder().Device("etc/passwd", '3', 1, 5).Done(); }),
      Passwd("one line of 64 MiB",
             [](Target&) {
               return snapshot::Gzip(
                   TarBuilder().File("etc/passwd", std::string(64 << 20, 'x')).Done());
             }),
      {.name = "rootfs: a user in a million groups",
       .run = [](Target& t) { return LookUp(t, ManyGroups(1'000'000)); },
       .check = "spec/user.cc kMaxGroups"},
      {.name = "rootfs: a user in 65,537 groups",
       .run = [](Target& t) { return LookUp(t, ManyGroups(65'537)); },
       .check = "spec/user.cc kMaxGroups"},
  };
}

// /dev is as it should be, or the runtime refuses; the host is looked at by the runner.
Outcome DevOrRefused(Target& target, const std::string& layer) {
  return target.FactsOrRefused(target.Publish({layer}),
                               {"device dev/null 1 3", "device dev/zero 1 5", "type dev/pts d",
                                "type dev/shm d", "mode dev/null 666"});
}

Case Dev(const std::string& what, Allowed of_crisp, std::function<TarBuilder(Target&)> layer) {
  return {.name = "rootfs: " + what,
          .run = [layer](Target& t) { return DevOrRefused(t, layer(t).Done()); },
          .check = kTrusted,
          .of_crisp = of_crisp};
}

std::vector<Case> Devices() {
  return {
      Dev("/dev is a symlink to a directory of the host (CVE-2026-41579, CVE-2026-47766)",
          Allowed::kRefused, [](Target& t) { return TarBuilder().Link("dev", t.Canary()); }),
      Dev("/dev is a relative symlink out of the root (CVE-2026-41579)", Allowed::kRefused,
          [](Target& t) { return TarBuilder().Link("dev", "../../../../../.." + t.Canary()); }),
      Dev("/dev is a symlink to a directory of the image", Allowed::kRefused,
          [](Target&) { return TarBuilder().Dir("d").Link("dev", "d"); }),
      Dev("/dev is a file", Allowed::kRefused, [](Target&) { return TarBuilder().File("dev"); }),
      Dev("/dev/null is a symlink to core_pattern (CVE-2025-31133)", Allowed::kHarmless,
          [](Target&) {
            return TarBuilder().Dir("dev").Link("dev/null", "/proc/sys/kernel/core_pattern");
          }),
      Dev("/dev/console is a symlink to the canary (CVE-2025-52565)", Allowed::kHarmless,
          [](Target& t) {
            return TarBuilder().Dir("dev").Link("dev/console", t.Canary() + "/secret");
          }),
      Dev("/dev/pts and /dev/ptmx are symlinks to the canary (CVE-2025-52565)", Allowed::kHarmless,
          [](Target& t) {
            return TarBuilder()
                .Dir("dev")
                .Link("dev/pts", t.Canary())
                .Link("dev/ptmx", t.Canary() + "/new");
          }),
      Dev("/dev/shm and /dev/mqueue are symlinks to the canary", Allowed::kHarmless,
          [](Target& t) {
            return TarBuilder()
                .Dir("dev")
                .Link("dev/shm", t.Canary())
                .Link("dev/mqueue", t.Canary());
          }),
  };
}

// Real procfs where the program looks for it, and what must not be written cannot be.
Outcome ProcOrRefused(Target& target, const TarBuilder& layer) {
  Ended ended;
  const std::string core_pattern = "/proc/sys/kernel/core_pattern";
  const grpc::Status status = target.PullAndRun(
      target.Publish({layer.Done()}),
      {"ids", "--", "openw", core_pattern, "/proc/sysrq-trigger", "/sys/kernel/profiling"}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(absl::StartsWith(ended.output, "Uid:\t0"), "/proc is not procfs: " + ended.output);
  Demand(!absl::StrContains(ended.output, "\nopened "), "can be written: " + ended.output);
  return {Outcome::kHarmless, "/proc is real, and closed where it should be"};
}

Case Proc(const std::string& what, Allowed of_crisp, std::function<TarBuilder(Target&)> layer) {
  return {.name = "rootfs: " + what + " (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561)",
          .run = [layer](Target& t) { return ProcOrRefused(t, layer(t)); },
          .check = kTrusted,
          .of_crisp = of_crisp};
}

std::vector<Case> ProcAndSys() {
  return {
      Proc("/proc is a symlink to a directory of the image", Allowed::kRefused,
           [](Target&) { return TarBuilder().Dir("p").Link("proc", "p"); }),
      Proc("/proc is a symlink to the canary", Allowed::kRefused,
           [](Target& t) { return TarBuilder().Link("proc", t.Canary()); }),
      Proc("/proc is a directory with a false self", Allowed::kHarmless,
           [](Target&) {
             return TarBuilder()
                 .Dir("proc/self/attr")
                 .File("proc/self/attr/exec")
                 .File("proc/self/status");
           }),
      Proc("/sys is a symlink to a directory of the image", Allowed::kRefused,
           [](Target&) { return TarBuilder().Dir("s").Link("sys", "s"); }),
      Proc("/sys is a symlink to /proc/sys", Allowed::kRefused,
           [](Target&) { return TarBuilder().Link("sys", "/proc/sys"); }),
      Proc("/proc and /sys are each other", Allowed::kRefused,
           [](Target&) { return TarBuilder().Link("proc", "sys").Link("sys", "proc"); }),
  };
}

// The files that a runtime writes or mounts for a pod.
Outcome PodFiles(Target& target, const std::string& layer) {
  Ended ended;
  const grpc::Status status = target.PullAndRun(
      target.Publish({layer}),
      {"cat", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(!absl::StrContains(ended.output, target.Secret()), "it has read the host");
  return {Outcome::kHarmless, "nothing of the host is inside"};
}

Case Etc(const std::string& what, std::function<TarBuilder(Target&)> layer) {
  return {.name = "rootfs: " + what,
          .run = [layer](Target& t) { return PodFiles(t, layer(t).Done()); },
          .check = kMountTarget};
}

std::vector<Case> EtcFiles() {
  std::vector<Case> cases = {
      Etc("/etc is a symlink to the canary (CVE-2024-5154)",
          [](Target& t) { return TarBuilder().Link("etc", t.Canary()); }),
      Etc("/etc is a relative symlink out of the root (CVE-2024-5154)",
          [](Target& t) { return TarBuilder().Link("etc", "../../../../../.." + t.Canary()); }),
      Etc("/etc is a file", [](Target&) { return TarBuilder().File("etc"); }),
  };
  for (const std::string name : {"hosts", "hostname", "resolv.conf", "mtab"}) {
    cases.push_back(Etc(
        "/etc/" + name + " is a symlink to a file of the host (CVE-2024-5154)", [name](Target& t) {
          return TarBuilder().Dir("etc").Link("etc/" + name, t.Canary() + "/secret");
        }));
    cases.push_back(
        Etc("/etc/" + name + " is a symlink to a new file of the host", [name](Target& t) {
          return TarBuilder().Dir("etc").Link("etc/" + name, t.Canary() + "/new");
        }));
  }
  return cases;
}

std::string FactsOfFile(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "missing";
  return absl::StrFormat("%d %d %d.%d", info.st_ino, info.st_size, info.st_mtim.tv_sec,
                         info.st_mtim.tv_nsec);
}

// A program of the image that is, or leads to, the runtime's own program.
Outcome RuntimeAsProgram(Target& target, const TarBuilder& layer, const std::string& run) {
  const std::string runtime =
      absl::StrCat("/proc/", ListenerOf(target.endpoint().socket()), "/exe");
  const std::string before = FactsOfFile(runtime);
  Ended ended;
  const grpc::Status status = target.PullAndRun(target.Publish({layer.Done()}, run), {}, &ended);
  Demand(FactsOfFile(runtime) == before, "the runtime's program has changed");
  if (!status.ok()) return target.Refused(status);
  Demand(!absl::StrContains(ended.output, target.Secret()), "it has read the host");
  return {Outcome::kHarmless, absl::StrCat("ended with ", ended.exit_code)};
}

// An executable without code whose program interpreter is `path`.
std::string ElfWithInterpreter(const std::string& path) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
#if defined(__aarch64__)
  header.e_machine = EM_AARCH64;
#else
  header.e_machine = EM_X86_64;
#endif
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(header);
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  Elf64_Phdr programs[2] = {};
  programs[0].p_type = PT_INTERP;
  programs[0].p_offset = sizeof(header) + sizeof(programs);
  programs[0].p_filesz = programs[0].p_memsz = path.size() + 1;
  programs[0].p_flags = PF_R;
  programs[1].p_type = PT_LOAD;
  programs[1].p_filesz = programs[1].p_memsz = programs[0].p_offset + path.size() + 1;
  programs[1].p_flags = PF_R | PF_X;
  programs[1].p_align = 0x1000;
  std::string file(reinterpret_cast<const char*>(&header), sizeof(header));
  file.append(reinterpret_cast<const char*>(programs), sizeof(programs));
  return file + path + '\0';
}

TarBuilder Executable(const std::string& body) {
  TarItem item;
  item.name = "run";
  item.mode = 0755;
  item.body = body;
  return TarBuilder().Add(item);
}

Outcome InterpreterIsADescriptor(Target& target) {
  Outcome outcome;
  for (int fd = 3; fd <= 12; ++fd) {
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    outcome = RuntimeAsProgram(target, Executable(ElfWithInterpreter(path)),
                               R"({"Entrypoint":["/run"]})");
  }
  return outcome;
}

std::vector<Case> Programs() {
  const char kExec[] = "shim/child/program.cc execve; shim_client/launcher.cc sealed memfd";
  return {
      {.name = "rootfs: the program is /proc/self/exe (CVE-2019-5736)",
       .run =
           [](Target& t) {
             return RuntimeAsProgram(t, TarBuilder().File("f"),
                                     R"({"Entrypoint":["/proc/self/exe"]})");
           },
       .check = kExec},
      {.name = "rootfs: the program is a symlink to /proc/self/exe (CVE-2019-5736)",
       .run =
           [](Target& t) {
             return RuntimeAsProgram(t, TarBuilder().Link("run", "/proc/self/exe"),
                                     R"({"Entrypoint":["/run"]})");
           },
       .check = kExec},
      {.name = "rootfs: the program is a script for /proc/self/exe (CVE-2019-5736)",
       .run =
           [](Target& t) {
             return RuntimeAsProgram(t, Executable("#!/proc/self/exe\n"),
                                     R"({"Entrypoint":["/run"]})");
           },
       .check = kExec},
      {.name = "rootfs: the program's interpreter is a descriptor from 3 to 12",
       .run = InterpreterIsADescriptor,
       .check = kExec},
      {.name = "rootfs: the program is a FIFO",
       .run =
           [](Target& t) {
             return RuntimeAsProgram(t, TarBuilder().Typed("run", '6'),
                                     R"({"Entrypoint":["/run"]})");
           },
       .check = kExec},
  };
}

}  // namespace

std::vector<Case> RootfsCases() {
  std::vector<Case> cases;
  for (const std::vector<Case>& group :
       {UserFiles(), Devices(), ProcAndSys(), EtcFiles(), Programs()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

}  // namespace crisp::hostile
