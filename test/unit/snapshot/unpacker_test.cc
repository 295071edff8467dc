// The way of a layer through decoder, crispd and untarrer, with both on threads; and what a decoder
// that a layer has taken over can do to it. Needs no root.
#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "test/unit/snapshot/plain_digest.h"
#include "test/unit/snapshot/store_fixture.h"
#include "test/unit/snapshot/unpack_threads.h"

namespace crisp::snapshot {
namespace {

using B = TarBuilder;

std::string Big(char c) { return std::string(3'000'000, c); }

TEST_CASE("a layer arrives complete, whatever its compression and the pieces it comes in") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  B tar;
  for (int i = 0; i < 300; ++i)
    tar.File(absl::StrCat("d/", i % 7, "/", i), std::string(i * 50, 'x'));
  const std::string plain = tar.Dir("empty", 0711).File("big", Big('b')).Link("l", "big").Done();
  for (const std::string& blob : {plain, Gzip(plain), Zstd(plain)}) {
    const auto layer = fix.UnpackBlob(blob, StoreFixture::Spec(plain));
    INFO(layer.status());
    REQUIRE(layer.ok());
    const std::string directory = fix.Directory(*layer);
    CHECK(*base::ReadFile(directory + "/big") == Big('b'));
    CHECK(*base::ReadFile(directory + "/d/5/299") == std::string(299 * 50, 'x'));
    CHECK((Stat(directory + "/empty").st_mode & 07777) == 0711);
    CHECK(Target(directory + "/l") == "big");
    REQUIRE(fix.store->DeleteUnlisted(fix.store->Unlist({*layer})).ok());
    REQUIRE(fix.Empty());
  }
}

TEST_CASE("a layer that refers to the one below gets its files and its directories' modes") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const oci::ChainId lower = *fix.Unpack(
      B().Dir("d", 0750).File("d/file", Big('f')).Dir("usr", 0755).Link("lib", "usr").Done());
  const auto upper =
      fix.Unpack(B().Hard("link", "d/file").File("d/new", "n").File("lib/so", "s").Done(), lower);
  INFO(upper.status());
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  CHECK(*base::ReadFile(directory + "/link") == Big('f'));
  CHECK(Stat(directory + "/link").st_ino == Stat(directory + "/d/file").st_ino);
  CHECK((Stat(directory + "/d").st_mode & 07777) == 0750);
  CHECK(*base::ReadFile(directory + "/usr/so") == "s");
  CHECK_FALSE(Exists(directory + "/lib"));
}

TEST_CASE(".. in names and link targets is resolved inside the layer") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const oci::ChainId lower = *fix.Unpack(B().Dir("low").File("low/f", "lower").Done());
  const auto layer = fix.Unpack(B().Dir("d/e")
                                    .Link("l", "d/e")
                                    .File("d/../a", "cleaned as text")
                                    .File("l/../b", "not behind the link")
                                    .File("../../c", "at the root")
                                    .File("d/f", "in d")
                                    .Hard("h1", "./d/../d/f")
                                    .Hard("h2", "l/../f")
                                    .Hard("h3", "../../d/f")
                                    .Hard("h4", "low/../low/f")
                                    .Hard("h5", "gone/../d/f")
                                    .File("..", "not the root")
                                    .Done(),
                                lower);
  INFO(layer.status());
  REQUIRE(layer.ok());
  const std::string directory = fix.Directory(*layer);
  CHECK(*base::ReadFile(directory + "/a") == "cleaned as text");
  CHECK(*base::ReadFile(directory + "/b") == "not behind the link");
  CHECK(*base::ReadFile(directory + "/c") == "at the root");
  for (const char* name : {"/h1", "/h2", "/h3", "/h5"}) {
    INFO(name);
    CHECK(*base::ReadFile(directory + name) == "in d");
  }
  CHECK(*base::ReadFile(directory + "/h4") == "lower");
  CHECK(fix.CanaryUntouched());
  for (const char* target : {"d/e/..", "..", ".", "/"}) {
    INFO(target);
    const auto refused = fix.Unpack(B().Dir("d/e").Hard("h", target).Done());
    CHECK(refused.status().message().find("hard link to a directory") != std::string::npos);
  }
}

