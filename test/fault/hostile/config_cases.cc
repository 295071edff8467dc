// Image configs: users, programs, environments, signals, working directories and volumes.
#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "fakes/tar_builder.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {
namespace {

using snapshot::TarBuilder;

constexpr char kUser[] = "spec/user.cc LookUpUser";
constexpr char kWorkdir[] = "shim/child/program.cc EnterWorkdir";
constexpr char kVolumePaths[] = "spec/container_mounts.cc DeclaredPaths";
constexpr char kVolumes[] = "layers/declared_volumes.cc MakeVolume";

std::string Users() {
  return TarBuilder()
      .File("etc/passwd",
            "root:x:0:0::/root:/bin/sh\n"
            "app:x:1000:2000::/home/app:/bin/sh\n"
            "1000:x:0:0::/root:/bin/sh\n")
      .File("etc/group", "root:x:0:\napp:x:2000:\nextra:x:3000:app\n")
      .Done();
}

std::string UserConfig(const std::string& user) { return "{\"User\":\"" + user + "\"}"; }

// An image whose passwd and group have `user` as the name of root.
Outcome RootByName(Target& target, const std::string& user) {
  std::string name = user.substr(0, user.find(':'));
  const std::string layer = TarBuilder()
                                .File("etc/passwd", name + ":x:0:0::/root:/bin/sh\n")
                                .File("etc/group", user.substr(user.find(':') + 1) + ":x:0:\n")
                                .Done();
  Ended ended;
  return target.Refused(
      target.PullAndRun(target.Publish({layer}, UserConfig(user)), {"ids"}, &ended));
}

Case NumericUser(const std::string& user) {
  return {.name = absl::StrCat("config: user ", user,
                               ", which passwd has as the name of root (CVE-2024-40635, "
                               "CVE-2026-46680)"),
          .allowed = Allowed::kRefused,
          .run = [=](Target& t) { return RootByName(t, user); },
          .check = "spec/user.cc ParseId"};
}

// "Uid:\t0\t0\t0\t0" and so on.
std::set<std::string> LinesOf(const std::string& output) {
  return absl::StrSplit(output, '\n', absl::SkipEmpty());
}

// Effective ids are those of a table made by hand.
Outcome ValidUsers(Target& target) {
  const struct {
    const char* user;
    const char* uid;
    const char* gid;
    const char* groups;
  } kTable[] = {
      {"", "0", "0", "0 "},
      {"0", "0", "0", "0 "},
      {"root", "0", "0", "0 "},
      {"app", "1000", "2000", "2000 3000 "},
      {"1000", "1000", "2000", ""},
      {"1234", "1234", "0", "0 "},
      {"app:0", "1000", "0", ""},
      {"app:extra", "1000", "3000", ""},
      {"1234:77", "1234", "77", "77 "},
      {"2147483647", "2147483647", "0", "0 "},
  };
  for (const auto& row : kTable) {
    Ended ended;
    const grpc::Status status =
        target.PullAndRun(target.Publish({Users()}, UserConfig(row.user)), {"ids"}, &ended);
    Demand(status.ok(), absl::StrCat("user \"", row.user, "\": ", Words(status)));
    const std::set<std::string> lines = LinesOf(ended.output);
    const auto four = [](const char* id) { return absl::StrJoin({id, id, id, id}, "\t"); };
    Demand(lines.contains(absl::StrCat("Uid:\t", four(row.uid))) &&
               lines.contains(absl::StrCat("Gid:\t", four(row.gid))),
           absl::StrCat("user \"", row.user, "\" became ", ended.output));
    const std::string groups = absl::StrCat("Groups:\t", row.groups);
    Demand(row.groups[0] == '\0' || lines.contains(groups),
           absl::StrCat("user \"", row.user, "\" has ", ended.output));
  }
  return {Outcome::kHarmless, absl::StrCat(std::size(kTable), " users are who they should be")};
}

Outcome InvalidUsers(Target& target) {
  Outcome outcome;
  for (const char* user :
       {"1:2:3", " 0", "0x0", "+0", "-0", "nobody-here", "app:nogroup", "0 ", "root\\u0000x"}) {
    Ended ended;
    try {
      outcome = target.Refused(
          target.PullAndRun(target.Publish({Users()}, UserConfig(user)), {"ids"}, &ended));
    } catch (const Broken& broken) {
      throw Broken(absl::StrCat("user \"", user, "\": ", broken.what(), " ", ended.output));
    }
  }
  return outcome;
}

std::vector<Case> UserCases() {
  std::vector<Case> cases = {
      {.name = "config: valid users of ten forms are who they should be (CVE-2026-30892, "
               "CVE-2023-25173)",
       .allowed = Allowed::kHarmless,
       .run = ValidUsers,
       .check = "spec/user.cc ResolveUser"},
      {.name = "config: users of nine invalid forms",
       .allowed = Allowed::kRefused,
       .run = InvalidUsers,
       .check = kUser},
  };
  for (const char* user : {"2147483648", "4294967295", "4294967296", "-1", "99999999999999999999",
                           "0:4294967296", "0:-1"}) {
    cases.push_back(NumericUser(user));
  }
  return cases;
}

// Whether the canary can be read from where the program starts.
Outcome NoWayOut(Target& target, const std::vector<std::string>& layers, const std::string& run) {
  Ended ended;
  const std::string up = "../../../../../../../../../../../.." + target.Canary() + "/secret";
  const grpc::Status status =
      target.PullAndRun(target.Publish(layers, run), {"cwd", "--", "cat", up}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(!absl::StrContains(ended.output, target.Secret()),
         "it has read the host: " + ended.output);
  Demand(!absl::StartsWith(ended.output, "(unreachable)"), "it starts outside: " + ended.output);
  return {Outcome::kHarmless, "it starts in " + ended.output.substr(0, ended.output.find('\n'))};
}

Outcome DescriptorAsWorkdir(Target& target, int first, int last) {
  Outcome outcome;
  for (int fd = first; fd <= last; ++fd) {
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    outcome = NoWayOut(target, {}, "{\"WorkingDir\":\"" + path + "\"}");
    outcome = NoWayOut(target, {TarBuilder().Link("w", path).Done()}, R"({"WorkingDir":"/w"})");
  }
  return outcome;
}

Case Workdir(const std::string& what, const std::string& directory) {
  return {
      .name = "config: the working directory is " + what,
      .run = [=](Target& t) { return NoWayOut(t, {}, "{\"WorkingDir\":\"" + directory + "\"}"); },
      .check = kWorkdir};
}

// The volume's path, and what the image has there, must bring nothing of the host inside.
Outcome VolumeOver(Target& target, const std::string& layer, const std::string& volume,
                   const std::string& inside) {
  Ended ended;
  const grpc::Status status = target.PullAndRun(
      target.Publish({layer}, "{\"Volumes\":{\"" + volume + "\":{}}}"),
      {"list", inside, "--", "cat", inside + "/secret", target.Canary() + "/secret"}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(!absl::StrContains(ended.output, target.Secret()), "it has read the host");
  Demand(!LinesOf(ended.output).contains("sub"), "it has listed the canary");
  return {Outcome::kHarmless, "nothing of the host is inside"};
}

// A volume at a link of the image takes nothing away from the container: `directory`, to which the
// link leads, still has `name`.
Case VolumeThroughLink(const std::string& directory, const std::string& name, bool pod_mount) {
  const auto run = [=](Target& target) {
    const std::string reference =
        target.Publish({TarBuilder().Link("x", directory).Done()}, R"({"Volumes":{"/x":{}}})");
    if (const grpc::Status status = target.Pull(reference); !status.ok()) {
      return target.Refused(status);
    }
    target.ThePod();
    auto config = target.ContainerConfig(reference, {"list", directory});
    if (pod_mount) {
      auto* mount = config.add_mounts();
      mount->set_host_path(target.Canary());
      mount->set_container_path(directory);
    }
    Ended ended;
    const grpc::Status status = target.Run(config, &ended);
    if (!status.ok()) return target.Refused(status);
    Demand(LinesOf(ended.output).contains(name), "the volume hides it: " + ended.output);
    return Outcome{Outcome::kHarmless, name + " is there"};
  };
  return {.name = "config: a volume at a symlink to " + directory + (pod_mount ? ", a mount" : ""),
          .run = run,
          .check = kVolumePaths};
}

std::vector<Case> PathCases() {
  return {
      VolumeThroughLink("/dev", "null", false),
      VolumeThroughLink("/sys", "kernel", false),
      VolumeThroughLink("/", "probe", false),
      VolumeThroughLink("/data", "sub", true),
      {.name = "config: the working directory is a descriptor from 3 to 12 (CVE-2024-21626)",
       .run = [](Target& t) { return DescriptorAsWorkdir(t, 3, 12); },
       .check = kWorkdir},
      {.name = "config: the working directory is a descriptor from 13 to 64 (CVE-2024-21626)",
       .run = [](Target& t) { return DescriptorAsWorkdir(t, 13, 64); },
       .check = kWorkdir,
       .slow = true},
      Workdir("relative", "a/b"),
      Workdir("above the root", "/../../../../../../../.."),
      Workdir("relative and above the root", "../../../../../../../.."),
      Workdir("the root of another process", "/proc/1/root"),
      Workdir("a file", "/probe"),
      {.name = "config: a volume at the canary by .. (CVE-2022-23648)",
       .run =
           [](Target& t) {
             return VolumeOver(t, TarBuilder().File("f").Done(),
                               "/../../../../../../../.." + t.Canary(), t.Canary());
           },
       .check = kVolumes},
      {.name = "config: a volume at a symlink to the canary (CVE-2022-23648)",
       .run =
           [](Target& t) {
             return VolumeOver(t, TarBuilder().Link("v", t.Canary()).Done(), "/v", "/v");
           },
       .check = kVolumes},
      {.name = "config: a volume with a symlink above it to the host's root (CVE-2022-23648)",
       .run =
           [](Target& t) {
             return VolumeOver(t, TarBuilder().Link("v", "../../../../../..").Done(),
                               "/v" + t.Canary(), t.Canary());
           },
       .check = kVolumes},
      {.name = "config: a volume at /proc",
       .run =
           [](Target& t) {
             Ended ended;
             const grpc::Status status = t.PullAndRun(
                 t.Publish({TarBuilder().File("f").Done()}, R"({"Volumes":{"/proc":{}}})"), {"ids"},
                 &ended);
             if (!status.ok()) return t.Refused(status);
             Demand(absl::StartsWith(ended.output, "Uid:"),
                    "its /proc is another: " + ended.output);
             return Outcome{Outcome::kHarmless, "/proc is the container's own"};
           },
       .check = kVolumes},
  };
}

// Looks at the environments of all processes of the host, again and again.
class EnvironmentWatch {
 public:
  explicit EnvironmentWatch(std::string mark)
      : mark_(std::move(mark)), thread_([this] {
          while (!ended_) Look();
        }) {}
  ~EnvironmentWatch() { End(); }
  // Names of programs other than the probe that had the mark.
  std::set<std::string> End() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
    return found_;
  }

 private:
  void Look() {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
      const absl::StatusOr<std::string> text = base::ReadFile(entry.path() / "environ");
      if (!text.ok() || !absl::StrContains(*text, mark_)) continue;
      const absl::StatusOr<std::string> name = base::ReadFile(entry.path() / "comm");
      if (name.ok() && *name != "probe\n") found_.insert(*name);
    }
  }

  const std::string mark_;
  std::atomic<bool> ended_ = false;
  std::set<std::string> found_;
  std::thread thread_;
};

Outcome EnvironmentStaysInside(Target& target) {
  const std::string mark = "HOSTILE_MARK=" + target.Repository();
  const std::string reference = target.Publish(
      {TarBuilder().File("evil.so").Done()},
      "{\"Env\":[\"" + mark + R"(","LD_PRELOAD=/evil.so","PATH=/evil","BASH_ENV=/evil.so",)" +
          R"("LD_LIBRARY_PATH=/","GCONV_PATH=/","TMPDIR=/evil"]})");
  EnvironmentWatch watch(mark);
  Ended ended;
  const grpc::Status status = target.PullAndRun(reference, {"env"}, &ended);
  const std::set<std::string> found = watch.End();
  Demand(found.empty(), "the image's environment was that of: " + absl::StrJoin(found, ", "));
  if (!status.ok()) return target.Refused(status);
  Demand(LinesOf(ended.output).contains(mark), "the container lacks it");
  return {Outcome::kHarmless, "only the container has the image's environment"};
}

