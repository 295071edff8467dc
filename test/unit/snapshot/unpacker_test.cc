// The way of a layer through decoder, crispd and untarrer, with both on threads; and what a decoder
// that a layer has taken over can do to it. Needs no root.
#include <atomic>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
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

TEST_CASE("errors name the step, the entry and the layer") {
  UnpackThreads threads;
  StoreFixture fix(threads);
  const std::string tar = B().File("ok").File("../out").Done();
  const LayerSpec spec = StoreFixture::Spec(tar);
  const absl::Status refused = fix.UnpackBlob(tar, spec).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK(std::string(refused.message()).find("unpack " + spec.diff_id + ": ../out: name") == 0);
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
  Late late;
  StoreFixture fix(late);
  const std::string tar = B().File("d/file", "late").Done();
  const LayerSpec spec = StoreFixture::Spec(tar);
  auto writer = std::move(fix.store->BeginLayer(spec)).value();
  REQUIRE(writer->Write(tar).ok());
  late.go.Notify();
  const absl::Status status = writer->Finish();
  INFO(status);
  CHECK(status.ok());
  CHECK(late.in_time);
  CHECK(*base::ReadFile(fix.Directory(spec.chain_id) + "/d/file") == "late");
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