TEST_CASE("only an entry that names the root changes its mode") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  for (const char* name : {".", "./", "/", "//."}) {
    const auto layer = fix.Unpack(B().Dir(name, 0711).Done());
    INFO(name << layer.status());
    REQUIRE(layer.ok());
    CHECK((Stat(fix.Directory(*layer)).st_mode & 07777) == 0711);
  }
  for (const char* name : {"..", "../", "a/..", "a/../..", "/../."}) {
    const auto layer = fix.Unpack(B().Dir(name, 0711).Done());
    INFO(name << layer.status());
    REQUIRE(layer.ok());
    CHECK((Stat(fix.Directory(*layer)).st_mode & 07777) == 0755);
  }
}

TEST_CASE("the entry of a hard link says how the file is, wherever it is") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const oci::ChainId lower = *fix.Unpack(B().File("low", "below").Dir("usr").Done());
  B tar;
  tar.File("file").Link("symbolic", "nowhere").Link("to-file", "file");
  TarItem item;
  item.type = '1';
  item.mode = 04711;
  item.mtime = 1'500'000'000;
  item.pax = {{"SCHILY.xattr.user.note", "y"}};
  for (const char* target : {"file", "symbolic", "low", "later", "to-file/"}) {
    item.link = target;
    item.name = absl::StrCat("usr/", item.mtime);
    ++item.mtime;
    tar.Add(item);
  }
  const auto upper = fix.Unpack(tar.File("later").Done(), lower);
  INFO(upper.status());
  REQUIRE(upper.ok());
  const std::string directory = fix.Directory(*upper);
  const auto check = [&](const std::string& name, int64_t time) {
    INFO(name);
    const struct stat info = Stat(directory + name);
    CHECK(info.st_nlink == (name == "/file" ? 3 : 2));
    CHECK((info.st_mode & 07777) == 04711);
    CHECK(info.st_mtim.tv_sec == time);
    CHECK(Xattr(directory + name, "user.note") == "y");
  };
  check("/file", 1'500'000'005);
  check("/low", 1'500'000'003);
  check("/later", 1'500'000'004);
  CHECK(Stat(directory + "/usr/1500000004").st_ino == Stat(directory + "/file").st_ino);
  CHECK(Stat(directory + "/symbolic").st_mtim.tv_sec == 1'500'000'002);
  CHECK(Target(directory + "/usr/1500000001") == "nowhere");
}

TEST_CASE("times that other runtimes cannot store are 1970") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const std::pair<const char*, std::pair<int64_t, int64_t>> rows[] = {
      {"0.5", {0, 500'000'000}},
      {"-0.5", {0, 0}},
      {"-1", {0, 0}},
      {"9223372036.854775807", {9223372036, 854775807}},
      {"9223372036.854775808", {0, 0}},
      {"9223372037", {0, 0}},
      {"9223372036854775807", {0, 0}}};
  for (const auto& [text, time] : rows) {
    TarItem item;
    item.name = "f";
    item.pax = {{"mtime", text}};
    const auto layer = fix.Unpack(B().Add(item).Done());
    INFO(text << layer.status());
    REQUIRE(layer.ok());
    const timespec mtime = Stat(fix.Directory(*layer) + "/f").st_mtim;
    CHECK(std::pair<int64_t, int64_t>(mtime.tv_sec, mtime.tv_nsec) == time);
  }
}

TEST_CASE("an attribute that a link or a FIFO cannot have does not stop a layer") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  TarItem item;
  item.pax = {{"SCHILY.xattr.user.foo", "y"}};
  B tar;
  for (const char* name : {"0file", "2link", "5directory", "6fifo"}) {
    item.name = name;
    item.type = name[0];
    item.link = item.type == '2' ? "target" : "";
    tar.Add(item);
  }
  const auto layer = fix.Unpack(tar.Done());
  INFO(layer.status());
  REQUIRE(layer.ok());
  const std::string directory = fix.Directory(*layer);
  CHECK(Target(directory + "/2link") == "target");
  CHECK(S_ISFIFO(Stat(directory + "/6fifo").st_mode));
  CHECK(Xattr(directory + "/0file", "user.foo") == "y");
  CHECK(Xattr(directory + "/5directory", "user.foo") == "y");
}

TEST_CASE("a layer of 300 MiB of zeros is unpacked, however small it comes") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  constexpr uint64_t kMebibytes = 300;
  TarItem item;
  item.name = "lastlog";
  std::string blob = Gzip(B::Block(item, kMebibytes << 20));
  const std::string member = Gzip(std::string(1 << 20, '\0'), 9);
  for (uint64_t i = 0; i < kMebibytes; ++i) blob += member;
  const std::string diff_id = PlainDigest(blob).value();
  const LayerSpec spec = {oci::ChainId(digest::ChainId("", diff_id)), {}, diff_id};
  const auto layer = fix.UnpackBlob(blob, spec);
  INFO(layer.status());
  REQUIRE(layer.ok());
  CHECK(static_cast<uint64_t>(Stat(fix.Directory(*layer) + "/lastlog").st_size) == kMebibytes
                                                                                       << 20);
}

