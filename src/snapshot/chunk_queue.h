// The bounded queue between the thread that decompresses a layer and the one that unpacks it. It
// reuses a fixed set of buffers, so that memory does not depend on the layer.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace crisp::snapshot {

struct Chunk {
  static constexpr size_t kBytes = 256 << 10;
  std::unique_ptr<char[]> bytes = std::unique_ptr<char[]>(new char[kBytes]);
  size_t size = 0;
};

// One writer thread and one reader thread. The queue owns the chunks.
class ChunkQueue {
 public:
  // Writer: an empty chunk to fill. Waits until the reader has returned one; nullptr when the
  // reader has stopped.
  Chunk* Acquire();
  void Push(Chunk* chunk);
  // No more chunks. `complete` is false when the layer is abandoned.
  void Close(bool complete);

  // Reader: the next chunk, valid until the next call; nullptr after the last.
  const Chunk* Next();
  // Whether the writer closed the queue as complete; meaningful once Next has returned nullptr.
  bool complete() const;
  // The reader needs no more chunks; the writer's next Acquire returns nullptr.
  void Stop();

 private:
  static constexpr size_t kChunks = 4;
  struct Ring {
    std::array<Chunk*, kChunks> slots;
    size_t head = 0;
    size_t size = 0;
    void Put(Chunk* chunk) { slots[(head + size++) % kChunks] = chunk; }
    Chunk* Take() {
      Chunk* chunk = slots[head];
      head = (head + 1) % kChunks;
      --size;
      return chunk;
    }
  };

  std::array<Chunk, kChunks> chunks_;
  mutable absl::Mutex mu_;
  Ring full_ ABSL_GUARDED_BY(mu_);
  Ring free_ ABSL_GUARDED_BY(mu_);
  size_t handed_out_ ABSL_GUARDED_BY(mu_) = 0;
  Chunk* reading_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::CondVar changed_;
};

}  // namespace crisp::snapshot
