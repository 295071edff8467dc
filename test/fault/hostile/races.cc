// Races: one container exchanges a file with a link, as fast as it can, while the runtime starts,
// executes, logs and removes beside it. Each is tried a bounded number of times, and 10,000 times
// when slow cases run.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "fakes/tar_builder.h"
#include "test/fault/hostile/attack.h"

namespace crisp::hostile {
namespace {

// A volume with the directory `dir`, which has a directory `sub`, and the link `link`. A container
// in a pod of its own exchanges the two names.
class Swapper {
 public:
  Swapper(Target& target, const std::string& goal) : target_(target), volume_(target.Scratch()) {
    if (!base::MakeDirs(volume_ + "/dir/sub", 0777).ok()) throw std::runtime_error("mkdir");
    MakeLink(goal, volume_ + "/link");
    Begin("dir", "link");
  }
  // For names that the case makes itself in Volume().
  Swapper(Target& target, std::string volume, const std::string& one, const std::string& other)
      : target_(target), volume_(std::move(volume)) {
    Begin(one, other);
  }

  const std::string& volume() const { return volume_; }

  // Ends it; a case in which nothing was swapped has shown nothing.
  void End() {
    const std::string output = EndAttack(*pod_, container_);
    int swaps = 0;
    Demand(absl::SimpleAtoi(Line(output, "swapped "), &swaps) && swaps > 10,
           absl::StrCat("the swapper did not swap: ", output));
  }

 private:
  void Begin(const std::string& one, const std::string& other) {
    pod_ = &target_.NewPod();
    container_ = StartAttack(target_, *pod_, {"swap", "/swapped/" + one, "/swapped/" + other},
                             Volume(volume_, "/swapped"));
  }