TEST_CASE("bytes that are not kept on the disk are bounded, too") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const std::string zeros(12 << 20, '\0');
  TarItem label;
  label.name = "label";
  label.type = 'V';
  label.body = zeros;
  B again;
  for (int i = 0; i < 5; ++i) again.File("f", Big('a'));
  for (const std::string& tar : {B().File("f").Done() + zeros, B().Add(label).File("f").Done(),
                                 B().File(".wh..wh.x", zeros).File("f").Done(), again.Done()}) {
    fix.limits.max_plain_bytes = tar.size();
    fix.Reopen();
    const auto layer = fix.UnpackBlob(Zstd(tar), StoreFixture::Spec(tar));
    INFO(layer.status());
    REQUIRE(layer.ok());
    REQUIRE(fix.store->DeleteUnlisted(fix.store->Unlist({*layer})).ok());
    --fix.limits.max_plain_bytes;
    fix.Reopen();
    const absl::Status refused = fix.UnpackBlob(Zstd(tar), StoreFixture::Spec(tar)).status();
    INFO(refused);
    CHECK(absl::IsResourceExhausted(refused));
    CHECK(refused.message().find(absl::StrCat(tar.size() - 1, " bytes when")) != std::string::npos);
    CHECK(fix.Empty());
  }
}

TEST_CASE("hard links to files of AUFS have their contents, and nothing else is left of AUFS") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const auto layer = fix.Unpack(B().Dir(".wh..wh.plnk")
                                    .File(".wh..wh.plnk/123.4", "linked")
                                    .Hard("a", ".wh..wh.plnk/123.4")
                                    .Hard("b", "/.wh..wh.plnk/123.4")
                                    .Done());
  INFO(layer.status());
  REQUIRE(layer.ok());
  const std::string directory = fix.Directory(*layer);
  CHECK(*base::ListDir(directory) == std::vector<std::string>{"a", "b"});
  CHECK(*base::ReadFile(directory + "/a") == "linked");
  CHECK(Stat(directory + "/a").st_nlink == 2);
}

TEST_CASE("errors name the step, the entry and the layer") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const std::string tar = B().File("ok").File(".wh.").Done();
  const LayerSpec spec = StoreFixture::Spec(tar);
  const absl::Status refused = fix.UnpackBlob(tar, spec).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK(std::string(refused.message()).find("unpack " + spec.diff_id + ": .wh.: a whiteout") == 0);
  const std::string zipped = Gzip(B().File("big", Big('b')).Done());
  const absl::Status cut = fix.UnpackBlob(zipped.substr(0, zipped.size() - 9), spec).status();
  CHECK(absl::IsDataLoss(cut));
  CHECK(std::string(cut.message()).find("gzip: stream ends inside a member") != std::string::npos);
  CHECK(fix.Empty());
}

// Sends the layer of another image instead of what it was given.
class Liar : public UnpackThreads {
 public:
  explicit Liar(std::string tar) : tar_(std::move(tar)) {}

