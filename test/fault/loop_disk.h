// A file system whose power can be cut.
#pragma once

#include <cstdint>
#include <string>

namespace crisp::test {

// ext4 of 2 GiB on a loop device. Must outlive the daemon that uses it. Failures throw
// std::runtime_error.
class LoopDisk {
 public:
  LoopDisk();
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;

  const std::string& path() const { return path_; }  // where it is mounted
  // FS_IOC_SHUTDOWN without a flush of the journal (fs/ext4/ioctl.c): what was not synced is lost,
  // and every later access fails.
  void CutPower() const;
  // Unmounts it, waits until no process and no mount anywhere uses it, and mounts it again, which
  // replays the journal.
  void MountAgain() const;
  uint64_t UsedInodes() const;

 private:
  void Mount() const;
  void Detach() const;

  std::string directory_;
  std::string path_;
  std::string device_;  // /dev/loopN
};

}  // namespace crisp::test
