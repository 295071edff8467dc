// Containers that attack what starts and serves them: the runtime's own programs, the children that
// join them, what these inherit and leave behind.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

void DropsNothing(v1::ContainerConfig& config) {
  config.mutable_linux()->mutable_security_context()->mutable_capabilities()->add_add_capabilities(
      "ALL");
}

// The programs of the runtime and of what it started for this container.
class Programs {
 public:
  Programs(Target& target, const std::string& container) {
    Add(RuntimePid(target));
    int pid = ParentPid(InitPid(container));
    for (; pid > 1 && digests_.count(pid) == 0; pid = ParentPid(pid)) Add(pid);
  }
  void MustBeTheSame() const {
    for (const auto& [pid, digest] : digests_) {
      Demand(ProgramDigest(pid) == digest,
             absl::StrCat("the program of process ", pid, " of the runtime was changed"));
    }
  }

 private:
  void Add(int pid) { digests_[pid] = ProgramDigest(pid); }
  std::map<int, std::string> digests_;
};

// The container opens every program it can see for writing while execs come, and executes and
// interprets with the program that starts it.
Outcome OwnProgram(Target& target) {
  constexpr int kExecs = 300;
  test::Pod& pod = target.ThePod();
  const std::string directory = target.Scratch();
  Write(directory + "/script", "#!/proc/self/exe\n", 0755);
  const std::string container =
      StartAttack(target, pod, {"write-exe"}, Both(Volume(directory, "/script"), DropsNothing));
  const Programs programs(target, container);
  for (int i = 0; i < kExecs; ++i) {
    pod.Exec(container, {kAttacker, "id"});
    v1::ExecSyncRequest request;
    request.set_container_id(container);
    request.add_cmd(i % 2 == 0 ? "/proc/self/exe" : "/script/script");
    request.set_timeout(5);
    v1::ExecSyncResponse response;
    test::Endpoint& endpoint = target.endpoint();
    (void)endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response);
  }
  programs.MustBeTheSame();
  const std::string output = EndAttack(pod, container);
  Demand(!absl::StrContains(output, "found:"), output);
  // As a container's own command.
  TryContainers(target, {"id"},
                {{"entrypoint /proc/self/exe",
                  [](v1::ContainerConfig& config) {
                    config.clear_command();
                    config.add_command("/proc/self/exe");
                  },
                  [](Target&, const std::string&) {}}});
  return Harmless(absl::StrCat(2 * kExecs, " execs, the programs are as before"));
}

Outcome InheritedDescriptors(Target& target) {
  test::Pod& pod = target.ThePod();
  for (const bool terminal : {false, true}) {
    const auto change = [terminal](v1::ContainerConfig& config) { config.set_tty(terminal); };
    const std::string init = Output(target, {"id"}, change);
    Demand(!absl::StrContains(init, "fd: "), absl::StrCat("a container has ", init));
    const std::string container = StartAttack(target, pod, {"wait"}, change);
    for (int i = 0; i < 20; ++i) {
      const std::string exec = pod.Exec(container, {kAttacker, "id"}).out;
      Demand(absl::StrContains(exec, "cwd: ") && !absl::StrContains(exec, "fd: "),
             absl::StrCat("an exec has ", exec));
    }
    EndAttack(pod, container);
  }
  return Harmless("containers and execs have descriptors 0 to 2");
}

// Working directories through the descriptors that a runtime holds while it starts a container.
Outcome WorkingDirectory(Target& target) {
  const std::string volume = target.Scratch();
  std::vector<std::string> paths;
  for (int fd = 3; fd < 24; ++fd) {
    paths.push_back(absl::StrCat("/proc/self/fd/", fd));
    MakeLink(paths.back(), absl::StrCat(volume, "/", fd));
    if (fd % 4 != 0) continue;
    paths.push_back(absl::StrCat("/volume/", fd));
    paths.push_back(absl::StrCat("/proc/self/fd/", fd, "/../../.."));
  }
  paths.push_back("/proc/self/cwd");
  paths.push_back("/proc/1/cwd/../../..");
  paths.push_back("/../../../../../../.." + target.Canary());
  std::vector<ContainerInput> inputs;
  for (const std::string& path : paths) {
    inputs.push_back({path,
                      Both(Volume(volume, "/volume"),
                           [path](v1::ContainerConfig& config) { config.set_working_dir(path); }),
                      [](Target& host, const std::string& output) {
                        Demand(!absl::StrContains(output, host.Secret()), "it reads the canary");
                      }});
  }
  std::vector<std::string> words = {"try-cat"};
  std::string up;
  for (int levels = 0; levels < 8; ++levels, up += "../") {
    words.push_back(up + target.Canary().substr(1) + "/secret");
  }
  TryContainers(target, words, inputs);
  for (ContainerInput& input : inputs) {
    input.harmless = [](Target&, const std::string& output) {
      Demand(absl::StartsWith(Line(output, "cwd: "), "/"),
             absl::StrCat("the working directory is outside of the container: ", output));
    };
  }
  return TryContainers(target, {"id"}, inputs);
}

