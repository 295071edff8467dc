#include "snapshot/chunk_queue.h"

namespace crisp::snapshot {

Chunk* ChunkQueue::Acquire() {
  absl::MutexLock lock(&mu_);
  while (free_.size == 0 && handed_out_ == kChunks && !stopped_) changed_.Wait(&mu_);
  if (stopped_) return nullptr;
  Chunk* chunk = free_.size > 0 ? free_.Take() : &chunks_[handed_out_++];
  chunk->size = 0;
  return chunk;
}

void ChunkQueue::Push(Chunk* chunk) {
  absl::MutexLock lock(&mu_);
  full_.Put(chunk);
  changed_.Signal();
}

void ChunkQueue::Close(bool complete) {
  absl::MutexLock lock(&mu_);
  closed_ = true;
  complete_ = complete;
  changed_.Signal();
}

const Chunk* ChunkQueue::Next() {
  absl::MutexLock lock(&mu_);
  if (reading_ != nullptr) {
    free_.Put(reading_);
    reading_ = nullptr;
    changed_.Signal();
  }
  while (full_.size == 0 && !closed_) changed_.Wait(&mu_);
  if (full_.size == 0) return nullptr;
  reading_ = full_.Take();
  return reading_;
}

bool ChunkQueue::complete() const {
  absl::MutexLock lock(&mu_);
  return complete_;
}

void ChunkQueue::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  changed_.Signal();
}

}  // namespace crisp::snapshot
