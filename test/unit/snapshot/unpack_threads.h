// Decoder and untarrer on threads of the test: without rights of their own, but with coverage, with
// sanitizers and without root.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "base/file.h"
#include "linux/overlay.h"
#include "snapshot/unpack_main.h"
#include "snapshot/unpack_roles.h"
#include "snapshot/unpack_workers.h"

namespace crisp::snapshot {

class UnpackThreads : public UnpackWorkers {
 public:
  absl::StatusOr<std::unique_ptr<UnpackWorker>> Start(UnpackRole role, const UnpackLimits& limits,
                                                      const std::vector<int>& fds) override {
    return std::make_unique<Worker>(*this, role, limits, fds);
  }
  absl::StatusOr<base::UniqueFd> OpenLayer(const std::string& directory) override {
    return base::Open(directory, O_RDONLY | O_DIRECTORY);
  }
  absl::StatusOr<base::UniqueFd> OpenLower(const std::string& base,
                                           const std::vector<std::string>& names) override {
    return linux::OpenOverlay(base, names);
  }

 protected:
  // What the decoder does, for tests of one that a layer has taken over.
  virtual absl::Status Decode(ChunkReader& compressed, ChunkWriter& plain, const ChunkMemory&) {
    return DecodeLayer(compressed, plain);
  }
  // A thread cannot be killed: Decode() must return soon after this.
  virtual void OnKill() {}

 private:
  class Worker : public UnpackWorker {
   public:
    Worker(UnpackThreads& owner, UnpackRole role, const UnpackLimits& limits,
           const std::vector<int>& fds)
        : owner_(owner), role_(role), limits_(limits) {
      for (const int fd : fds) fds_.emplace_back(fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0));
      thread_ = std::thread([this] {
        Run();
        Close();  // as the end of a process closes its sockets
      });
    }
    ~Worker() override { (void)Stop(); }
    void Kill() override {
      if (role_ == UnpackRole::kDecode) owner_.OnKill();
      Close();
    }
    void Close() {
      shutdown(fds_[kInputSocket].get(), SHUT_RDWR);
      if (role_ == UnpackRole::kDecode) shutdown(fds_[kOutputSocket].get(), SHUT_RDWR);
    }
    absl::Status Stop() override {
      Kill();
      if (thread_.joinable()) thread_.join();
      return absl::OkStatus();
    }
    absl::Status WhyGone() override { return absl::InternalError("the thread has ended"); }

   private:
    base::UniqueFd Take(int i) const {
      return base::UniqueFd(fcntl(fds_[i].get(), F_DUPFD_CLOEXEC, 0));
    }

    void Run() {
      const FrameSocket input(Take(kInputSocket));
      const auto memory = ChunkMemory::Map(Take(kInputMemory), /*writable=*/false);
      if (role_ == UnpackRole::kUntar) {
        const bool own = memory.ok() && unshare(CLONE_FS) == 0;
        return Conclude(input,
                        own ? UntarLayer(input, *memory, fds_[kLayerDirectory].get(), limits_)
                            : absl::InternalError("no thread"));
      }
      const FrameSocket output(Take(kOutputSocket));
      const auto plain = ChunkMemory::Map(Take(kOutputMemory), /*writable=*/true);
      if (!memory.ok() || !plain.ok()) return Conclude(output, absl::InternalError("no memory"));
      ChunkReader reader(input, *memory);
      ChunkWriter writer(output, *plain);
      Conclude(output, owner_.Decode(reader, writer, *plain));
    }

    UnpackThreads& owner_;
    const UnpackRole role_;
    const UnpackLimits limits_;
    std::vector<base::UniqueFd> fds_;
    std::thread thread_;
  };
};

}  // namespace crisp::snapshot