// The spy looks at every process that joins its container before that runs its own program.
Outcome ExecWatched(Target& target, int execs) {
  test::Pod& pod = target.ThePod();
  const auto capable = [](v1::ContainerConfig& config) {
    config.mutable_linux()
        ->mutable_security_context()
        ->mutable_capabilities()
        ->add_add_capabilities("SYS_PTRACE");
  };
  v1::ContainerConfig config = Attack(target, {});
  config.clear_command();
  config.clear_mounts();
  AddProgram(target, config, "hostile_spy");
  // The names that the processes of crisp, runc, crun and youki have until then.
  for (const char* word :
       {kAttacker, "look", "crisp-shim", "runc:[2:INIT]", "runc:[1:CHILD]", "crun", "youki"}) {
    config.add_command(word);
  }
  capable(config);
  const std::string container = pod.Create(config);
  pod.Start(container);
  pod.AwaitLog(container, "ready");
  for (int i = 0; i < execs; ++i) {
    v1::ExecSyncRequest request;
    request.set_container_id(container);
    for (const char* word : {kAttacker, "once"}) request.add_cmd(word);
    request.set_timeout(10);
    v1::ExecSyncResponse response;
    test::Endpoint& endpoint = target.endpoint();
    // The spy may stop a process for good; that is its own container's loss.
    (void)endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response);
  }
  const std::string output = EndAttack(pod, container);
  Demand(!absl::StrContains(output, "found:"), output);
  return Harmless(
      absl::StrCat(execs, " execs, ", Line(output, "caught ").substr(0, 12), " looked at in time"));
}

// Variables of an image and of a container are in no process of the host.
Outcome HostEnvironment(Target& target) {
  constexpr char kMark[] = "HOSTILE_MARK=of-the-container";
  test::Pod& pod = target.ThePod();
  const std::string reference = target.Publish(
      {}, R"({"Env":["HOSTILE_MARK=of-the-container","LD_PRELOAD=/evil.so","PATH=/evil",)"
          R"("LD_LIBRARY_PATH=/evil","BASH_ENV=/evil","NOTIFY_SOCKET=/evil"]})");
  const auto image = [&](v1::ContainerConfig& config) {
    config.mutable_image()->set_image(reference);
    v1::KeyValue& variable = *config.add_envs();
    variable.set_key("HOSTILE_SECOND");
    variable.set_value("of-the-container");
  };
  const std::string container = StartAttack(target, pod, {"wait"}, image);
  const int init = InitPid(container);
  Demand(absl::StrContains(Read(absl::StrCat("/proc/", init, "/environ")), kMark),
         "the container does not have its own variable, so nothing was tried");
  const std::vector<std::string> names = base::ListDir("/proc").value();
  for (const std::string& name : names) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid) || pid == init || pid == getpid()) continue;
    const absl::StatusOr<std::string> text = base::ReadFile("/proc/" + name + "/environ");
    if (!text.ok()) continue;
    Demand(!absl::StrContains(*text, "HOSTILE_MARK") && !absl::StrContains(*text, "HOSTILE_SECOND"),
           absl::StrCat("process ", pid, " has the variables of a container"));
  }
  EndAttack(pod, container);
  return Harmless("no process of the host has them");
}

// Of many containers of one image each sees its own variables.
Outcome OwnEnvironment(Target& target) {
  constexpr int kContainers = 40;
  test::Pod& pod = target.ThePod();
  std::vector<std::string> containers;
  for (int i = 0; i < kContainers; ++i) {
    containers.push_back(StartAttack(target, pod, {"wait"}, [i](v1::ContainerConfig& config) {
      v1::KeyValue& variable = *config.add_envs();
      variable.set_key("SECRET");
      variable.set_value(absl::StrCat("of-container-", i, "."));
    }));
  }
  for (int i = 0; i < kContainers; ++i) {
    const std::string output = pod.Exec(containers[static_cast<size_t>(i)], {kAttacker, "env"}).out;
    Demand(Line(output, "env: SECRET=") == absl::StrCat("of-container-", i, "."),
           absl::StrCat("container ", i, " has ", output));
  }
  for (const std::string& container : containers) EndAttack(pod, container);
  return Harmless(absl::StrCat(kContainers, " containers"));
}