 private:
  absl::Status Decode(ChunkReader& compressed, ChunkWriter& plain, const ChunkMemory&) override {
    while (true) {
      const auto chunk = compressed.Next();
      if (!chunk.ok()) return chunk.status();
      if (chunk->empty()) break;
    }
    for (size_t at = 0; at < tar_.size(); at += ChunkMemory::kChunkBytes) {
      const auto room = plain.Room();
      if (!room.ok()) return room.status();
      const size_t size = tar_.copy(room->data(), room->size(), at);
      const absl::Status pushed = plain.Push(size);
      if (!pushed.ok()) return pushed;
    }
    return absl::OkStatus();
  }
  const std::string tar_;
};

TEST_CASE("a decoder that sends other bytes than the layer's is not believed") {
  Liar liar(B().File("bin/sh", "evil").Done());
  StoreFixture fix(liar);
  const std::string honest = B().File("bin/sh", "honest").Done();
  const auto result = fix.UnpackBlob(Gzip(honest), StoreFixture::Spec(honest));
  INFO(result.status());
  CHECK(absl::IsDataLoss(result.status()));
  CHECK_FALSE(fix.store->Has(StoreFixture::Spec(honest).chain_id));
  CHECK(fix.Empty());
}

// Changes bytes while crispd hashes and passes them on.
class Racer : public UnpackThreads {
  absl::Status Decode(ChunkReader& compressed, ChunkWriter& plain,
                      const ChunkMemory& memory) override {
    std::atomic<bool> stop = false;
    std::thread writer([&] {
      for (uint64_t i = 0; !stop; ++i) {
        std::atomic_ref<char> byte(memory.Chunk(i)[ChunkMemory::kChunkBytes / 2]);
        byte = 'x';
        byte = 'b';
      }
    });
    const absl::Status decoded = DecodeLayer(compressed, plain);
    stop = true;
    writer.join();
    return decoded;
  }
};

TEST_CASE("bytes that a decoder changes after it has sent them are published only as hashed") {
  Racer racer;
  StoreFixture fix(racer);
  const std::string tar = B().File("big", std::string(8'000'000, 'b')).Done();
  const LayerSpec spec = StoreFixture::Spec(tar);
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    const auto result = fix.UnpackBlob(tar, spec);
    if (result.ok()) {
      CHECK(*base::ReadFile(fix.Directory(*result) + "/big") == std::string(8'000'000, 'b'));
      REQUIRE(fix.store->DeleteUnlisted(fix.store->Unlist({*result})).ok());
    } else {
      CHECK(absl::IsDataLoss(result.status()));
      ++refused;
    }
  }
  INFO(refused);
  CHECK(refused > 0);
}

// Takes what comes, as far as it is asked to, and gives nothing until it is killed.
class Sleeper : public UnpackThreads {
 public:
  explicit Sleeper(bool takes_all = false) : takes_all_(takes_all) {}
  absl::Notification asleep;

 private:
  absl::Status Decode(ChunkReader& compressed, ChunkWriter&, const ChunkMemory&) override {
    while (true) {
      const auto chunk = compressed.Next();
      if (!chunk.ok() || chunk->empty() || !takes_all_) break;
    }
    asleep.Notify();
    killed_.wait(false);
    return absl::OkStatus();
  }
  void OnKill() override {
    killed_.store(true);
    killed_.notify_all();
  }
  const bool takes_all_;
  std::atomic<bool> killed_ = false;
};

TEST_CASE("a pull that is given up does not wait for a decoder that takes nothing") {
  Sleeper sleeper;
  StoreFixture fix(sleeper);
  const std::string tar = B().File("big", Big('b')).Done();
  {
    auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
    std::thread caller([&] {
      sleeper.asleep.WaitForNotification();
      writer->Abandon();
    });
    CHECK_FALSE(writer->Write(tar).ok());
    caller.join();
  }
  CHECK(fix.Empty());
}