// The suite looks for whole lines, so that real newlines and the two characters \n both count.
Outcome HomeWithNewline(Target& target, const std::string& newline) {
  const std::string line = "intruder::0:0::/:/bin/sh";
  const std::string run =
      "{\"User\":\"4711\",\"Env\":[\"HOME=/home" + newline + line + newline + "\"]}";
  Ended ended;
  const grpc::Status status =
      target.PullAndRun(target.Publish({Users()}, run), {"cat", "/etc/passwd"}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(!LinesOf(ended.output).contains(line), "passwd has a line of the image's HOME");
  return {Outcome::kHarmless, "passwd has no line of HOME"};
}

Outcome StopSignal(Target& target, const std::string& signal) {
  const std::string reference = target.Publish({}, "{\"StopSignal\":\"" + signal + "\"}");
  if (const grpc::Status status = target.Pull(reference); !status.ok()) {
    return target.Refused(status);
  }
  test::Pod& pod = target.ThePod();
  std::string container;
  const grpc::Status status =
      pod.TryCreate(target.ContainerConfig(reference, {"sleep"}), &container);
  if (!status.ok()) return target.Refused(status);
  pod.Start(container);
  pod.AwaitLog(container, "ready");
  const absl::Time begin = absl::Now();
  pod.StopContainer(container, 1);
  const absl::Duration took = absl::Now() - begin;
  Demand(pod.ContainerStatus(container).state() == v1::CONTAINER_EXITED, "it still runs");
  Demand(took < absl::Seconds(10), "the stop took " + absl::FormatDuration(took));
  return {Outcome::kHarmless, "stopped in " + absl::FormatDuration(took)};
}

Case Signal(const std::string& signal) {
  return {.name = "config: the stop signal is " + signal,
          .run = [=](Target& t) { return StopSignal(t, signal); },
          .check = "spec/signal.cc SignalNumber"};
}

Outcome LongArguments(Target& target) {
  const std::string word(100 << 10, 'w');
  std::string words = "\"" + word + "\"";
  for (int i = 1; i < 35; ++i) absl::StrAppend(&words, ",\"", word, "\"");
  const std::string reference =
      target.Publish({}, R"({"Entrypoint":["/probe","args"],"Cmd":[)" + words + "]}");
  Ended ended;
  const grpc::Status status = target.PullAndRun(reference, {}, &ended);
  if (!status.ok()) return target.Refused(status);
  Demand(absl::StartsWith(ended.output, "www"), "it did not get its arguments");
  return {Outcome::kHarmless, "it ran"};
}

std::vector<Case> ProcessCases() {
  std::vector<Case> cases = {
      {.name = "config: an environment that loads code, seen by programs of the host "
               "(CVE-2025-23266)",
       .run = EnvironmentStaysInside,
       .check = "linux/spawn.cc environment"},
      {.name = "config: a newline in HOME (CVE-2022-4318, CVE-2026-15809)",
       .run = [](Target& t) { return HomeWithNewline(t, "\\n"); },
       .check = "none: crisp writes no passwd"},
      {.name = "config: a backslash and n in HOME (CVE-2022-4318)",
       .run = [](Target& t) { return HomeWithNewline(t, "\\\\n"); },
       .check = "none: crisp writes no passwd"},
      {.name = "config: 3.5 MiB of arguments",
       .run = LongArguments,
       .check = "shim/child/program.cc execve"},
      {.name = "config: 1 MiB of labels",
       .run =
           [](Target& t) {
             const std::string label(1 << 20, 'l');
             return t.FactsOrRefused(t.Publish({}, R"({"Labels":{"big":")" + label + "\"}}"),
                                     {"exists probe"});
           },
       .check = "oci/image_spec.h kMaxDocumentBytes"},
  };
  for (const char* signal : {"SIGNONSENSE", "999", "-1", "0", "SIGRTMAX+1", "9; reboot"}) {
    cases.push_back(Signal(signal));
  }
  return cases;
}

}  // namespace

std::vector<Case> ConfigCases() {
  std::vector<Case> cases;
  for (const std::vector<Case>& group : {UserCases(), PathCases(), ProcessCases()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

}  // namespace crisp::hostile