  Target& target_;
  const std::string volume_;
  test::Pod* pod_ = nullptr;
  std::string container_;
};

// So many containers, one after the other; `look` gets what each printed. An error to start is as
// good as a start: the attacker has only harmed itself.
int Starts(Target& target, int tries, const std::function<v1::ContainerConfig(int)>& config,
           const std::function<void(const std::string&)>& look) {
  test::Pod& pod = target.ThePod();
  int started = 0;
  for (int i = 0; i < tries; ++i) {
    std::string container;
    grpc::Status status = pod.TryCreate(config(i), &container);
    if (status.ok()) {
      const std::string log = pod.ContainerStatus(container).log_path();
      status = pod.TryStart(container);
      if (status.ok()) {
        ++started;
        pod.WaitExited(container);
        look(pod.LogText(container));
      }
      pod.RemoveContainer(container);
      unlink(log.c_str());
    }
    Demand(status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED, "a start hangs");
  }
  return started;
}

Outcome Tried(int tries, int worked) {
  return Harmless(absl::StrCat(tries, " tries, ", worked, " worked"));
}

// How often `directory` of the host is mounted, according to mountinfo(5).
int MountsOf(const std::string& mountinfo, const std::string& directory) {
  // The root within its file system is the end of the path on the host.
  const std::string end = directory.substr(directory.rfind('/', directory.rfind('/') - 1)) + " ";
  int count = 0;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    count += absl::StrContains(line, end) ? 1 : 0;
  }
  return count;
}

Outcome Destination(Target& target, int tries, bool exists) {
  Swapper swapper(target, target.Canary());
  const std::string other = target.Scratch();
  const v1::ContainerConfig base =
      Attack(target, {"cat", "/proc/self/mountinfo"}, Volume(swapper.volume(), "/volume"));
  const int started = Starts(
      target, tries,
      [&](int i) {
        v1::ContainerConfig config = base;
        config.mutable_metadata()->set_name(absl::StrCat("victim-", i));
        const std::string path =
            exists ? "/volume/dir/sub" : absl::StrCat("/volume/dir/new-", i, "/below");
        Volume(other, path)(config);
        return config;
      },
      [&](const std::string& output) {
        // A mount that is not among the container's is somewhere on the host.
        Demand(MountsOf(output, other) == 1,
               absl::StrCat("the volume is mounted elsewhere: ", output));
      });
  swapper.End();
  return Tried(tries, started);
}

Outcome NullDevice(Target& target, int tries) {
  const std::string before = Read(kCorePattern);
  const std::string volume = target.Scratch();
  if (mknod((volume + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) {
    throw Skipped("no node can be made");
  }
  MakeLink(kCorePattern, volume + "/evil");
  MakeLink(kCorePattern, volume + "/console");
  Swapper swapper(target, volume, "null", "evil");
  const v1::ContainerConfig base =
      Attack(target, {"nodes", "/proc/keys", "/proc/timer_list"},
             Both(Volume(volume, "/dev"), [](v1::ContainerConfig& config) {
               auto& context = *config.mutable_linux()->mutable_security_context();
               for (const char* path : {"/proc/keys", "/proc/timer_list"}) {
                 context.add_masked_paths(path);
               }
             }));
  const int started = Starts(
      target, tries,
      [&](int i) {
        v1::ContainerConfig config = base;
        config.mutable_metadata()->set_name(absl::StrCat("victim-", i));
        config.set_tty(i % 2 == 1);
        return config;
      },
      [&](const std::string& output) {
        for (const char* path : {"/proc/keys", "/proc/timer_list"}) {
          Demand(absl::StrContains(output, absl::StrCat(path, " char 1:3")) ||
                     absl::StrContains(output, absl::StrCat(path, " missing")),
                 absl::StrCat("masked with something else: ", output));
        }
        Demand(Read(kCorePattern) == before, "core_pattern changed");
      });
  swapper.End();
  Demand(Read(kCorePattern) == before, "core_pattern changed");
  return Tried(tries, started);
}

// Layers of one image, pulled at once with others, of which one makes a link of what the next one
// writes through.
Outcome ParallelUnpack(Target& target, int tries) {
  constexpr int kAtOnce = 8;
  std::atomic<int> pulled = 0;
  for (int round = 0; round * kAtOnce < tries; ++round) {
    std::vector<std::string> references;
    for (int i = 0; i < kAtOnce; ++i) {
      const std::string text = absl::StrCat(round, "-", i);
      snapshot::TarBuilder directory, link, file;
      directory.Dir("d").File("d/own", text).Dir("d/sub");
      link.Link("d", target.Canary()).File("link", text);
      file.File("d/file", text).File("d/sub/file", text).Dir("d/sub", 0777);
      references.push_back(target.Serve(
          target.ImageOf({directory.Done(), link.Done(), file.Done()}), absl::StrCat("v", text)));
    }
    std::vector<std::thread> clients;
    for (const std::string& reference : references) {
      clients.emplace_back([&target, &pulled, reference] {
        if (target.Pull(reference).ok()) ++pulled;
        v1::RemoveImageRequest remove;
        remove.mutable_image()->set_image(reference);
        v1::RemoveImageResponse removed;
        test::Endpoint& endpoint = target.endpoint();
        (void)endpoint.Try(endpoint.images(), &v1::ImageService::Stub::RemoveImage, remove,
                           &removed);
      });
    }
    for (std::thread& client : clients) client.join();
    target.registry().Clear();
    Demand(Read(target.Canary() + "/secret") == target.Secret(), "the canary changed");
  }
  Demand(!base::ReadFile(target.Canary() + "/file").ok(), "a layer wrote into the canary");
  return Tried(tries, pulled);
}

// What an image has at its VOLUME may be copied into a volume, whose directory is a link by then.
Outcome VolumeCopy(Target& target, int tries) {
  Swapper swapper(target, target.Canary());
  snapshot::TarBuilder layer;
  layer.Dir("volume").Dir("volume/dir").Dir("volume/dir/data").File("volume/dir/data/own", "x");
  const std::string reference =
      target.Publish({layer.Done()}, R"({"Volumes":{"/volume/dir/data":{},"/volume/dir":{}}})");
  target.endpoint().Check(target.Pull(reference));
  const v1::ContainerConfig base = Attack(
      target, {"try-cat", "/volume/dir/secret", "/volume/dir/data/secret"},
      Both(Volume(swapper.volume(), "/volume"),
           [&](v1::ContainerConfig& config) { config.mutable_image()->set_image(reference); }));
  const int started = Starts(
      target, tries,
      [&](int i) {
        v1::ContainerConfig config = base;
        config.mutable_metadata()->set_name(absl::StrCat("victim-", i));
        return config;
      },
      [&](const std::string& output) {
        Demand(!absl::StrContains(output, target.Secret()), "the volume shows the canary");
      });
  swapper.End();
  return Tried(tries, started);
}

// A container that can write where logs are, while its neighbour's log is rotated.
Outcome LogRotation(Target& target, int tries) {
  test::Pod& pod = target.ThePod();
  const std::string directory = pod.config().log_directory();
  const std::string container = StartAttack(target, pod, {"chat"}, [](v1::ContainerConfig& config) {
    config.set_log_path("victim.log");
  });
  MakeLink(target.Canary() + "/secret", directory + "/evil");
  Swapper swapper(target, directory, "victim.log", "evil");
  test::Endpoint& endpoint = target.endpoint();
  v1::ReopenContainerLogRequest request;
  request.set_container_id(container);
  int reopened = 0;
  for (int i = 0; i < tries; ++i) {
    v1::ReopenContainerLogResponse response;
    const grpc::Status status =
        endpoint.Try(endpoint.runtime(), &Runtime::ReopenContainerLog, request, &response);
    Demand(status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED, "a reopen hangs");
    reopened += status.ok() ? 1 : 0;
  }
  Demand(Read(target.Canary() + "/secret") == target.Secret(), "the log went through the link");
  swapper.End();
  pod.StopContainer(container, 5);
  pod.RemoveContainer(container);
  return Tried(tries, reopened);
}

// The working directory of an exec becomes a link while the exec starts.
Outcome ExecDirectory(Target& target, int tries) {
  int worked = 0;
  for (const std::string& goal :
       {std::string("/proc/self/fd/5"), std::string("/proc/1/root/.."), target.Canary()}) {
    Swapper swapper(target, goal);
    test::Pod& pod = target.ThePod();
    // It starts before the name is a link for the first time, or at a moment when it is none.
    std::string container;
    for (int i = 0; i < 100; ++i) {
      v1::ContainerConfig config = Attack(target, {"wait"}, Volume(swapper.volume(), "/volume"));
      config.set_working_dir("/volume/dir");
      if (!pod.TryCreate(config, &container).ok()) continue;
      if (pod.TryStart(container).ok()) break;
      pod.RemoveContainer(container);
      container.clear();
    }
    if (container.empty()) throw Skipped("no container starts while its directory is swapped");
    test::Endpoint& endpoint = target.endpoint();
    for (int i = 0; i < tries / 3; ++i) {
      v1::ExecSyncRequest request;
      request.set_container_id(container);
      for (const char* word : {kAttacker, "id"}) request.add_cmd(word);
      request.set_timeout(10);
      v1::ExecSyncResponse response;
      const grpc::Status status =
          endpoint.Try(endpoint.runtime(), &Runtime::ExecSync, request, &response);
      if (!status.ok()) continue;
      ++worked;
      const std::string directory = Line(response.stdout(), "cwd: ");
      Demand(absl::StartsWith(directory, "/") && !absl::StrContains(response.stdout(), "fd: "),
             absl::StrCat("an exec is outside of the container: ", response.stdout()));
    }
    swapper.End();
    pod.StopContainer(container, 0);
    pod.RemoveContainer(container);
  }
  return Tried(tries / 3 * 3, worked);
}

// The writable layer is removed while its own processes swap in it, and others in a volume below.
Outcome Removal(Target& target, int tries) {
  Swapper swapper(target, target.Canary());
  Write(swapper.volume() + "/kept", "kept");
  snapshot::TarBuilder layer;
  layer.Dir("own", 0777)
      .Dir("own/dir", 0777)
      .File("own/dir/file")
      .Link("own/link", target.Canary());
  const std::string reference = target.Publish({layer.Done()});
  target.endpoint().Check(target.Pull(reference));
  test::Pod& pod = target.ThePod();
  const v1::ContainerConfig base =
      Attack(target, {"swap", "/own/dir", "/own/link"},
             Both(Volume(swapper.volume(), "/own/volume"), [&](v1::ContainerConfig& config) {
               config.mutable_image()->set_image(reference);
               config.clear_log_path();
             }));
  for (int i = 0; i < tries; ++i) {
    v1::ContainerConfig config = base;
    config.mutable_metadata()->set_name(absl::StrCat("victim-", i));
    const std::string container = pod.Create(config);
    pod.Start(container);
    pod.RemoveContainer(container);  // which has to end it
    Demand(Read(swapper.volume() + "/kept") == "kept", "the removal went into the volume");
  }
  Demand(Read(target.Canary() + "/secret") == target.Secret(), "the removal went into the canary");
  swapper.End();
  return Tried(tries, tries);
}

}  // namespace

Case DescriptorsUsedUp();  // grpc.cc

std::vector<Case> RaceCases() {
  struct Race {
    const char* name;
    std::function<Outcome(Target&, int tries)> run;
    const char* check;
    int quick;  // tries
  };
  const std::vector<Race> races = {
      {"a mount's place becomes a link (CVE-2021-30465)",
       [](Target& target, int tries) { return Destination(target, tries, true); },
       "shim/child/target.cc", 60},
      {"the place of a mount is made while it becomes a link (CVE-2024-45310)",
       [](Target& target, int tries) { return Destination(target, tries, false); },
       "shim/child/target.cc", 60},
      {"/dev/null becomes a link while it masks a file (CVE-2025-31133)", NullDevice,
       "src/linux/null_device.cc", 60},
      {"layers that are unpacked at the same time (CVE-2025-47290)", ParallelUnpack,
       "src/snapshot/tree_writer.cc", 80},
      {"the volume of an image becomes a link (CVE-2022-23648)", VolumeCopy,
       "src/layers/image_users.cc", 60},
      {"a log becomes a link while it is rotated", LogRotation, "shim/container_log.cc", 500},
      {"the directory of an exec becomes a link (CVE-2024-21626)", ExecDirectory,
       "shim/child/program.cc", 150},
      {"a container is removed while it swaps (CVE-2021-25741)", Removal,
       "src/base/file.cc RemoveTree", 60}};
  constexpr int kTries = 10'000;
  std::vector<Case> cases;
  for (const Race& race : races) {
    for (const int tries : {race.quick, kTries}) {
      const auto run = race.run;
      cases.push_back({absl::StrCat("race: ", race.name, ", ", tries, " tries"), Allowed::kHarmless,
                       [run, tries](Target& target) { return run(target, tries); }, race.check,
                       tries == kTries});
    }
  }
  cases.push_back(DescriptorsUsedUp());
  return cases;
}

}  // namespace crisp::hostile
