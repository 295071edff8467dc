#include "runtime/measurer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "test/unit/eventually.h"

namespace crisp::runtime {
namespace {

using test::Eventually;

// Containers whose layers are directories of the test.
class Layers {
 public:
  Layers() { REQUIRE(base::MakeDirs(root_, 0755).ok()); }
  ~Layers() { (void)base::RemoveTree(root_); }

  ContainerPtr Add(char name, int files) {
    store::ContainerRecord record;
    record.id = base::ContainerId(std::string(64, name));
    record.sandbox_id = base::SandboxId("b");
    auto container = std::make_shared<container::Container>(std::move(record), &records_);
    REQUIRE(mkdir(Path(container->id()).c_str(), 0755) == 0);
    for (int i = 0; i < files; ++i) Write(*container, absl::StrCat(i), "");
    container->MarkStarted(
        {.process = {.pid = 7, .start_ticks = 8}, .started_at_ns = 9, .phases = {}});
    objects.containers.Add(container);
    return container;
  }
  std::string Path(const base::ContainerId& id) const {
    return base::JoinPath(root_, id.str().substr(0, 1));
  }
  void Write(const container::Container& container, const std::string& name,
             const std::string& text) const {
    const std::string path = base::JoinPath(Path(container.id()), name);
    const base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(fd.valid());
    REQUIRE(base::WriteAll(fd.get(), text).ok());
  }
  absl::StatusOr<std::vector<base::UniqueFd>> Open(const base::ContainerId& id) const {
    if (broken) return absl::InternalError("the disk is broken");
    std::vector<base::UniqueFd> directories;
    directories.push_back(*base::Open(Path(id), O_RDONLY | O_DIRECTORY));
    auto volumes = base::Open(Path(id) + ".volumes", O_RDONLY | O_DIRECTORY);
    if (volumes.ok()) directories.push_back(*std::move(volumes));
    return directories;
  }
  Measurer::Options Options() {
    return {.open_layer =
                [this](const base::ContainerId& id) {
                  ++opened;
                  return Open(id);
                },
            .measure_more = nullptr,
            .measure_host = nullptr,
            .interval = absl::Milliseconds(10)};
  }

  Objects objects;
  std::atomic<int> opened{0};
  std::atomic<bool> broken{false};

 private:
  const std::string root_ = "/tmp/crisp-measurer-" + base::NewId().substr(0, 12);
  const store::RecordDirectory records_{"/proc/none", "/proc/none"};
};

bool Has(const ContainerPtr& container, uint64_t inodes) {
  const auto usage = container->layer_usage();
  return usage.has_value() && usage->usage.inodes == inodes;
}

absl::Duration Cpu() {
  rusage usage;
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

constexpr int kMany = 20'000;

}  // namespace

TEST_CASE("what is in a container's volumes counts with its layer") {
  Layers layers;
  const ContainerPtr container = layers.Add('a', 1);
  REQUIRE(base::MakeDirs(layers.Path(container->id()) + ".volumes/0/deep", 0755).ok());
  MeasureNewLayer(*layers.Open(container->id()), *container);
  REQUIRE(container->layer_usage().has_value());
  CHECK(container->layer_usage()->usage.inodes == 5);
}

TEST_CASE("a new layer has a value at once, and a newer one after it grew") {
  Layers layers;
  const ContainerPtr container = layers.Add('a', 0);
  MeasureNewLayer(*layers.Open(container->id()), *container);
  const auto first = container->layer_usage();
  REQUIRE(first.has_value());
  CHECK(first->usage.inodes == 1);
  Measurer measurer(layers.objects, layers.Options());
  REQUIRE(measurer.Start().ok());
  layers.Write(*container, "f", std::string(1 << 20, 'x'));
  REQUIRE(Eventually([&] { return Has(container, 2); }));
  CHECK(Eventually([&] { return container->layer_usage()->usage.bytes >= (1 << 20); }));
  CHECK(container->layer_usage()->taken_at_ns > first->taken_at_ns);
}

TEST_CASE("a large layer does not keep others from being measured") {
  Layers layers;
  const ContainerPtr large = layers.Add('a', kMany);
  const ContainerPtr small = layers.Add('b', 3);
  Measurer::Options options = layers.Options();
  options.turn = absl::Microseconds(200);
  Measurer measurer(layers.objects, options);
  REQUIRE(measurer.Start().ok());
  REQUIRE(Eventually([&] { return Has(small, 4); }));
  CHECK_FALSE(large->layer_usage().has_value());
  CHECK(Eventually([&] { return Has(large, kMany + 1); }));
}

TEST_CASE("a value stays when the layer cannot be read any more") {
  Layers layers;
  const ContainerPtr container = layers.Add('a', 3);
  Measurer measurer(layers.objects, layers.Options());
  REQUIRE(measurer.Start().ok());
  REQUIRE(Eventually([&] { return Has(container, 4); }));
  layers.broken = true;
  const int before = layers.opened;
  REQUIRE(Eventually([&] { return layers.opened > before + 2; }));
  CHECK(Has(container, 4));
}

TEST_CASE("walks that there is no room for come later") {
  Layers layers;
  std::vector<ContainerPtr> containers;
  for (const char name : {'a', 'b', 'c'}) containers.push_back(layers.Add(name, kMany / 4));
  Measurer::Options options = layers.Options();
  options.turn = absl::Microseconds(100);
  options.walks = 1;
  options.patience = absl::Milliseconds(20);
  options.interval = absl::Milliseconds(1);
  Measurer measurer(layers.objects, options);
  REQUIRE(measurer.Start().ok());
  for (const ContainerPtr& container : containers)
    CHECK(Eventually([&] { return container->layer_usage().has_value(); }));
}

TEST_CASE("the layer of a container that has ended is measured once more and then rests") {
  Layers layers;
  const ContainerPtr container = layers.Add('a', 3);
  Measurer measurer(layers.objects, layers.Options());
  REQUIRE(measurer.Start().ok());
  REQUIRE(Eventually([&] { return Has(container, 4); }));
  layers.Write(*container, "last", "x");
  store::Outcome outcome;
  outcome.finished_at_ns = 1;
  (void)container->MarkExited(outcome, [] {});
  REQUIRE(Eventually([&] { return Has(container, 5); }));
  int before = -1;
  const auto rests = [&] { return std::exchange(before, layers.opened.load()) == layers.opened; };
  CHECK(Eventually([&] {
    absl::SleepFor(absl::Milliseconds(200));  // 20 intervals
    return rests();
  }));
}

TEST_CASE("measuring takes a small share of a core, however large a layer is") {
  Layers layers;
  const ContainerPtr container = layers.Add('a', kMany);
  Measurer measurer(layers.objects, layers.Options());
  const absl::Duration before = Cpu();
  REQUIRE(measurer.Start().ok());
  absl::SleepFor(absl::Seconds(1));  // the window that is measured
  CHECK(Cpu() - before < absl::Milliseconds(100));
  CHECK(Eventually([&] { return Has(container, kMany + 1); }));
}

}  // namespace crisp::runtime
