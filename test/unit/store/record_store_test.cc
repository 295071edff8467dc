// Records on disk: what a crash at any point of a write leaves, and what a damaged one does.
#include "store/record_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/quarantine.h"
#include "store/recorded.h"
#include "test/unit/killed_process.h"
#include "test/unit/small_disk.h"

namespace crisp::store {
namespace {

using Names = std::vector<std::string>;

struct Fixture {
  Fixture() {
    char name[] = "/tmp/crisp-store-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    dir = name;
    directory = std::make_unique<RecordDirectory>(dir + "/containers", dir + "/quarantine");
  }
  ~Fixture() { (void)base::RemoveTree(dir); }

  std::map<std::string, ContainerRecord> Load(std::vector<Damaged>* damaged = nullptr) {
    std::map<std::string, ContainerRecord> records;
    const absl::StatusOr<std::vector<Damaged>> bad = directory->Load(
        [&](const std::string& id, absl::string_view text) { return Decode(text, records[id]); });
    REQUIRE(bad.ok());
    for (const Damaged& one : *bad) {
      records.erase(one.id);
      CHECK(directory->SetAside(one).ok());
    }
    if (damaged != nullptr) *damaged = *bad;
    return records;
  }

  std::string dir;
  std::unique_ptr<RecordDirectory> directory;
};

std::string Id(char letter) { return std::string(64, letter); }

ContainerRecord Record(const std::string& id, const std::string& image) {
  ContainerRecord record;
  record.id = base::ContainerId(id);
  record.image_id = image;
  return record;
}

// Runs `body` in a child that dies by SIGXFSZ as soon as it writes byte `limit` of any file: a
// crash in the middle of a write.
void DieWriting(rlim_t limit, const std::function<void()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit sizes = {limit, limit};
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &sizes);
    signal(SIGXFSZ, SIG_DFL);
    body();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGXFSZ);
}

