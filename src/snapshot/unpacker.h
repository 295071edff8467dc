// crispd's part of unpacking one layer: it feeds the decoder, hashes what comes out, passes that on
// to the untarrer (unpack_roles.h), and does what the untarrer has no right to do itself.
//
//   caller's thread:  Write -> shared memory -> decoder
//   own thread:       decoder -> copy, hash -> shared memory -> untarrer
//
// The own thread also starts the workers, while the registry answers: what the caller writes
// before the decoder runs waits in the shared memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "digest/hasher.h"
#include "snapshot/chunk_channel.h"
#include "snapshot/frame_socket.h"
#include "snapshot/space_guard.h"
#include "snapshot/unpack_workers.h"

namespace crisp::snapshot {

// One thread at a time, except for Abandon(). After an error only the destructor may be called.
class Unpacker {
 public:
  // `directory`: where the layer goes; it is empty. `workers` is borrowed. That they cannot be
  // started is an error of the calls that follow.
  static absl::StatusOr<std::unique_ptr<Unpacker>> Start(UnpackWorkers& workers,
                                                         const std::string& directory,
                                                         const UnpackLimits& limits);
  // The workers have ended, unless the kernel does not let them.
  ~Unpacker();

  // Compressed bytes. Blocks while the workers are slower.
  absl::Status Write(absl::Span<const char> compressed);
  // After all bytes: waits until everything is unpacked that does not need the lower layers, and
  // returns the digest of the plain bytes.
  absl::StatusOr<std::string> Finish();
  // Whether the rest needs the lower layers; known after Finish().
  bool waits_for_lower() const { return waits_; }
  // Does the rest. `lower`: the lower layers, invalid if there are none.
  absl::Status Complete(base::UniqueFd lower);
  // Afterwards nothing but crispd writes to the layer.
  absl::Status Stop();

  // Why the decoder is gone: the error of the own thread, if it has one. Waits for its end.
  absl::Status Cause();
  // Makes every call return an error soon. From any thread.
  void Abandon();

 private:
  // The workers' ends, until they have them.
  struct Ends {
    FrameSocket compressed, decoded, plain;
  };
  Unpacker(UnpackWorkers& workers, std::string path, const UnpackLimits& limits)
      : workers_(workers), path_(std::move(path)), limits_(limits) {}
  absl::Status Connect();
  // The own thread.
  absl::Status Run();
  absl::Status StartWorkers(const Ends& ends);
  absl::Status StartWorker(std::unique_ptr<UnpackWorker>& worker, UnpackRole role,
                           const std::vector<int>& fds);
  absl::Status Relay();
  absl::Status Pass(absl::Span<const char> chunk);
  // Serves the untarrer until its result or its wish for the lower layers.
  absl::Status AwaitUntarrer(base::Deadline deadline);
  absl::Status Serve(Frame frame);
  absl::Status MarkOpaque(int directory);

  UnpackWorkers& workers_;
  const std::string path_;
  const UnpackLimits limits_;
  base::UniqueFd directory_;
  std::optional<SpaceGuard> guard_;
  uint64_t plain_bytes_ = 0;
  uint64_t max_plain_bytes_ = 0;
  ChunkMemory compressed_memory_, decoded_memory_, plain_memory_;
  FrameSocket compressed_socket_, decoded_socket_, plain_socket_;
  std::optional<ChunkWriter> compressed_, plain_;
  std::optional<ChunkReader> decoded_;
  Ends ends_;
  // Set by the own thread. The others use them after its end, except to kill them, under `mu_`.
  std::unique_ptr<UnpackWorker> decoder_, untarrer_;
  absl::Mutex mu_;
  bool abandoned_ ABSL_GUARDED_BY(mu_) = false;

  absl::Span<char> room_;  // what is left of the compressed chunk that is being filled
  size_t used_ = 0;
  std::atomic<bool> input_ended_ = false;
  uint64_t opaque_ = 0;
  digest::Hasher hasher_;  // of the plain bytes
  bool waits_ = false;
  absl::Status relayed_;  // result of the thread, valid after its end
  base::Thread thread_;
};

}  // namespace crisp::snapshot
