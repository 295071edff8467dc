// Layers that attack the one who unpacks them, or the container that runs on them.
#include <sys/fsuid.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fakes/hostile_layers.h"
#include "test/fault/hostile/target.h"

namespace crisp::hostile {
namespace {

using snapshot::Gzip;
using snapshot::HostileLayers;
using snapshot::TarBuilder;
using snapshot::TarItem;
namespace where = snapshot::where;

constexpr uid_t kNobody = 65534;

Case FromTable(const HostileLayers& hostile) {
  Case attack;
  attack.name = "layer: " + hostile.name;
  const bool refused = hostile.verdict == HostileLayers::kRefused;
  // To refuse what crisp takes is always safe.
  attack.allowed = refused && !hostile.both_safe ? Allowed::kRefused : Allowed::kEither;
  if (refused) attack.of_crisp = Allowed::kRefused;
  if (!refused && !hostile.both_safe) attack.of_crisp = Allowed::kHarmless;
  attack.check = hostile.check;
  attack.slow = hostile.slow;
  attack.run = [hostile](Target& target) {
    std::vector<std::string> facts;
    for (const std::string& fact : hostile.facts) {
      facts.push_back(snapshot::FactOf(fact, target.Canary()));
    }
    return target.FactsOrRefused(target.Publish(hostile.layers(target.Canary())), facts);
  };
  return attack;
}

// The image's layer with a media type of our choice.
Outcome WithMediaType(Target& target, const std::string& layer, const std::string& type) {
  image::TestImage image = target.ImageOf({layer});
  const std::string honest = image::LayerType(layer);
  const size_t at = image.manifest.find("\"" + honest + "\"");
  image.manifest.replace(at + 1, honest.size(), type);
  return target.FactsOrRefused(target.Serve(image), {"content f x"});
}

std::vector<Case> MediaTypes() {
  const std::string type = "application/vnd.oci.image.layer.v1.tar";
  return {
      {.name = "layer: the media type says gzip, the bytes are zstd",
       .run =
           [=](Target& t) {
             return WithMediaType(t, snapshot::Zstd(FileLayer("x")), type + "+gzip");
           },
       .check = where::kMagic},
      {.name = "layer: the media type says gzip, the bytes are not compressed",
       .run = [=](Target& t) { return WithMediaType(t, FileLayer("x"), type + "+gzip"); },
       .check = where::kMagic},
      {.name = "layer: the media type says zstd, the bytes are gzip",
       .run = [=](Target& t) { return WithMediaType(t, Gzip(FileLayer("x")), type + "+zstd"); },
       .check = where::kMagic},
      {.name = "layer: the media type says encrypted",
       .allowed = Allowed::kRefused,
       .run = [=](Target& t) { return WithMediaType(t, FileLayer("x"), type + "+encrypted"); },
       .check = "oci/image_spec_codec.cc layer media types"},
  };
}

// A path of 2,000 directories behind a symlink, ten times over.
std::string DeepTree() {
  TarBuilder tar;
  std::string links;
  std::string deep;
  for (int i = 0; i < 1900; ++i) deep += "d/";
  for (int i = 0; i < 10; ++i) {
    tar.Dir(links + deep);
    tar.Link(links + "l", deep);
    links += "l/";
  }
  return Gzip(tar.File(links + "f").Done());
}

// So many files that only a runtime that keeps a list of them takes memory.
std::string ManyFiles(int count) {
  TarBuilder tar;
  for (int i = 0; i < count; ++i) tar.File(absl::StrCat("d/", i / 1000, "/", i), "");
  return Gzip(tar.Done());
}

std::vector<Case> LargeLayers() {
  return {
      {.name = "layer: a tree 20,000 directories deep, through symlinks",
       .run =
           [](Target& t) {
             return t.FactsOrRefused(t.Publish({DeepTree()}), {"exists l/l/l/l/l/l/l/l/l/l/f"});
           },
       .check = "base/file.cc RemoveTree",
       .slow = true},
      {.name = "layer: a million empty files",
       .run =
           [](Target& t) {
             return t.FactsOrRefused(t.Publish({ManyFiles(1'000'000)}),
                                     {"exists d/0/0", "exists d/999/999999"});
           },
       .check = where::kSpend,
       .slow = true},
  };
}

// Paths of files with this name that a user of the host without rights can open. Only this thread
// changes its user.
std::vector<std::string> WithinReach(const std::string& name) {
  std::vector<std::string> found;
  setfsgid(kNobody);
  setfsuid(kNobody);
  for (const char* top : {"/var", "/run", "/tmp", "/opt"}) {
    std::error_code error;
    std::filesystem::recursive_directory_iterator at(
        top, std::filesystem::directory_options::skip_permission_denied, error);
    for (; !error && at != std::filesystem::end(at); at.increment(error)) {
      if (at->path().filename() == name) found.push_back(at->path());
    }
  }
  setfsuid(0);
  setfsgid(0);
  return found;
}

Outcome SetuidOnTheHost(Target& target) {
  TarItem item;
  item.name = "setuid-of-" + target.Repository();
  item.mode = 04755;
  const std::string reference = target.Publish({TarBuilder().Add(item).Done()});
  if (const grpc::Status status = target.Pull(reference); !status.ok()) {
    return target.Refused(status);
  }
  // While a container runs, so that its root file system is there too.
  test::Pod& pod = target.ThePod();
  pod.Start(pod.Create(target.ContainerConfig(reference, {"sleep"})));
  const std::vector<std::string> found = WithinReach(item.name);
  Demand(found.empty(), "uid 65534 gets to " + absl::StrJoin(found, ", "));
  return {Outcome::kHarmless, "uid 65534 gets to no such file"};
}

Outcome BelowASetgidDirectory(Target& target) {
  TarItem directory;
  directory.name = "g";
  directory.type = '5';
  directory.mode = 02775;
  directory.gid = 4711;
  return target.FactsOrRefused(
      target.Publish({TarBuilder().Add(directory).File("g/child").Dir("g/sub").Done()}),
      {"mode g 2775", "owner g/child 0 0", "mode g/child 644", "mode g/sub 755"});
}

// The upper layer must not get at the lower one's file through attributes of overlayfs.
Outcome RedirectIntoAnotherLayer(Target& target) {
  TarItem item;
  item.name = "here";
  item.type = '5';
  item.pax = {{"SCHILY.xattr.trusted.overlay.redirect", "/there"}};
  const std::string lower = TarBuilder().Dir("there", 0700).File("there/f", "lower").Done();
  return target.FactsOrRefused(target.Publish({lower, TarBuilder().Add(item).Done()}),
                               {"type here d", "absent here/f", "content there/f lower"});
}

std::vector<Case> Reach() {
  return {
      {.name = "layer: a setuid file is out of reach of the host's users (CVE-2021-41103, "
               "CVE-2024-25621)",
       .run = SetuidOnTheHost,
       .check = "snapshot/snapshot_store.cc Open, mode 0700 of the root"},
      {.name = "layer: what is below a setgid directory keeps its own group",
       .run = BelowASetgidDirectory,
       .check = where::kApply},
      {.name = "layer: overlayfs redirects into another layer",
       .run = RedirectIntoAnotherLayer,
       .check = where::kXattrs},
  };
}

}  // namespace

std::vector<Case> LayerCases() {
  std::vector<Case> cases;
  for (const auto& table : {snapshot::HostileLinks(), snapshot::HostileNames(),
                            snapshot::HostileInodes(), snapshot::HostileStreams()}) {
    for (const HostileLayers& hostile : table) cases.push_back(FromTable(hostile));
  }
  for (const std::vector<Case>& group : {MediaTypes(), LargeLayers(), Reach()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

}  // namespace crisp::hostile