TEST_CASE("a decoder that has all bytes and does not end is ended at its deadline") {
  Sleeper sleeper(/*takes_all=*/true);
  StoreFixture fix(sleeper);
  fix.limits.last_bytes_time = absl::Milliseconds(200);
  fix.Reopen();
  const std::string tar = B().File("small", "s").Done();
  const absl::Status status = fix.Unpack(tar).status();
  CHECK(std::string(status.message()) == absl::StrCat("unpack ", StoreFixture::Spec(tar).diff_id,
                                                      ": the decode process takes too long"));
  CHECK(absl::IsInternal(status));
  CHECK(fix.Empty());
}

// Fails in the middle of a layer.
class Failing : public UnpackThreads {
  absl::Status Decode(ChunkReader& compressed, ChunkWriter&, const ChunkMemory&) override {
    (void)compressed.Next();
    return absl::DataLossError("a damaged layer");
  }
};

TEST_CASE("a decoder's own error is the layer's, although crispd ends the decoder") {
  Failing failing;
  StoreFixture fix(failing);
  // So much that the writer cannot be done with it: it sees that the decoder is gone, and ends it.
  const std::string tar = B().File("big", Big('b')).Done();
  for (int i = 0; i < 20; ++i) {
    const absl::Status status = fix.Unpack(tar).status();
    CHECK(absl::IsDataLoss(status));
    CHECK(absl::EndsWith(status.message(), ": a damaged layer"));
  }
  CHECK(fix.Empty());
}

// Its workers start when they are let.
class Late : public UnpackThreads {
 public:
  absl::StatusOr<std::unique_ptr<UnpackWorker>> Start(UnpackRole role, const UnpackLimits& limits,
                                                      const std::vector<int>& fds) override {
    in_time = go.WaitForNotificationWithTimeout(absl::Seconds(20));
    if (role == refused) return absl::ResourceExhaustedError("no process to be had");
    return UnpackThreads::Start(role, limits, fds);
  }
  absl::Notification go;
  std::atomic<bool> in_time = false;
  std::optional<UnpackRole> refused;
};

TEST_CASE("what comes before the processes have started waits for them") {
  // All that the shared memory takes, when there is so much.
  constexpr size_t kRoom = ChunkMemory::kChunks * ChunkMemory::kChunkBytes;
  for (const std::string& content : {std::string("late"), Big('b')}) {
    Late late;
    StoreFixture fix(late);
    const std::string tar = B().File("d/file", content).Done();
    const LayerSpec spec = StoreFixture::Spec(tar);
    auto writer = std::move(fix.store->BeginLayer(spec)).value();
    const size_t before = std::min(tar.size(), kRoom);
    REQUIRE(writer->Write(absl::string_view(tar).substr(0, before)).ok());
    late.go.Notify();
    REQUIRE(writer->Write(absl::string_view(tar).substr(before)).ok());
    const absl::Status status = writer->Finish();
    INFO(status);
    CHECK(status.ok());
    CHECK(late.in_time);
    CHECK(*base::ReadFile(fix.Directory(spec.chain_id) + "/d/file") == content);
  }
}

TEST_CASE("a layer whose processes cannot be started fails with that and leaves nothing") {
  for (const UnpackRole role : {UnpackRole::kDecode, UnpackRole::kUntar}) {
    Late late;
    late.go.Notify();
    late.refused = role;
    StoreFixture fix(late);
    for (const std::string& content : {std::string("small"), Big('b')}) {
      const absl::Status status = fix.Unpack(B().File("file", content).Done()).status();
      CHECK(absl::IsResourceExhausted(status));
      CHECK(absl::EndsWith(status.message(), ": no process to be had"));
    }
    CHECK(fix.Empty());
  }
}

TEST_CASE("a pull that is given up while its processes start is over soon") {
  Late late;
  StoreFixture fix(late);
  const std::string tar = B().File("big", Big('b')).Done();
  {
    auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
    writer->Abandon();
    late.go.Notify();
    const absl::Status written = writer->Write(tar);
    CHECK_FALSE((written.ok() && writer->Finish().ok()));
  }
  CHECK(fix.Empty());
}

}  // namespace
}  // namespace crisp::snapshot