TEST_CASE("a record is private, replaced whole, and removed with its directory") {
  Fixture fix;
  REQUIRE(fix.directory->Write(Id('a'), Encode(Record(Id('a'), "one"))).ok());
  REQUIRE(fix.directory->Write(Id('a'), Encode(Record(Id('a'), "two"))).ok());
  struct stat info;
  REQUIRE(stat((fix.directory->Dir(Id('a')) + "/record.json").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  REQUIRE(stat(fix.directory->Dir(Id('a')).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
  CHECK(base::ListDir(fix.directory->Dir(Id('a')))->size() == 1);
  CHECK(fix.Load().at(Id('a')).image_id == "two");
  REQUIRE(fix.directory->Remove(Id('a')).ok());
  REQUIRE(fix.directory->Remove(Id('a')).ok());
  CHECK(fix.Load().empty());
}

TEST_CASE("a crash between write and rename keeps the old record") {
  Fixture fix;
  REQUIRE(fix.directory->Write(Id('a'), Encode(Record(Id('a'), "old"))).ok());
  DieWriting(50, [&] { (void)fix.directory->Write(Id('a'), Encode(Record(Id('a'), "new"))); });
  REQUIRE(base::ListDir(fix.directory->Dir(Id('a')))->size() ==
          2);  // the half-written one is there
  std::vector<Damaged> damaged;
  CHECK(fix.Load(&damaged).at(Id('a')).image_id == "old");
  CHECK(damaged.empty());
  REQUIRE(fix.directory->Write(Id('a'), Encode(Record(Id('a'), "next"))).ok());
  CHECK(fix.Load().at(Id('a')).image_id == "next");
  REQUIRE(fix.directory->Remove(Id('a')).ok());
  CHECK(base::ListDir(fix.dir + "/containers")->empty());
}

TEST_CASE("a crash in the first write leaves an id to clean up, and no record") {
  Fixture fix;
  DieWriting(50, [&] { (void)fix.directory->Write(Id('a'), Encode(Record(Id('a'), "new"))); });
  std::vector<Damaged> damaged;
  CHECK(fix.Load(&damaged).empty());
  REQUIRE(damaged.size() == 1);
  CHECK(damaged[0].id == Id('a'));
  CHECK(absl::IsNotFound(damaged[0].why));
  CHECK(base::ListDir(fix.dir + "/containers")->empty());
  CHECK(access((fix.dir + "/quarantine").c_str(), F_OK) != 0);
  CHECK(fix.Load(&damaged).empty());
  CHECK(damaged.empty());
}

TEST_CASE("damaged records go to the quarantine, the others are loaded") {
  Fixture fix;
  REQUIRE(fix.directory->Write(Id('1'), Encode(Record(Id('1'), "good"))).ok());
  const std::string text = Encode(Record(Id('2'), "cut"));
  REQUIRE(fix.directory->Write(Id('2'), text.substr(0, text.size() / 2)).ok());
  REQUIRE(fix.directory->Write(Id('3'), "").ok());  // what a power cut leaves
  REQUIRE(fix.directory->Write(Id('4'), std::string(100, '\0')).ok());
  REQUIRE(base::MakeDirs(fix.directory->Dir(Id('5')) + "/record.json", 0700).ok());  // a directory
  REQUIRE(base::MakeDirs(fix.directory->Dir("no-id"), 0700).ok());
  REQUIRE(fix.directory->Write(Id('6'), Encode(Record(Id('6'), "good"))).ok());

  std::vector<Damaged> damaged;
  const auto records = fix.Load(&damaged);
  CHECK(records.size() == 2);
  CHECK(records.count(Id('1')) == 1);
  CHECK(records.count(Id('6')) == 1);
  std::vector<std::string> ids;
  for (const Damaged& one : damaged) {
    CHECK_FALSE(one.why.ok());
    ids.push_back(one.id);
  }
  CHECK(ids == std::vector<std::string>{Id('2'), Id('3'), Id('4'), Id('5'), "no-id"});
  // Set aside with all that was in them, under a name that does not collide the next time.
  const std::vector<std::string> aside = *base::ListDir(fix.dir + "/quarantine");
  REQUIRE(aside.size() == 5);
  CHECK(absl::StartsWith(aside[0], Id('2') + "-"));
  CHECK(*base::ReadFile(absl::StrCat(fix.dir, "/quarantine/", aside[0], "/record.json")) ==
        text.substr(0, text.size() / 2));
  REQUIRE(fix.directory->Write(Id('2'), "again").ok());
  CHECK(fix.Load(&damaged).size() == 2);
  CHECK(damaged.size() == 1);
  CHECK(base::ListDir(fix.dir + "/quarantine")->size() == 6);
}

TEST_CASE("a record that is written, replaced or removed by a crispd that is killed") {
  Fixture fix;
  const std::string dir = fix.dir + "/containers";
  const auto written = [&](const char* image) {
    return fix.directory->Write(Id('a'), Encode(Record(Id('a'), image))).ok();
  };
  const auto names = [&] {
    return base::ListDir(fix.directory->Dir(Id('a'))).value_or(std::vector<std::string>());
  };
  // The next start finds the old or the new record, and nothing else stays.
  const auto image = [&] {
    const auto records = fix.Load();
    const std::vector<std::string> left = base::ListDir(dir).value_or(std::vector<std::string>());
    CHECK(left.size() == records.size());
    if (records.empty()) return std::string("none");
    CHECK(names() == std::vector<std::string>{"record.json"});
    return records.at(Id('a')).image_id;
  };
  const auto remove = [&] { return fix.directory->Remove(Id('a')).ok(); };
  const int first = test::KillBeforeEachChange(
      remove, [&] { return written("new"); },
      [&](bool killed) {
        const std::string found = image();
        CHECK((found == "new" || (killed && found == "none")));
        CHECK(written("next"));
        CHECK(image() == "next");
      });
  CHECK(first >= 4);
  test::KillBeforeEachChange([&] { REQUIRE(written("old")); }, [&] { return written("new"); },
                             [&](bool killed) {
                               const std::string found = image();
                               CHECK((found == "new" || (killed && found == "old")));
                             });
  test::KillBeforeEachChange([&] { REQUIRE(written("old")); }, remove,
                             [&](bool killed) {
                               const std::string found = image();
                               CHECK((found == "none" || (killed && found == "old")));
                               CHECK(remove());
                               CHECK(image() == "none");
                             });
  CHECK(access((fix.dir + "/quarantine").c_str(), F_OK) != 0);
}

TEST_CASE("a damaged record leads every start to its object until it is replaced or set aside") {
  // As a power cut leaves them: without content, and without a record.
  const bool has_record = GENERATE(true, false);
  const bool replace = GENERATE(true, false);
  Fixture fix;
  const auto find = [&] {
    std::vector<Damaged> damaged;
    ContainerRecord record;
    auto loaded = fix.directory->Load(
        [&](const std::string&, absl::string_view text) { return Decode(text, record); });
    REQUIRE(loaded.ok());
    return std::pair(*loaded, record);
  };
  const auto finish = [&](const Damaged& one) {
    return replace ? fix.directory->Replace(one, Encode(Record(Id('a'), "new")))
                   : fix.directory->SetAside(one);
  };
  const int changes = test::KillBeforeEachChange(
      [&] {
        REQUIRE(base::MakeDirs(fix.directory->Dir(Id('a')), 0700).ok());
        if (has_record) REQUIRE(fix.directory->Write(Id('a'), "").ok());
      },
      [&] {
        const std::vector<Damaged> damaged = find().first;
        return damaged.size() == 1 && finish(damaged[0]).ok();
      },
      [&](bool killed) {
        auto [damaged, record] = find();
        const size_t copies =
            base::ListDir(fix.dir + "/quarantine").value_or(std::vector<std::string>()).size();
        CHECK(copies <= (has_record ? 1 : 0));
        if (!damaged.empty()) {
          CHECK(killed);
          CHECK(damaged[0].id == Id('a'));
          CHECK(finish(damaged[0]).ok());
          std::tie(damaged, record) = find();
        }
        CHECK(damaged.empty());
        CHECK(record.image_id == (replace ? "new" : ""));
        const auto quarantined = base::ListDir(fix.dir + "/quarantine");
        CHECK((has_record ? quarantined.ok() && quarantined->size() == 1 : !quarantined.ok()));
        const Names left = base::ListDir(fix.directory->Dir(Id('a'))).value_or(Names());
        CHECK(left == (replace ? Names{"record.json"} : Names()));
        REQUIRE(base::RemoveTree(fix.dir + "/quarantine").ok());
        REQUIRE(fix.directory->Remove(Id('a')).ok());
        CHECK(base::ListDir(fix.dir + "/containers")->empty());
      });
  CHECK(changes >= 1);
}

TEST_CASE("a damaged record is replaced although a file or a directory is in its way") {
  Fixture fix;
  REQUIRE(base::MakeDirs(fix.directory->Dir(Id('1')) + "/record.json", 0700).ok());
  REQUIRE(base::WriteFileAtomic(fix.directory->Dir(Id('2')), "", 0600).ok());
  const auto damaged =
      fix.directory->Load([](const std::string&, absl::string_view) { return absl::OkStatus(); });
  REQUIRE(damaged.ok());
  REQUIRE(damaged->size() == 2);
  for (const Damaged& one : *damaged) {
    INFO(one.why);
    CHECK(fix.directory->Replace(one, Encode(Record(one.id, "new"))).ok());
  }
  CHECK(fix.Load().size() == 2);
  CHECK(base::ListDir(fix.dir + "/quarantine")->size() == 2);
}

TEST_CASE("the quarantine keeps the newest hundred") {
  Fixture fix;
  const std::string old = absl::StrCat(fix.dir, "/quarantine/", Id('1'), ".0123abcd");
  REQUIRE(base::MakeDirs(old, 0700).ok());  // as an older crispd named it
  std::vector<Damaged> damaged;
  std::set<std::string> first;
  for (int start = 0; start < 11; ++start) {
    for (char digit = '0'; digit <= '9'; ++digit)
      REQUIRE(fix.directory->Write(Id(digit), "damaged").ok());
    fix.Load(&damaged);
    REQUIRE(damaged.size() == 10);
    const std::vector<std::string> kept = *base::ListDir(fix.dir + "/quarantine");
    if (start == 0) first.insert(kept.begin(), kept.end());
    if (start < 10) continue;
    CHECK(kept.size() == base::kMaxQuarantined);
    for (const std::string& name : kept) CHECK(first.count(name) == 0);
  }
}

TEST_CASE("a record that could not be read back is refused; one that is there stops no start") {
  Fixture fix;
  const std::string huge(base::kMaxFileBytes + 1, ' ');
  CHECK(absl::IsInvalidArgument(fix.directory->Write(Id('1'), huge)));
  CHECK(access((fix.dir + "/containers").c_str(), F_OK) != 0);
  REQUIRE(base::MakeDirs(fix.directory->Dir(Id('1')), 0700).ok());
  REQUIRE(base::WriteFileAtomic(fix.directory->Dir(Id('1')) + "/record.json", huge, 0600).ok());
  std::vector<Damaged> damaged;
  CHECK(fix.Load(&damaged).empty());
  CHECK(damaged.size() == 1);
}

TEST_CASE("records are read on a disk that is full and read-only, the damaged ones stay there") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    const RecordDirectory records(dir + "/containers", dir + "/quarantine");
    const auto load = [&](int& loaded) {
      loaded = 0;
      auto damaged = records.Load([&](const std::string&, absl::string_view text) {
        ContainerRecord record;
        const absl::Status status = Decode(text, record);
        if (status.ok()) ++loaded;
        return status;
      });
      for (const Damaged& one : damaged.value_or(std::vector<Damaged>()))
        (void)records.SetAside(one);
      return damaged;
    };
    int loaded = 0;
    if (!records.Write(Id('1'), Encode(Record(Id('1'), "good"))).ok()) return "write";
    if (!records.Write(Id('2'), "damaged").ok()) return "write";
    test::FillUp(dir);
    if (!test::SetReadOnly(dir, true)) return "remount";
    for (int i = 0; i < 2; ++i) {  // nothing of the first start is in the way of the second
      const auto damaged = load(loaded);
      if (!damaged.ok()) return damaged.status().ToString();
      if (loaded != 1 || damaged->size() != 1) return absl::StrCat(loaded, " loaded");
    }
    if (!test::SetReadOnly(dir, false)) return "remount";
    test::FreeSpace(dir);
    if (!load(loaded).ok() || base::ListDir(dir + "/quarantine")->size() != 1)
      return "it is not quarantined with space";
    return loaded == 1 ? "" : "the good one is gone";
  });
}

TEST_CASE("records that cannot be read now are an error, and stay where they are") {
  Fixture fix;
  REQUIRE(fix.directory->Write(Id('1'), Encode(Record(Id('1'), "good"))).ok());
  REQUIRE(fix.directory->Write(Id('2'), Encode(Record(Id('2'), "good"))).ok());
  rlimit files;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  const int lowest = dup(0);
  REQUIRE(lowest >= 0);
  close(lowest);
  const rlimit none = {static_cast<rlim_t>(lowest), files.rlim_max};
  // Descriptors run out after the first record, and before it.
  std::vector<absl::Status> seen;
  for (const bool at_once : {false, true}) {
    if (at_once) setrlimit(RLIMIT_NOFILE, &none);
    seen.push_back(fix.directory
                       ->Load([&](const std::string&, absl::string_view) {
                         setrlimit(RLIMIT_NOFILE, &none);
                         return absl::OkStatus();
                       })
                       .status());
    setrlimit(RLIMIT_NOFILE, &files);
  }
  for (const absl::Status& status : seen) {
    INFO(status);
    CHECK(absl::IsResourceExhausted(status));
  }
  std::vector<Damaged> damaged;
  CHECK(fix.Load(&damaged).size() == 2);
  CHECK(damaged.empty());
}

TEST_CASE("a change that cannot be written is not published, a fact is") {
  Fixture fix;
  Recorded<ContainerRecord> recorded(Record(Id('a'), "old"), fix.directory.get());
  const auto set_image = [](const char* image) {
    return [image](ContainerRecord& record) { record.image_id = image; };
  };
  REQUIRE(recorded.Update(set_image("written")).ok());
  CHECK(fix.Load().at(Id('a')).image_id == "written");
  // The directory's place is taken by a file: nothing can be written, whoever asks.
  REQUIRE(fix.directory->Remove(Id('a')).ok());
  REQUIRE(base::WriteFileAtomic(fix.directory->Dir(Id('a')), "", 0600).ok());
  CHECK_FALSE(recorded.Update(set_image("lost")).ok());
  CHECK(recorded.Get().image_id == "written");
  CHECK_FALSE(recorded.UpdateAnyway(set_image("a fact")).ok());
  CHECK(recorded.Get().image_id == "a fact");
}

TEST_CASE("concurrent changes are all kept, in memory and on disk") {
  Fixture fix;
  Recorded<ContainerRecord> recorded(Record(Id('a'), ""), fix.directory.get());
  constexpr int kThreads = 4, kChanges = 50;
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kChanges; ++j) {
        if (!recorded.Update([](ContainerRecord& r) { r.image_id += "x"; }).ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  CHECK(recorded.Get().image_id.size() == kThreads * kChanges);
  CHECK(fix.Load().at(Id('a')).image_id.size() == kThreads * kChanges);
}

}  // namespace
}  // namespace crisp::store
