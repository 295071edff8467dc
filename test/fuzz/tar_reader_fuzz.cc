// The same bytes are the same files for crisp as for runtimes that are written in Go, or no archive
// for both. Each input goes to snapshot/tar_reader.h and, through a child process, to Go's
// archive/tar (test/fuzz/tar), and the lists must be equal. tar_reader.h names the differences that
// are meant: tarlist writes its list as crisp means it, and tar_comparison.h knows the one that is
// left.
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "digest/hasher.h"
#include "test/fuzz/tar_comparison.h"
#include "test/unit/snapshot/tar_listing.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using crisp::snapshot::kTarBlock;
using crisp::snapshot::TarEnd;
using crisp::snapshot::TarEntry;
using crisp::snapshot::TarList;
using crisp::snapshot::TarReader;

void Must(bool condition, const char* what) {
  if (condition) return;
  perror(what);
  __builtin_trap();
}

// The child with archive/tar. It ends with this process, as its input does.
class Tarlist {
 public:
  Tarlist() {
    int to_child[2], from_child[2];
    Must(pipe(to_child) == 0 && pipe(from_child) == 0, "pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], 1);
    for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) {
      posix_spawn_file_actions_addclose(&actions, fd);
    }
    char name[] = "tarlist";
    char* const argv[] = {name, nullptr};
    pid_t pid = 0;
    Must(posix_spawn(&pid, CRISP_TARLIST, &actions, nullptr, argv, environ) == 0, CRISP_TARLIST);
    posix_spawn_file_actions_destroy(&actions);
    close(to_child[0]);
    close(from_child[1]);
    to_ = to_child[1];
    from_ = from_child[0];
  }

  std::string List(absl::string_view archive) {
    uint32_t length = static_cast<uint32_t>(archive.size());
    std::string frame(reinterpret_cast<const char*>(&length), sizeof(length));
    frame.append(archive.data(), archive.size());
    for (size_t done = 0; done < frame.size();) {
      const ssize_t n = write(to_, frame.data() + done, frame.size() - done);
      if (n < 0 && errno == EINTR) continue;  // libFuzzer's timer
      Must(n > 0, "write to tarlist");
      done += static_cast<size_t>(n);
    }
    Read(reinterpret_cast<char*>(&length), sizeof(length));
    std::string text(length, '\0');
    Read(text.data(), text.size());
    return text;
  }

 private:
  void Read(char* to, size_t size) {
    while (size > 0) {
      const ssize_t n = read(from_, to, size);
      if (n < 0 && errno == EINTR) continue;
      Must(n > 0, "read from tarlist");
      to += n;
      size -= static_cast<size_t>(n);
    }
  }
  int to_ = -1;
  int from_ = -1;
};

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::string Line(const TarEntry& entry, const std::string& contents) {
  constexpr int64_t kFarTime = int64_t{1} << 62;
  const int64_t seconds = entry.mtime.tv_sec;
  const std::string when = seconds > -kFarTime && seconds < kFarTime
                               ? absl::StrCat(seconds, ".", entry.mtime.tv_nsec)
                               : "far";
  std::vector<std::string> attributes;
  for (const TarEntry::Xattr& xattr : entry.xattrs) {
    attributes.push_back(absl::StrCat(Hex(xattr.name), "=", Hex(xattr.value)));
  }
  std::sort(attributes.begin(), attributes.end());
  return absl::StrFormat("%c %s %s %o %d:%d %d %s %d:%d %s %s\n",
                         "fdlhpcb"[static_cast<int>(entry.type)], Hex(entry.name), Hex(entry.link),
                         entry.mode, entry.uid, entry.gid, entry.size, when, entry.major,
                         entry.minor, absl::StrJoin(attributes, ","),
                         crisp::digest::Sha256(contents).substr(sizeof("sha256:") - 1));
}

TarList OurList(absl::string_view archive, size_t step) {
  constexpr int64_t kMaxFile = 1 << 20;
  TarReader tar(crisp::snapshot::InSteps(archive, step));
  TarList list;
  const auto fail = [&list](const absl::Status& status) {
    list.end = TarEnd::kError;
    list.error = std::string(status.message());
    return list;
  };
  TarEntry entry;
  while (true) {
    const absl::StatusOr<bool> more = tar.Next(entry);
    if (!more.ok()) return fail(more.status());
    if (!*more) return list;
    if (entry.size > kMaxFile) {
      list.end = TarEnd::kLarge;
      return list;
    }
    const absl::StatusOr<std::string> contents = crisp::snapshot::Contents(tar, entry);
    if (!contents.ok()) return fail(contents.status());
    list.lines += Line(entry, *contents);
  }
}

// Whether a block is or was a header: its checksum is at least written like one.
bool LooksLikeHeader(const uint8_t* block) {
  const absl::string_view sum(reinterpret_cast<const char*>(block) + 148, 8);
  const bool written =
      sum.find_first_not_of(absl::string_view("01234567 \0", 10)) == absl::string_view::npos;
  return written && sum.find_first_of("1234567") != absl::string_view::npos;
}

void MendChecksum(uint8_t* block) {
  memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) sum += block[i];
  const std::string text = absl::StrFormat("%06o", sum);
  memcpy(block + 148, text.data(), text.size());
  block[154] = '\0';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Tarlist tarlist;
  const absl::string_view archive(reinterpret_cast<const char*>(data), size);
  const std::string theirs = tarlist.List(archive);
  const TarList ours = OurList(archive, size % 700 + 1);
  if (crisp::snapshot::SameFiles(ours, theirs)) return 0;
  fprintf(stderr, "archive/tar:\n%s\ncrisp:\n%s%s\n", theirs.c_str(), ours.lines.c_str(),
          ours.error.c_str());
  __builtin_trap();
}

// Changes one block, or repeats or removes one, so that the others stay where they are; and usually
// mends the checksum, without which no change of a header would be looked at.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::minstd_rand random(seed);
  const size_t blocks = size / kTarBlock;
  if (blocks == 0 || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  uint8_t* const block = data + random() % blocks * kTarBlock;
  const size_t behind = static_cast<size_t>(data + size - block);
  const unsigned what = random() % 16;
  if (what == 0 && size + kTarBlock <= max_size) {
    memmove(block + kTarBlock, block, behind);
    return size + kTarBlock;
  }
  if (what == 1) {
    memmove(block, block + kTarBlock, behind - kTarBlock);
    return size - kTarBlock;
  }
  const bool header = LooksLikeHeader(block);
  std::array<uint8_t, kTarBlock> changed;
  memcpy(changed.data(), block, kTarBlock);
  LLVMFuzzerMutate(changed.data(), kTarBlock, kTarBlock);
  memcpy(block, changed.data(), kTarBlock);
  if (header && random() % 8 != 0) MendChecksum(block);
  return size;
}