// In the host's network namespace a container sees the host's abstract sockets.
Outcome AbstractSockets(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  std::set<int> processes = {RuntimePid(target)};
  for (int pid = ParentPid(InitPid(container)); pid > 1; pid = ParentPid(pid)) {
    processes.insert(pid);
  }
  std::set<std::string> inodes;
  for (const int pid : processes) {
    const std::string directory = absl::StrCat("/proc/", pid, "/fd");
    const std::vector<std::string> names = base::ListDir(directory).value();
    for (const std::string& name : names) {
      char link[64];
      const ssize_t size = readlink((directory + "/" + name).c_str(), link, sizeof(link));
      if (size > 0) inodes.insert(std::string(link, static_cast<size_t>(size)));
    }
  }
  int unix_sockets = 0;
  for (const absl::string_view line : absl::StrSplit(Read("/proc/net/unix"), '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 7 || inodes.count(absl::StrCat("socket:[", words[6], "]")) == 0) continue;
    ++unix_sockets;
    Demand(words.size() < 8 || words[7][0] != '@',
           absl::StrCat("the runtime has the abstract socket ", words.size() < 8 ? "" : words[7]));
  }
  Demand(unix_sockets > 0, "no socket of the runtime was found, so nothing was tried");
  EndAttack(pod, container);
  return Harmless(absl::StrCat(unix_sockets, " sockets, none abstract"));
}

// A user of the host must not reach the set-id programs of images or the runtime's state.
Outcome HostUsers(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  const std::string mounts = Read(absl::StrCat("/proc/", InitPid(container), "/mountinfo"));
  std::vector<std::string> paths;
  for (const absl::string_view option : absl::StrSplit(mounts, absl::ByAnyChar(", \n"))) {
    for (const char* name : {"upperdir=", "workdir="}) {
      if (absl::StartsWith(option, name)) {
        paths.emplace_back(option.substr(std::string(name).size()));
      }
    }
    if (!absl::StartsWith(option, "lowerdir=")) continue;
    for (const absl::string_view lower : absl::StrSplit(option.substr(9), ':', absl::SkipEmpty())) {
      paths.emplace_back(lower);
    }
  }
  int tried = 0;
  for (const std::string& path : paths) {
    if (path.empty() || path[0] != '/' || access(path.c_str(), F_OK) != 0) continue;
    ++tried;
    const pid_t child = fork();
    if (child == 0) {
      if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
      _exit(access(path.c_str(), F_OK) == 0 ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) throw Skipped("no child");
    Demand(WIFEXITED(status) && WEXITSTATUS(status) == 0,
           absl::StrCat("a user of the host reaches ", path));
  }
  EndAttack(pod, container);
  if (tried == 0) throw Skipped("the layers of the root file system have no names on the host");
  return Harmless(absl::StrCat(tried, " directories are shut"));
}

}  // namespace

std::vector<Case> IsolationCases() {
  constexpr auto kHarmless = Allowed::kHarmless;
  const auto watched = [](int execs) {
    return [execs](Target& target) { return ExecWatched(target, execs); };
  };
  return {
      {"container: the runtime's program is not written or run over (CVE-2019-5736)", kHarmless,
       OwnProgram, "src/shim_client/launcher.cc sealed memfd"},
      {"container: descriptors of the runtime are not inherited (CVE-2024-21626)", kHarmless,
       InheritedDescriptors, "shim/child/program.cc"},
      {"container: a working directory through a descriptor stays inside (CVE-2024-21626)",
       Allowed::kEither, WorkingDirectory, "shim/child/program.cc"},
      {"exec: a process that joins holds nothing of the host, 100 execs (CVE-2016-9962)", kHarmless,
       watched(100), "shim/child/inside.cc"},
      {"exec: a process that joins holds nothing of the host, 1,000 execs (CVE-2016-9962)",
       kHarmless, watched(1000), "shim/child/inside.cc", true},
      {"container: its variables are in no process of the host (CVE-2025-23266)", kHarmless,
       HostEnvironment, "src/linux/spawn.cc"},
      {"container: variables of others are not seen (CVE-2021-21334)", kHarmless, OwnEnvironment,
       "src/spec/container_process.cc MakeEnvironment"},
      {"container: the runtime has no abstract socket (CVE-2020-15257)", kHarmless, AbstractSockets,
       "src/shim_client/launcher.cc"},
      {"host: users cannot reach root file systems (CVE-2021-41103, CVE-2024-25621)", kHarmless,
       HostUsers, "src/snapshot/snapshot_store.cc"},
  };
}

}  // namespace crisp::hostile
